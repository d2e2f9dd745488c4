/* estimate.c: see estimate.h. */
#include "profiler/report/estimate.h"

#include "profiler/report/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fewer pages, or recorded blocks, than this tell hardly more than that there is something. */
static const double too_few = 6;
/* Of fewer pages a class, or all small classes together, tell no variance. */
static const uint64_t few_pages = 4;

struct tm_estimate tm_estimate_exact(double value)
{
    return (struct tm_estimate){value, 0, value, value, true, false};
}

/* A block of b bytes counts for W = b / p, and (1 - p) W is never more than the rate. So the sum is
 * taken for a part that is certain and a Poisson count, in steps of the rate, of the same variance:
 * blocks much smaller than the rate are just that, and large ones are nearly certain. The limits of
 * a Poisson count are exact and allow for blocks of which none was sampled. */
struct tm_estimate tm_estimate_sum(double value, double variance, double rate)
{
    if (!(rate > 0))
        return tm_estimate_exact(value);
    double count = variance / rate / rate;
    double certain = value - variance / rate;
    if (certain < 0)
        certain = 0;
    return (struct tm_estimate){
        .value = value,
        .error = sqrt(variance),
        .low = certain + (count > 0 ? rate * tm_gamma_quantile(count, 0.025) : 0),
        .high = certain + rate * tm_gamma_quantile(count + 1, 0.975),
        .few = variance * too_few > value * value,
    };
}

uint64_t tm_whole(double value)
{
    if (!(value > 0))
        return 0;
    return value < 0x1p62 ? (uint64_t)(value + 0.5) : (uint64_t)1 << 62;
}

static int by_cell(const void *left, const void *right)
{
    const struct tm_cell *a = left;
    const struct tm_cell *b = right;
    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    if (a->size_class != b->size_class)
        return a->size_class < b->size_class ? -1 : 1;
    return (a->group > b->group) - (a->group < b->group);
}

size_t tm_cells_merge(struct tm_cell *cells, size_t count)
{
    size_t used = 0;
    qsort(cells, count, sizeof *cells, by_cell);
    for (size_t i = 0; i < count; i++) {
        if (used > 0 && by_cell(&cells[used - 1], &cells[i]) == 0)
            cells[used - 1].bytes += cells[i].bytes;
        else
            cells[used++] = cells[i];
    }
    return used;
}

static bool is_small(const struct tm_stratum *stratum)
{
    return stratum->chosen > 0 && stratum->pages_chosen < few_pages;
}

bool tm_ratio_make(struct tm_ratio *ratio, const struct tm_stratum *strata, size_t count,
                   uint32_t groups, const struct tm_cell *cells, size_t cell_count)
{
    *ratio = (struct tm_ratio){
        .strata = strata, .count = count, .groups = groups ? groups : 1, .exact = true};
    ratio->sums = calloc(cell_count + 1, sizeof *ratio->sums);
    ratio->first = calloc(count + 1, sizeof *ratio->first);
    ratio->scratch = calloc(ratio->groups, sizeof *ratio->scratch);
    if (!ratio->sums || !ratio->first || !ratio->scratch) {
        tm_ratio_free(ratio);
        return false;
    }
    memcpy(ratio->sums, cells, cell_count * sizeof *cells);
    for (size_t i = 0; i < cell_count; i++)
        ratio->sums[i].target = 0;
    cell_count = tm_cells_merge(ratio->sums, cell_count);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < cell_count && ratio->sums[at].size_class < i)
            at++;
        ratio->first[i] = at;
        ratio->exact = ratio->exact && strata[i].all == strata[i].chosen;
        if (strata[i].chosen > 0)
            ratio->total += strata[i].all;
        ratio->pages += strata[i].pages_chosen;
        if (is_small(&strata[i])) {
            ratio->small_total += strata[i].all;
            ratio->small_pages += strata[i].pages_chosen;
        }
    }
    ratio->first[count] = cell_count;
    return true;
}

void tm_ratio_free(struct tm_ratio *ratio)
{
    free(ratio->sums);
    free(ratio->first);
    free(ratio->scratch);
    *ratio = (struct tm_ratio){.sums = NULL};
}

double tm_ratio_factor(const struct tm_ratio *ratio, size_t size_class)
{
    const struct tm_stratum *stratum = &ratio->strata[size_class];
    return stratum->chosen > 0 ? stratum->all / stratum->chosen : 0;
}

/* What one size class adds to an estimate: value, the square sums that tell how many pages carry
 * it, and the variance of what the jackknife cannot see. */
struct sums {
    double value;
    double squares;  /* of what each group adds */
    double evenness; /* what squares would be if the groups were alike in each class */
    double variance;
    double small; /* value in small classes */
};

/* The share of the variance that is left because the pages not chosen are not endless. */
static double unchosen_share(const struct tm_stratum *stratum)
{
    if (stratum->pages_all <= stratum->pages_chosen)
        return 0;
    return 1 - (double)stratum->pages_chosen / (double)stratum->pages_all;
}

/* The variance of a figure that all chosen pages agree to be the target's alone: that of a share of
 * which one more page would have shown half. */
static double of_unseen(double figure, uint64_t pages)
{
    double count = (double)pages;
    return figure * figure * 0.5 / (count * (count + 1));
}

/* The variance in small classes, from the target's cells in all classes. What each page adds is
 * compared with the share that the target has in all of them; with too few for that, with 0. */
