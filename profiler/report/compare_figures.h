/* compare_figures.h: the figures of `tidemark compare`: what each means, how it is computed from
 * runs, medians and spread. Pure arithmetic on results; owns no process and no file.
 */
#ifndef TIDEMARK_REPORT_COMPARE_FIGURES_H
#define TIDEMARK_REPORT_COMPARE_FIGURES_H

#include "profiler/report/allocators.h"
#include "profiler/report/compare_run.h"

#include <stdbool.h>
#include <stddef.h>

enum tm_figure {
    TM_FIGURE_PEAK, /* the highest sample; the kernel's high-water mark of one process where that is
                       higher */
    TM_FIGURE_MEAN, /* mean over time, first to last sample (trapezoids) */
    TM_FIGURE_FINAL, /* the last sample while a process was alive */
    TM_FIGURE_AFTER, /* mean over time from the highest sample to the last */
    TM_FIGURE_MINOR, /* page faults without I/O */
    TM_FIGURE_MAJOR, /* page faults with I/O */
    TM_FIGURE_USER,
    TM_FIGURE_SYSTEM,
    TM_FIGURE_WALL,
    TM_FIGURES,
};

enum tm_unit { TM_UNIT_BYTES, TM_UNIT_COUNT, TM_UNIT_SECONDS };

struct tm_figure_kind {
    const char *key;     /* in CSV and JSON */
    const char *title;   /* in tables */
    const char *meaning; /* one sentence */
    enum tm_unit unit;
};

extern const struct tm_figure_kind tm_figure_kinds[TM_FIGURES];

/* Everything that a comparison found. runs[row * repeat + n]. */
struct tm_comparison {
    struct tm_allocator_set set;
    struct tm_compare_run *runs;
    unsigned repeat;     /* runs of each row that were wanted */
    unsigned done;       /* of each row that took place */
    const char *command; /* as one line */
    double interval;     /* wanted seconds between samples */
};

static inline const struct tm_compare_run *tm_run_of(const struct tm_comparison *all, unsigned row,
                                                     unsigned n)
{
    return &all->runs[row * all->repeat + n];
}

/* The figures of one run; NAN where it has none (a peak at the very end has no time after it). */
void tm_figures_of_run(const struct tm_compare_run *run, double figures[TM_FIGURES]);

struct tm_summary {
    double median, low, high; /* over the runs that did not fail; NAN: none */
};

struct tm_summary tm_summary_of(const struct tm_comparison *all, unsigned row,
                                enum tm_figure figure);

/* The row that ratios refer to. */
unsigned tm_reference_row(const struct tm_comparison *all);

/* median / the reference row's median; NAN where either is missing or the reference is 0. */
double tm_ratio_of(const struct tm_comparison *all, unsigned row, enum tm_figure figure);

/* The run whose peak is nearest to the row's median peak: the one a chart shows in full; -1: all
 * failed. */
int tm_typical_run(const struct tm_comparison *all, unsigned row);

/* "412.3 MiB", "1.53 s", "104 482"; "-" for NAN. Writes to `text`, returns it. */
enum { TM_FIGURE_TEXT = 32 };
char *tm_figure_text(enum tm_unit unit, double value, char text[TM_FIGURE_TEXT]);

#endif
