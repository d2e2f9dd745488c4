/* test_coverage.c: how often the 95 % intervals of estimates hold the truth. Heaps are made up at
 * random, page by page with the bytes that each site holds there, pages are chosen as the allocator
 * chooses them, and the estimates from the chosen ones are compared with what was made up. The
 * intervals must hold the truth at least 92 times in 100 where ten or more chosen pages are to be
 * expected to hold the site, and most of the time must say that there are too few where at most two
 * do. The same for live bytes of sampled blocks. Deterministic; `test_coverage all` prints a table
 * of more cases.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/estimate.h"
#include "profiler/report/statistics.h"
#include "tests/report/snapshot_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 24, SITES = 20, PAGES = 10000, BINS = 5 };

/* How the sites share the pages. */
enum mix { HOMOGENEOUS, MIXED, RARE, HEAVY, SIZES, MIXES };
static const char *const mix_names[MIXES] = {"one site a page", "mixed pages", "rare sites",
                                             "heavy tails", "many sizes"};

static struct {
    double bytes[SITES];
    unsigned size_class;
} pages[PAGES];

/* Cases by the number of chosen pages that may be expected to hold the site: all that do, divided
 * by one_in. (By how many turned out to do would sort the bad luck together.) */
static const char *const bin_names[BINS] = {"below 2", "2-9", "10-19", "20-49", "50 and more"};
struct bin {
    unsigned cases, held, few;
    unsigned held_not_few; /* of those that are not few, the ones that hold */
};

static uint64_t state;

static double uniform(void)
{
    return ((double)(fixture_next(&state) >> 11) + 0.5) * 0x1p-53;
}

static double exponential(void)
{
    return -log(uniform());
}

static double normal(void)
{
    return sqrt(2 * exponential()) * cos(2 * 3.14159265358979 * uniform());
}

static void make_page(size_t index, enum mix mix)
{
    double *bytes = pages[index].bytes;
    memset(bytes, 0, sizeof pages[index].bytes);
    double pinned = mix == HEAVY ? fmin(exp(6 + 1.2 * normal()), 4080) : 60 + 4000 * uniform();
    /* Sizes have sites of their own preference. */
    size_t shift = pages[index].size_class * 3;
    if (mix == SIZES)
        mix = fixture_next(&state) % 2 ? HOMOGENEOUS : MIXED;
    if (mix == HOMOGENEOUS || mix == HEAVY) {
        bytes[((size_t)(8 * uniform() * uniform()) + shift) % SITES] = pinned;
        return;
    }
    double weights[SITES] = {0};
    double sum = 0;
    for (size_t i = 0; i < SITES; i++) {
        if (mix == MIXED && i < 8 && uniform() > 0.3)
            weights[i] = exponential() / (double)(1 + i);
        if (mix == RARE && uniform() < 0.3 / (double)(i + 1))
            weights[i] = 0.3 * uniform();
        if (mix == RARE && i == 0)
            weights[i] = 1;
        sum += weights[i];
    }
    for (size_t i = 0; i < SITES && sum > 0; i++)
        bytes[(i + shift) % SITES] = pinned * weights[i] / sum;
}

static void make_pages(size_t count, enum mix mix)
{
    for (size_t i = 0; i < count; i++) {
        /* Half of them of one size, and a size that has hardly any. */
        double dice = uniform();
        pages[i].size_class = dice < 0.5 ? 0 : dice < 0.99 ? 1 : 2;
        if (mix == SIZES) /* all of them, some of which a page or two is chosen */
            pages[i].size_class = (unsigned)(CLASSES * uniform() * uniform());
        make_page(i, mix);
    }
}

