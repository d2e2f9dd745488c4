/* sampler.c: see sampler.h.
 *
 * A block of b bytes is to be told with the probability p = 1 - exp(-b / rate), independently of
 * all others, and counts 1 / p times; so an estimate of bytes has the variance sum of (1 - p) / p *
 * b^2. The estimates must be the truth within 4.5 standard errors, and the squares of their errors,
 * round by round, must add up to the variances, within 4.5 standard errors of that.
 */
#include "tests/sites/sampler.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { SITE_SHIFT = 8 };

/* Bytes: true, and as the hooks have them. What theory says of the difference: its variance and
 * its fourth cumulant, which tells the variance of its square; and how many blocks are no samples.
 */
struct figure {
    double truth, estimate, variance, fourth, passed;
};

/* Of all rounds. */
struct sums {
    struct figure figure;
    double squares;          /* of the differences, round by round */
    double squares_variance; /* of that */
};

static struct site {
    struct figure allocated, live; /* of this round; live ones from round to round */
    struct sums all_allocated, all_live;
    int64_t live_samples;
} sites[SITES];

static double rate;
static _Thread_local unsigned here; /* the site that allocates */

static double chance_of(double bytes)
{
    return -expm1(-bytes / rate);
}

/* What one block of so many bytes adds. */
static const struct figure *figure_of(size_t bytes)
{
    enum { KEPT = 1024 };
    static _Thread_local struct {
        struct figure figure;
        double rate;
    } kept[KEPT];
    struct figure *figure = &kept[bytes / 16 % KEPT].figure;
    if (figure->truth != (double)bytes || kept[bytes / 16 % KEPT].rate != rate) {
        double size = (double)bytes, square = size * size;
        double p = chance_of(size), spread = (1 - p) / p;
        kept[bytes / 16 % KEPT].rate = rate;
        figure->truth = size;
        figure->estimate = size / p;
        figure->variance = spread * square;
        figure->fourth = spread * (1 - 6 * p * (1 - p)) / (p * p) * square * square;
        figure->passed = 1 - p;
    }
    return figure;
}

/* So many blocks of the size were taken. */
static void add(struct figure *figure, size_t bytes, double times)
{
    const struct figure *one = figure_of(bytes);
    figure->truth += times * one->truth;
    figure->variance += times * one->variance;
    figure->fourth += times * one->fourth;
    figure->passed += times * one->passed;
}

static uint64_t name(const struct tm_caller *caller)
{
    (void)caller;
    return (uint64_t)(here + 1) << SITE_SHIFT;
}

static uint64_t told(const void *block, size_t requested, size_t usable, unsigned why,
                     const struct tm_caller *caller)
{
    (void)block;
    assert_true(requested <= usable);
    assert_true(why != TM_WHY_IDENTITY);
    sites[here].allocated.estimate += figure_of(usable)->estimate;
    sites[here].live.estimate += figure_of(usable)->estimate;
    sites[here].live_samples++;
    return TM_CELL_COUNTED | name(caller);
}

static void ended(const void *block, size_t usable, uint64_t cell)
{
    (void)block;
    struct site *site = &sites[site_in_cell(cell) - 1];
    site->live.estimate -= figure_of(usable)->estimate;
    site->live_samples--;
}

/* ---- what a case does ---- */

uint64_t site_in_cell(uint64_t cell)
{
    return (cell & ~TM_CELL_COUNTED) >> SITE_SHIFT;
}

static void *note_taken(unsigned site, void *block)
{
    assert_non_null(block);
    size_t bytes = tm_usable_size(block);
    add(&sites[site].allocated, bytes, 1);
    add(&sites[site].live, bytes, 1);
    *(uint64_t *)block = site + 1;
    return block;
}

void *take(unsigned site, size_t size)
{
    here = site;
    return note_taken(site, tm_malloc(size));
}

void give(unsigned site, void *block)
{
    add(&sites[site].live, tm_usable_size(block), -1);
    tm_free(block);
}

void *regrow(unsigned site, void *block, size_t size)
{
    enum { POOLS_MAX = 32 * 1024 };
    size_t before = tm_usable_size(block);
    here = site;
    void *grown = tm_realloc(block, size);
    if (grown == block && before <= POOLS_MAX)
        return block;
    add(&sites[site].live, before, -1);
    return note_taken(site, grown);
}

