/* diff_print.h: the comparison for a person (at most 100 columns, verdict first), as JSON and as a
 * page; the same for the search for leaks. Nothing from a snapshot reaches `out` unescaped.
 */
#ifndef TIDEMARK_REPORT_DIFF_PRINT_H
#define TIDEMARK_REPORT_DIFF_PRINT_H

#include "profiler/report/diff.h"
#include "profiler/report/diff_leak.h"
#include "profiler/report/json_write.h"
#include "profiler/report/report_text.h"

/* paths: of the snapshots, for the head. */
void tm_diff_text(FILE *out, const struct tm_diff *diff, const char *const *paths,
                  const struct tm_text_options *options);
/* The members of the JSON document, of at most so many sites and then without their frames. */
void tm_diff_json_members(struct tm_json *json, const struct tm_diff *diff,
                          const char *const *paths, size_t most_sites);
void tm_diff_json(FILE *out, const struct tm_diff *diff, const char *const *paths);

void tm_leak_text(FILE *out, const struct tm_leaks *leaks, const char *const *paths,
                  const struct tm_text_options *options);
void tm_leak_json(FILE *out, const struct tm_leaks *leaks, const char *const *paths);

/* The tables of call sites, for diff_text.c. */
void tm_diff_text_sites(FILE *out, const struct tm_diff *diff,
                        const struct tm_text_options *options);

#endif
