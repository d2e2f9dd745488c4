/* who.h: groups of sites and their stacks in words, for the text report. Names come from files of
 * the process and may hold any byte: labels are raw text, which who prints it must escape; what is
 * printed here is escaped.
 */
#ifndef TIDEMARK_REPORT_WHO_H
#define TIDEMARK_REPORT_WHO_H

#include "profiler/report/analyse.h"

#include <stdio.h>

struct tm_label {
    char text[256]; /* cut with "..." where it is longer */
};

/* "cache_insert (cache.c:120)", "libfoo.so+0x1234", "thread 17", as the groups are made. */
struct tm_label tm_group_label(const struct tm_report *report, uint32_t group);

/* The last part of a path. */
const char *tm_base_name(const char *path);

/* Prints the stack, innermost function first, one on a line, indented; of a long one the innermost
 * part. */
void tm_print_stack(FILE *out, const struct tm_report *report, uint32_t node, size_t indent,
                    bool utf8);

#endif