static uint64_t state;

unsigned dice(unsigned below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % below);
}

void sampler_begin(double mean_bytes, uint32_t one_in)
{
    memset(sites, 0, sizeof sites);
    state = 1;
    rate = mean_bytes;
    tm_sample_set(TM_SAMPLE_OFF, 1, 0);
    tm_sample_follow_now();
    tm_sample_set(TM_SAMPLE_SOME, (uint64_t)mean_bytes, one_in);
    tm_sample_follow_now();
}

static void add_round(struct sums *sums, const struct figure *round)
{
    double off = round->estimate - round->truth;
    sums->figure.truth += round->truth;
    sums->figure.estimate += round->estimate;
    sums->figure.variance += round->variance;
    sums->figure.passed += round->passed;
    sums->squares += off * off;
    sums->squares_variance += round->fourth + 2 * round->variance * round->variance;
}

void end_round(void)
{
    for (struct site *site = sites; site < sites + SITES; site++) {
        add_round(&site->all_live, &site->live);
        add_round(&site->all_allocated, &site->allocated);
        site->allocated = (struct figure){0, 0, 0, 0, 0};
    }
}

void check_nothing_live(void)
{
    for (struct site *site = sites; site < sites + SITES; site++) {
        assert_int_equal(site->live_samples, 0);
        site->live = (struct figure){0, 0, 0, 0, 0};
    }
}

/* within: what the bound of the mean may be at most, as a part of the truth. */
static void check_sums(const char *what, unsigned site, const struct sums *sums, double within)
{
    enum { FEW = 1000 };
    const struct figure *all = &sums->figure;
    double bound = SIGMAS * sqrt(all->variance), off = all->estimate - all->truth;
    if (bound > within * all->truth)
        fail_msg("site %u, %s: the bound is %.2f %% of the truth; the case takes too few blocks",
                 site, what, 100 * bound / all->truth);
    /* Nearly every block is a sample: then it is not a normal deviation. */
    if (all->passed < FEW)
        bound = within * all->truth;
    if (fabs(off) > bound)
        fail_msg("site %u, %s: the estimate is off by %+.3f %%, where %.3f %% are to be expected",
                 site, what, 100 * off / all->truth, 100 * sqrt(all->variance) / all->truth);
    if (all->passed >= FEW &&
        fabs(sums->squares - all->variance) > SIGMAS * sqrt(sums->squares_variance))
        fail_msg("site %u, %s: the squares of the deviations are %.3f of what they should be, "
                 "where an error of %.3f is to be expected",
                 site, what, sums->squares / all->variance,
                 sqrt(sums->squares_variance) / all->variance);
}

void check(double within, double within_live)
{
    for (unsigned i = 0; i < SITES; i++)
        if (sites[i].all_allocated.figure.truth > 0) {
            check_sums("allocated", i, &sites[i].all_allocated, within);
            if (within_live > 0 && sites[i].all_live.figure.truth > 1)
                check_sums("live", i, &sites[i].all_live, within_live);
        }
}

void sampler_install(void)
{
    tm_sample_seed(1);
    atomic_store(&tm_hook_record, told);
    atomic_store(&tm_hook_name, name);
    atomic_store(&tm_hook_forget, ended);
}

/* ---- batches ---- */

static size_t size_of(unsigned i)
{
    static const size_t sizes[] = {64, 300, 1500, 40000};
    return sizes[i % 3 == 0 && i % 30 == 0 ? 3 : i % 3];
}

void *take_batch(void *given)
{
    struct batch *batch = given;
    for (unsigned i = 0; i < BATCH; i++)
        batch->blocks[i] = take(batch->site, size_of(i));
    return NULL;
}

void *give_and_take(void *given)
{
    struct batch *batches = given;
    for (unsigned i = 0; i < BATCH; i++) {
        give(batches[0].site, batches[0].blocks[i]);
        batches[1].blocks[i] = take(batches[1].site, size_of(i));
    }
    return NULL;
}

void in_thread(void *(*body)(void *), struct batch *batch)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, batch), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}
