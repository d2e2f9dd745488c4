/* diff_html.h: the comparison as one HTML file, for a browser without a network. Its figures are
 * the members of the JSON document, of so many sites at most, and one more: `flame`, the stacks of
 * both as one tree (diff_html_flame.c).
 */
#ifndef TIDEMARK_REPORT_DIFF_HTML_H
#define TIDEMARK_REPORT_DIFF_HTML_H

#include "profiler/report/diff.h"
#include "profiler/report/json_write.h"

#include <stdio.h>

/* by_stack: reports on the same two snapshots whose groups are stacks. False: not enough memory;
 * nothing is written then. */
bool tm_diff_html(FILE *out, const struct tm_diff *diff, const char *const *paths,
                  const struct tm_report *const by_stack[2]);

/* The member `flame`, as html/flame.js wants it. same_program: places in the source tell functions
 * apart, too. False: not enough memory. */
bool tm_diff_html_flame(struct tm_json *json, const struct tm_report *const by_stack[2],
                        bool same_program);

#endif