/* One choice of pages, and the estimate of every site from it. */
static void choose(size_t count, uint32_t one_in, uint32_t groups, struct bin *bins)
{
    static struct tm_cell cells[PAGES * SITES];
    struct tm_stratum strata[CLASSES] = {0};
    double truth[SITES][CLASSES] = {0};
    unsigned holding[SITES] = {0};
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct tm_stratum *stratum = &strata[pages[i].size_class];
        bool chosen = fixture_next(&state) % one_in == 0;
        uint16_t group = (uint16_t)(fixture_next(&state) % groups);
        stratum->pages_all++;
        stratum->pages_chosen += chosen;
        for (uint32_t site = 0; site < SITES; site++) {
            double bytes = pages[i].bytes[site];
            holding[site] += bytes > 0;
            stratum->all += bytes;
            truth[site][pages[i].size_class] += bytes;
            if (!chosen || bytes == 0)
                continue;
            stratum->chosen += bytes;
            cells[used++] = (struct tm_cell){site, (uint16_t)pages[i].size_class, group, bytes};
        }
    }
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, CLASSES, groups, cells, used));
    used = tm_cells_merge(cells, used);
    for (size_t at = 0; at < used;) {
        size_t end = at;
        uint32_t site = cells[at].target;
        double of_chosen_sizes = 0;
        while (end < used && cells[end].target == site)
            end++;
        struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells + at, end - at);
        for (size_t i = 0; i < CLASSES; i++)
            of_chosen_sizes += strata[i].chosen > 0 ? truth[site][i] : 0;
        double expected = (double)holding[site] / one_in;
        struct bin *bin = &bins[expected < 2    ? 0
                                : expected < 10 ? 1
                                : expected < 20 ? 2
                                : expected < 50 ? 3
                                                : 4];
        bool holds = estimate.low <= of_chosen_sizes * (1 + 1e-9) &&
                     of_chosen_sizes <= estimate.high * (1 + 1e-9);
        bin->cases++;
        bin->few += estimate.few;
        bin->held += holds;
        bin->held_not_few += holds && !estimate.few;
        at = end;
    }
    tm_ratio_free(&ratio);
}

static bool talkative;

/* Heaps of `count` pages, each chosen from many times. */
static void try_mix(enum mix mix, size_t count, uint32_t one_in, uint32_t groups, unsigned heaps,
                    struct bin *bins)
{
    memset(bins, 0, BINS * sizeof *bins);
    for (unsigned heap = 0; heap < heaps; heap++) {
        make_pages(count, mix);
        for (int i = 0; i < 20; i++)
            choose(count, one_in, groups, bins);
    }
    for (int i = 0; i < BINS && talkative; i++)
        if (bins[i].cases > 0)
            print_message("%-16s %5zu pages, 1 in %2u, %2u groups, %-11s: %6u cases, %5.1f %% "
                          "hold, %5.1f %% too few, of the others %5.1f %% hold\n",
                          mix_names[mix], count, one_in, groups, bin_names[i], bins[i].cases,
                          100.0 * bins[i].held / bins[i].cases, 100.0 * bins[i].few / bins[i].cases,
                          100.0 * bins[i].held_not_few / (bins[i].cases - bins[i].few + 1e-9));
}

static void test_intervals_hold(void **unused)
{
    (void)unused;
    static const struct {
        size_t pages;
        uint32_t one_in, groups;
        unsigned heaps;
    } settings[] = {{500, 16, 32, 40}, {3000, 16, 16, 12}, {800, 4, 32, 20}};
    state = 1;
    for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++) {
        for (enum mix mix = 0; mix < MIXES; mix++) {
            struct bin bins[BINS];
            try_mix(mix, settings[k].pages, settings[k].one_in, settings[k].groups,
                    settings[k].heaps, bins);
            for (int i = 2; i < BINS; i++)
                if (bins[i].cases >= 400 && bins[i].held * 100 < bins[i].cases * 92)
                    fail_msg("%s, %zu pages, held by %s: %u of %u intervals hold", mix_names[mix],
                             settings[k].pages, bin_names[i], bins[i].held, bins[i].cases);
            if (bins[0].cases >= 400 && bins[0].few * 100 < bins[0].cases * 90)
                fail_msg("%s: one page or two were enough in %u of %u cases", mix_names[mix],
                         bins[0].cases - bins[0].few, bins[0].cases);
            if (bins[4].cases > 0 && bins[4].few * 100 > bins[4].cases)
                fail_msg("%s: 50 pages were too few in %u of %u cases", mix_names[mix], bins[4].few,
                         bins[4].cases);
        }
    }
}

/* How many blocks pass before one is sampled. */
static unsigned gap(double p)
{
    return (unsigned)fmin(floor(exponential() / -log1p(-p)), 1e9);
}