static double small_variance(const struct tm_ratio *ratio, const struct tm_cell *cells,
                             size_t count, double value)
{
    double pages = (double)ratio->small_pages;
    bool apart = ratio->small_pages < few_pages;
    double share = apart ? 0 : value / ratio->small_total;
    double variance = 0;
    size_t at = 0;
    for (size_t i = 0; i < ratio->count; i++) {
        if (!is_small(&ratio->strata[i]))
            continue;
        double factor = tm_ratio_factor(ratio, i);
        double left = unchosen_share(&ratio->strata[i]);
        for (size_t k = ratio->first[i]; k < ratio->first[i + 1]; k++) {
            const struct tm_cell *all = &ratio->sums[k];
            while (at < count && (cells[at].size_class < i ||
                                  (cells[at].size_class == i && cells[at].group < all->group)))
                at++;
            bool here = at < count && cells[at].size_class == i && cells[at].group == all->group;
            double part = factor * ((here ? cells[at].bytes : 0) - share * all->bytes);
            variance += left * part * part;
        }
    }
    if (apart)
        return variance;
    if (share >= 1 - 1e-9)
        return of_unseen(ratio->small_total, ratio->small_pages);
    return variance * pages / (pages - 1);
}

/* One class's cells. deleted: by group, what leaving the group out adds to the estimate. */
static void take_class(const struct tm_ratio *ratio, const struct tm_cell *cells, size_t count,
                       struct sums *sums, double *deleted)
{
    size_t size_class = cells[0].size_class;
    const struct tm_stratum *stratum = &ratio->strata[size_class];
    const struct tm_cell *all = ratio->sums + ratio->first[size_class];
    size_t all_count = ratio->first[size_class + 1] - ratio->first[size_class];
    double factor = tm_ratio_factor(ratio, size_class);
    if (!(stratum->chosen > 0))
        return; /* the file contradicts itself: nobody can be charged in no page */
    double left = unchosen_share(stratum);
    double mine = 0;
    double whole = 0;
    for (size_t i = 0; i < count; i++) {
        double part = factor * cells[i].bytes;
        mine += cells[i].bytes;
        sums->squares += part * part;
    }
    for (size_t i = 0; i < all_count; i++)
        whole += all[i].bytes;
    sums->value += factor * mine;
    sums->evenness += factor * mine * factor * mine / ratio->groups;
    if (is_small(stratum)) {
        sums->small += factor * mine;
        return;
    }
    if (mine >= whole * (1 - 1e-9))
        sums->variance += left * of_unseen(stratum->all, stratum->pages_chosen);
    size_t at = 0;
    for (size_t i = 0; i < all_count; i++) {
        while (at < count && cells[at].group < all[i].group)
            at++;
        double here = at < count && cells[at].group == all[i].group ? cells[at].bytes : 0;
        double rest = whole - all[i].bytes;
        /* The ratio that is left, times what the class has, less the estimate; where the group is
         * all there is, its part would go. */
        double change = rest > whole * 1e-9 ? ((mine - here) / rest - mine / whole) * whole : -mine;
        if (all[i].group < ratio->groups)
            deleted[all[i].group] += sqrt(left) * factor * change;
    }
}

/* The 95 % interval from value, variance and the pages that carry it. */
static void set_interval(const struct tm_ratio *ratio, struct tm_estimate *estimate, double pages)
{
    double total = ratio->total;
    double freedom = pages - 1 < ratio->groups - 1 ? pages - 1 : ratio->groups - 1;
    double share = total > 0 ? estimate->value / total : 0;
    if (share >= 1 - 1e-12) {
        /* Every chosen page is wholly the target's. The share of the others stays below what would
         * be met with 95 %, had it been there. */
        estimate->low = total * pow(0.05, 1 / (pages > 1 ? pages : 1));
        estimate->high = estimate->value > total ? estimate->value : total;
        return;
    }
    double reach = tm_t_quantile(freedom) * estimate->error / total / (share * (1 - share));
    double odds = log(share / (1 - share));
    estimate->low = total / (1 + exp(reach - odds));
    estimate->high = total / (1 + exp(-reach - odds));
}

struct tm_estimate tm_ratio_estimate(const struct tm_ratio *ratio, const struct tm_cell *cells,
                                     size_t count)
{
    struct sums sums = {.value = 0};
    double *deleted = ratio->scratch;
    memset(deleted, 0, ratio->groups * sizeof *deleted);
    for (size_t at = 0; at < count;) {
        size_t end = at + 1;
        while (end < count && cells[end].size_class == cells[at].size_class)
            end++;
        take_class(ratio, cells + at, end - at, &sums, deleted);
        at = end;
    }
    struct tm_estimate estimate = tm_estimate_exact(sums.value);
    estimate.exact = ratio->exact;
    if (ratio->exact || !(sums.value > 0))
        return estimate;
    if (sums.small > 0)
        sums.variance += small_variance(ratio, cells, count, sums.small);
    double groups = ratio->groups;
    double mean = 0;
    double spread = 0;
    for (size_t i = 0; i < ratio->groups; i++)
        mean += deleted[i] / groups;
    for (size_t i = 0; i < ratio->groups; i++)
        spread += (deleted[i] - mean) * (deleted[i] - mean);
    estimate.error = sqrt(sums.variance + spread * (groups - 1) / groups);
    /* Kish's effective number, with what falls into the same group by chance taken out. */
    double uneven = (sums.squares - sums.evenness) / (sums.value * sums.value);
    double pages = uneven > 1 / (double)(ratio->pages + 1) ? 1 / uneven : (double)ratio->pages;
    estimate.few = pages < too_few || ratio->groups < 2;
    set_interval(ratio, &estimate, pages);
    return estimate;
}
