/* estimate.h: figures that are known from samples, with their error, and how they come from what a
 * snapshot tells.
 *
 * Two kinds of sample are in a snapshot. Allocations are a Poisson sample: a sum over them is
 * unbiased and brings its variance along. Pools are chosen at random, and what is true of the
 * chosen ones of a size class is scaled up to all of them by what is known of all (a ratio
 * estimate): pinned bytes for what is held, resident bytes of pages with a live block for what
 * comes back. The chosen pages were split into groups at random; the delete-a-group jackknife
 * (Wolter, Introduction to Variance Estimation, chapters 2 and 4) tells the variance from how the
 * estimate changes when a group is left out. Classes of which hardly a page was chosen have no
 * variance of their own: they are taken together, and each page's distance from what all of them
 * show counts (collapsed strata, chapter 2 of the same). Intervals are of 95 %. They are made on
 * the scale of the log odds of the share, where the estimate's distribution is less skewed than on
 * its own, and with as many degrees of freedom as there are pages that carry the estimate: the
 * jackknife knows a variance only as well as that. tests/report/test_coverage.c shows how often
 * they hold.
 */
#ifndef TIDEMARK_REPORT_ESTIMATE_H
#define TIDEMARK_REPORT_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_estimate {
    double value;
    double error;     /* standard error; 0 where exact */
    double low, high; /* the truth lies between them with 95 % */
    bool exact;       /* nothing was sampled */
    bool few;         /* error and interval rest on too few samples to be relied on */
};

struct tm_estimate tm_estimate_exact(double value);

/* Of a sum over blocks that were sampled by bytes, and its unbiased variance. rate: mean bytes
 * between samples; 0: everything was recorded. */
struct tm_estimate tm_estimate_sum(double value, double variance, double rate);

/* The same two figures as whole bytes, never negative. */
uint64_t tm_whole(double value);

/* Part of a figure: what is known of one target (whatever the caller counts) in the chosen pages of
 * a size class and random group. */
struct tm_cell {
    uint32_t target;
    uint16_t size_class;
    uint16_t group;
    double bytes;
};

/* Sorts by target, size class and group, and adds up cells of the same three. Returns how many
 * there are then. */
size_t tm_cells_merge(struct tm_cell *cells, size_t count);

/* A size class: the figure that is known of all pages that could have been chosen, the same of the
 * chosen ones, and how many pages have a part in it. */
struct tm_stratum {
    double all, chosen;
    uint64_t pages_all, pages_chosen;
};

struct tm_ratio {
    const struct tm_stratum *strata; /* by size class, the caller's */
    size_t count;
    uint32_t groups;
    struct tm_cell *sums; /* of all targets, by size class and group */
    size_t *first;        /* of each size class in sums; one more for the end */
    double total;         /* of `all` where there is a chosen page */
    uint64_t pages;       /* chosen */
    double small_total;   /* of `all` in classes with a few chosen pages only */
    uint64_t small_pages; /* chosen ones of these */
    double *scratch;      /* for one estimate after the other: of each group */
    bool exact;           /* every page was chosen */
};

/* cells: of all targets together, in any order. False when memory runs out; then nothing is left to
 * free. */
bool tm_ratio_make(struct tm_ratio *ratio, const struct tm_stratum *strata, size_t count,
                   uint32_t groups, const struct tm_cell *cells, size_t cell_count);
void tm_ratio_free(struct tm_ratio *ratio);

/* What one byte in a chosen page of the class stands for; 0: no page was chosen. */
double tm_ratio_factor(const struct tm_ratio *ratio, size_t size_class);

/* The estimate for one target from its merged cells. */
struct tm_estimate tm_ratio_estimate(const struct tm_ratio *ratio, const struct tm_cell *cells,
                                     size_t count);

#endif
