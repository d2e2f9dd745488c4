/* report_html.h: the report as one HTML file, for a browser without a network. Its figures are the
 * members of the JSON report, of so many sites at most, and two members more: `map`, the arenas
 * page by page (report_html_map.c), and `flame`, the stacks as a tree (report_html_flame.c). All
 * are bounded, whatever the size of the heap: large heaps are told by larger units, small stacks
 * together.
 */
#ifndef TIDEMARK_REPORT_REPORT_HTML_H
#define TIDEMARK_REPORT_REPORT_HTML_H

#include "profiler/report/analyse.h"
#include "profiler/report/json_write.h"

#include <stdio.h>

/* by_stack: a report on the same snapshot whose groups are stacks. False: not enough memory; what
 * is written then is no whole page. */
bool tm_report_html(FILE *out, const struct tm_report *report, const struct tm_report *by_stack);

/* The groups of sites that the page lists. For these files only, as all that follows. */
struct tm_html_sites {
    uint32_t *groups; /* of the report, TM_GROUP_UNKNOWN the last */
    size_t count;
    uint32_t *place_of; /* of each group of the report in this list; TM_HTML_NOT_LISTED */
};
#define TM_HTML_NOT_LISTED UINT32_MAX

/* The value of the member `map` or `flame`. False: not enough memory. */
bool tm_report_html_map(struct tm_json *json, const struct tm_report *report,
                        const struct tm_html_sites *sites);
bool tm_report_html_flame(struct tm_json *json, const struct tm_report *report,
                          const struct tm_report *by_stack, const struct tm_html_sites *sites);

#endif