/* Blocks of several sizes, sampled by bytes: each counts for 1 / p. */
static void test_sampled_blocks(void **unused)
{
    (void)unused;
    static const double sizes[] = {64, 4096, 200000, 5000000};
    static const unsigned blocks[][4] = {
        {100000, 0, 0, 0}, {0, 2000, 0, 0}, {50000, 500, 0, 0}, {20000, 300, 20, 3}, {0, 0, 8, 0}};
    const double rate = 512 * 1024;
    state = 2;
    for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
        unsigned held = 0;
        unsigned told = 0;
        enum { TRIALS = 1500 };
        double truth = 0;
        for (int i = 0; i < 4; i++)
            truth += sizes[i] * blocks[k][i];
        for (int trial = 0; trial < TRIALS; trial++) {
            double sum = 0;
            double variance = 0;
            for (int i = 0; i < 4; i++) {
                double p = 1 - exp(-sizes[i] / rate);
                unsigned at = gap(p);
                while (at < blocks[k][i]) {
                    sum += sizes[i] / p;
                    variance += (1 - p) / (p * p) * sizes[i] * sizes[i];
                    at += 1 + gap(p);
                }
            }
            struct tm_estimate estimate = tm_estimate_sum(sum, variance, rate);
            if (sum <= 0)
                continue;
            told++;
            held += estimate.low <= truth && truth <= estimate.high;
        }
        if (talkative)
            print_message("live bytes, case %zu: %u of %d told, %.1f %% hold\n", k, told, TRIALS,
                          100.0 * held / told);
        if (held * 100 < told * 93)
            fail_msg("blocks %zu: %u of %u intervals hold", k, held, told);
    }
}

static void assert_near(double value, double expected, double within)
{
    if (fabs(value - expected) > within)
        fail_msg("%.9g is not %.9g", value, expected);
}

static void test_quantiles(void **unused)
{
    (void)unused;
    /* Exact limits of a Poisson count of n are gamma quantiles of shapes n and n + 1 (tables). */
    assert_near(tm_gamma_quantile(1, 0.025), 0.025318, 1e-6);
    assert_near(tm_gamma_quantile(11, 0.975), 18.39036, 1e-4);
    assert_near(tm_gamma_quantile(10, 0.025), 4.795389, 1e-5);
    assert_near(tm_gamma_quantile(100, 0.025), 81.36395, 1e-3);
    /* Where the method changes both must agree. */
    assert_near(tm_gamma_quantile(300, 0.975) / tm_gamma_quantile(300.001, 0.975), 1, 1e-4);
    assert_near(tm_t_quantile(1), 12.7062, 1e-4);
    assert_near(tm_t_quantile(5), 2.5706, 1e-4);
    assert_near(tm_t_quantile(15), 2.1314, 1e-3);
    assert_near(tm_t_quantile(31), 2.0395, 1e-3);
    assert_near(tm_t_quantile(0.2), 12.7062, 1e-4);
}

/* Two classes by hand: all of the first was chosen, half of the second. */
static void test_ratio_by_hand(void **unused)
{
    (void)unused;
    static const struct tm_stratum strata[] = {{1000, 1000, 10, 10}, {8000, 4000, 40, 20}};
    struct tm_cell cells[] = {{1, 0, 0, 600}, {2, 0, 1, 400},  {1, 1, 0, 700}, {1, 1, 1, 300},
                              {2, 1, 0, 900}, {2, 1, 1, 2000}, {2, 1, 1, 100}};
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, 2, 2, cells, 7));
    assert_int_equal(tm_cells_merge(cells, 7), 6);
    struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells, 3);
    assert_near(estimate.value, 600 + 2 * 1000, 1e-9);
    /* Without group 0: 8000 * 300 / 2400 = 1000, without group 1: 8000 * 700 / 1600 = 3500. Mean
     * 2250, so 2 * 1250^2 * (2 - 1) / 2, times 1 - 20 / 40 for the half that was chosen. */
    assert_near(estimate.error, sqrt(1250.0 * 1250 / 2), 1e-9);
    assert_false(estimate.exact);
    assert_true(estimate.low < 2600 && estimate.high > 2600 && estimate.high < 9000);
    tm_ratio_free(&ratio);

    static const struct tm_stratum whole[] = {{1000, 1000, 10, 10}, {4000, 4000, 20, 20}};
    assert_true(tm_ratio_make(&ratio, whole, 2, 2, cells, 6));
    estimate = tm_ratio_estimate(&ratio, cells, 3);
    assert_true(estimate.exact);
    assert_near(estimate.value, 1600, 0);
    assert_near(estimate.error, 0, 0);
    tm_ratio_free(&ratio);
}

