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

/* Its members in two parts, for what writes a part of them: all but those on call sites, */
void tm_report_json_plain(struct tm_json *json, const struct tm_report *report);
/* and those on call sites. */
void tm_report_json_sites(struct tm_json *json, const struct tm_report *report);

/* The second part with so many groups only, in this order, which are to hold those of the plan, and
 * with or without the frames of each. */
void tm_report_json_groups(struct tm_json *json, const struct tm_report *report,
                           const uint32_t *groups, size_t count, bool frames);

/* The members that tell where a symbol is: what is known of function, file, line and module. */
void tm_report_json_symbol(struct tm_json *json, const struct tm_symbol *symbol);

#endif
