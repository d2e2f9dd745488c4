/* metrics.h: `tidemark metrics`: the live pages of all processes as text for Prometheus and its
 * like, and a server for it. */
#ifndef TIDEMARK_REPORT_METRICS_H
#define TIDEMARK_REPORT_METRICS_H

#include <stdbool.h>
#include <stdio.h>

enum tm_metrics_format {
    TM_METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
    TM_METRICS_TEXT,        /* Prometheus's text format 0.0.4 */
};

/* Looks at all processes and writes what they say. 0, or an errno. */
int tm_metrics_write(FILE *out, enum tm_metrics_format format);

/* Serves that at "ADDRESS:PORT" ("[::1]:PORT"; port 0: any), until a signal ends it. anywhere: the
 * address need not be a loopback one. Returns an exit status after printing why. */
int tm_metrics_serve(const char *place, bool anywhere);

#endif
