/* chart.h: pictures of a comparison: RSS over time as an SVG, and one HTML file with the same
 * picture, the table and the notes. Both follow the reader's light or dark setting and need no
 * network. The caller opens and closes the stream.
 */
#ifndef TIDEMARK_REPORT_CHART_H
#define TIDEMARK_REPORT_CHART_H

#include "profiler/report/compare_figures.h"

#include <stdio.h>

void tm_chart_write_svg(FILE *out, const struct tm_comparison *all);
void tm_chart_write_html(FILE *out, const struct tm_comparison *all);

/* For the HTML: the drawing inside a page that brings tm_chart_style() itself; and text with &, <
 * and > replaced. */
void tm_chart_draw(FILE *out, const struct tm_comparison *all);
void tm_chart_style(FILE *out, const struct tm_comparison *all);
void tm_chart_escape(FILE *out, const char *text);

/* The colour classes: row i is drawn with class "series-i". The frame of the plot, in units of the
 * drawing. */
struct tm_chart_frame {
    double left, top, width, height; /* of the plot area */
    double seconds, bytes;           /* at its right and upper edge */
};
struct tm_chart_frame tm_chart_frame_of(const struct tm_comparison *all);

#endif