/* Classes with two chosen pages each are taken together, by hand. */
static void test_small_classes(void **unused)
{
    (void)unused;
    static const struct tm_stratum strata[] = {{2000, 1000, 4, 2}, {2000, 1000, 4, 2}};
    struct tm_cell cells[] = {{1, 0, 0, 300}, {1, 1, 0, 100}, {2, 0, 0, 200},
                              {2, 0, 1, 500}, {2, 1, 0, 400}, {2, 1, 1, 500}};
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, 2, 4, cells, 6));
    struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells, 2);
    assert_near(estimate.value, 800, 1e-9);
    /* A fifth of 4000. Each of four pages of 500, counted twice, should show 200 and shows 600, 0,
     * 200 and 0; half of the pages are known: (400^2 + 2 * 200^2) / 2 * 4 / 3. */
    assert_near(estimate.error, 400, 1e-9);
    tm_ratio_free(&ratio);
    /* All four are one target's: as if a fifth had shown half. */
    struct tm_cell alone[] = {{1, 0, 0, 500}, {1, 0, 1, 500}, {1, 1, 0, 500}, {1, 1, 1, 500}};
    assert_true(tm_ratio_make(&ratio, strata, 2, 4, alone, 4));
    assert_near(tm_ratio_estimate(&ratio, alone, 4).error, sqrt(4000.0 * 4000 / 2 / (4 * 5)), 1e-9);
    tm_ratio_free(&ratio);
}

/* Where all chosen pages of a class are in one group, leaving it out leaves nothing. */
static void test_one_group(void **unused)
{
    (void)unused;
    static const struct tm_stratum strata[] = {{4000, 1000, 16, 4}};
    struct tm_cell cells[] = {{1, 0, 1, 400}, {2, 0, 1, 600}};
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, 1, 4, cells, 2));
    struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells, 1);
    assert_near(estimate.value, 1600, 1e-9);
    /* 1600 in one of four groups, 0 in the others: 1600^2 * 3 / 4 * 3 / 4, times 12 of 16 pages. */
    assert_near(estimate.error, 1600 * 0.75 * sqrt(0.75), 1e-9);
    assert_true(estimate.few);
    tm_ratio_free(&ratio);
}

/* A class that is wholly one target's is not taken for certain. */
static void test_own_class(void **unused)
{
    (void)unused;
    static const struct tm_stratum strata[] = {{8000, 4000, 40, 20}, {8000, 4000, 40, 20}};
    struct tm_cell cells[] = {{1, 0, 0, 2000}, {1, 0, 1, 2000}, {2, 1, 0, 2000}, {2, 1, 1, 2000}};
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, 2, 2, cells, 4));
    struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells, 2);
    assert_near(estimate.value, 8000, 1e-9);
    assert_near(estimate.error, sqrt(8000.0 * 8000 / 2 / (20 * 21) / 2), 1e-9);
    tm_ratio_free(&ratio);
}

/* One chosen page of its size tells no error of itself: it must not pass for certain. */
static void test_single_page(void **unused)
{
    (void)unused;
    static const struct tm_stratum strata[] = {{64000, 1000, 64, 1}};
    const struct tm_cell cells[] = {{1, 0, 3, 1000}};
    struct tm_ratio ratio;
    assert_true(tm_ratio_make(&ratio, strata, 1, 32, cells, 1));
    struct tm_estimate estimate = tm_ratio_estimate(&ratio, cells, 1);
    assert_near(estimate.value, 64000, 1e-9);
    assert_near(estimate.error, 64000 * sqrt(63.0 / 64), 1e-6);
    assert_true(estimate.few);
    assert_true(estimate.low < 4000);
    tm_ratio_free(&ratio);
}

static int print_table(void)
{
    static const size_t counts[] = {150, 500, 2000, 8000};
    static const uint32_t groups[] = {8, 16, 32, 64};
    talkative = true;
    state = 3;
    for (enum mix mix = 0; mix < MIXES; mix++)
        for (size_t i = 0; i < 4; i++)
            for (size_t k = 0; k < 4; k++) {
                struct bin bins[BINS];
                try_mix(mix, counts[i], 16, groups[k], counts[i] > 1000 ? 15 : 60, bins);
            }
    test_sampled_blocks(NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),      cmocka_unit_test(test_ratio_by_hand),
        cmocka_unit_test(test_single_page),    cmocka_unit_test(test_small_classes),
        cmocka_unit_test(test_own_class),      cmocka_unit_test(test_one_group),
        cmocka_unit_test(test_intervals_hold), cmocka_unit_test(test_sampled_blocks),
    };
    if (argc > 1 && strcmp(argv[1], "all") == 0)
        return print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
