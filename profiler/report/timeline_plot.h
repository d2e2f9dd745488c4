/* timeline_plot.h: the timeline as a plot of characters. Knows moments and a width, nothing of
 * reports.
 */
#ifndef TIDEMARK_REPORT_TIMELINE_PLOT_H
#define TIDEMARK_REPORT_TIMELINE_PLOT_H

#include "profiler/format/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TM_PLOT_COLUMNS = 100 }; /* no line is longer */

/* Plots what was taken (pools, spans, mappings) and what was cached over time, with the peak
 * marked. moments: at least one, oldest first. end_ns: the time of the right edge if the last
 * moment is earlier. utf8: draw with block characters instead of ASCII. */
void tm_timeline_plot(FILE *out, const struct tm_snapshot_moment *moments, size_t count,
                      uint64_t end_ns, bool utf8);

#endif
