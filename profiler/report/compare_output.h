/* compare_output.h: what `tidemark compare` prints and writes. Each function takes a finished
 * comparison and a stream that the caller opened and closes (and whose errors the caller checks).
 */
#ifndef TIDEMARK_REPORT_COMPARE_OUTPUT_H
#define TIDEMARK_REPORT_COMPARE_OUTPUT_H

#include "profiler/report/compare_figures.h"

#include <stdio.h>

/* The table as text, with what is to be known about it below. */
void tm_compare_print_table(FILE *out, const struct tm_comparison *all);

/* What is to be known about one row, one sentence at a time, for text and HTML. Writes note number
 * `index` to `text`; false: there is no such note. */
enum { TM_NOTE_TEXT = 512 };
bool tm_compare_note(const struct tm_comparison *all, unsigned index, char text[TM_NOTE_TEXT]);

/* How memory was measured, one line; and what came out, one sentence ("" if there is nothing to
 * say). */
void tm_compare_method(const struct tm_comparison *all, char text[TM_NOTE_TEXT]);
void tm_compare_verdict(const struct tm_comparison *all, char text[TM_NOTE_TEXT]);

/* The time series, a line per sample, and a line per run with all figures. RFC 4180. */
void tm_compare_write_series(FILE *out, const struct tm_comparison *all);
void tm_compare_write_summary(FILE *out, const struct tm_comparison *all);

/* Figures of rows and runs, without the time series. */
void tm_compare_write_json(FILE *out, const struct tm_comparison *all);

#endif
