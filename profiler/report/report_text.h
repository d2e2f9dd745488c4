/* report_text.h: the report for a person: at most 100 columns, verdict first, every table told in
 * words.
 */
#ifndef TIDEMARK_REPORT_TEXT_H
#define TIDEMARK_REPORT_TEXT_H

#include "profiler/report/analyse.h"

#include <stdio.h>

struct tm_text_options {
    size_t top;  /* rows of each long table; what is left out is summed in a last row */
    bool colour; /* bold headings by terminal escapes */
    bool utf8;   /* the terminal shows UTF-8 */
};

/* Prints the whole report. Nothing from the snapshot reaches `out` unescaped. */
void tm_report_text(FILE *out, const struct tm_report *report,
                    const struct tm_text_options *options);

/* The sections that report_text_heap.c prints: occupancy by class, arenas by fullness, what would
 * go back, spans. */
void tm_report_text_heap(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options);

/* The sections of call sites: report_text_held.c (who pins memory, what to fix first),
 * report_text_live.c (live blocks by site), report_text_cost.c (what Tidemark and the recording
 * cost). */
void tm_report_text_held(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options);
void tm_report_text_live(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options);
void tm_report_text_cost(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options);

/* A group's label, escaped, in up to so many columns. */
void tm_text_label(FILE *out, const struct tm_report *report, uint32_t group, size_t columns,
                   bool utf8);

/* A section's heading, and text wrapped at 100 columns behind an indent; for these files only. */
void tm_text_heading(FILE *out, const struct tm_text_options *options, const char *words);
void tm_text_wrap(FILE *out, size_t indent, size_t at, const char *words);
/* A paragraph of words with names from the file in them, escaped and cut to so many columns. */
void tm_text_escaped_paragraph(FILE *out, const char *words, size_t columns, bool utf8);

#endif
