/* diff_words.h: how a comparison puts its figures, for its text and its sentences alike. */
#ifndef TIDEMARK_REPORT_DIFF_WORDS_H
#define TIDEMARK_REPORT_DIFF_WORDS_H

#include "profiler/report/diff_leak.h"
#include "profiler/report/report_format.h"
#include "profiler/report/report_text.h"

struct tm_words tm_words_change(int64_t bytes);        /* "+12.3 MiB", "-512 B", "0 B" */
struct tm_words tm_words_exact_change(int64_t number); /* "+1,234", "-5", "0" */

/* "12.3 MiB +- 0.4", both in the unit of the larger; without an error (0) the figure alone. The
 * figure's sign is left out. */
struct tm_words tm_words_about(double bytes, double error);

/* The same with the sign: "+12.3 MiB +- 0.4". */
struct tm_words tm_words_growth(double bytes, double error);

struct tm_words tm_words_range(struct tm_range range); /* "97 %", "50 to 60 %" */

/* "+12.3 MiB +- 0.4", with " ?" where it is within two errors or on too few samples. */
struct tm_words tm_words_figure(const struct tm_diff_figure *figure);

struct tm_words tm_words_estimate(const struct tm_estimate *estimate);

/* A paragraph, indented by two; its words may hold any byte. */
void tm_diff_paragraph(FILE *out, const char *words, bool utf8);

/* What is to be said of a snapshot in a line: "snapshot 2 of process 12 (prog), taken ...". */
void tm_diff_origin(FILE *out, const char *path, const struct tm_snapshot_file *snapshot,
                    bool utf8);

#endif
