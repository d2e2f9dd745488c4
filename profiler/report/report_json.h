/* report_json.h: the report for programs; its fields are described in profiler/format/README.md.
 */
#ifndef TIDEMARK_REPORT_JSON_H
#define TIDEMARK_REPORT_JSON_H

#include "profiler/report/analyse.h"
#include "profiler/report/json_write.h"

#include <stdio.h>

/* Writes one JSON object and a newline. Valid JSON in UTF-8 whatever bytes the snapshot's names
 * have. */
void tm_report_json(FILE *out, const struct tm_report *report);

/* The members on call sites; for report_json.c only. */
void tm_report_json_sites(struct tm_json *json, const struct tm_report *report);

#endif
