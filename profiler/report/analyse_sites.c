/* analyse_sites.c: see analyse_sites.h. A group's key is a node of the stacks, or a text of the
 * symbol that stands for a site; both are turned into numbers from 1 on in the order of the sites,
 * so that the same file always gives the same groups.
 */
#include "profiler/report/analyse_sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tm_grouping_name(enum tm_grouping grouping)
{
    static const char *const names[TM_GROUPINGS] = {"stack", "function", "line",
                                                    "file",  "library",  "thread"};
    return names[grouping];
}

const char *tm_order_name(enum tm_order order)
{
    static const char *const names[TM_ORDERS] = {"held", "sole",      "live",
                                                 "peak", "allocated", "temporary"};
    return names[order];
}

/* One site on its way into a group. */
struct placed {
    uint32_t site; /* index in SITES */
    uint32_t node; /* its stack, cut as asked */
    uint32_t whole;
    struct tm_who who;
    uint64_t thread;
};

static int compare_text(const char *left, const char *right)
{
    return strcmp(left ? left : "", right ? right : "");
}

static int compare_number(uint64_t left, uint64_t right)
{
    return (left > right) - (left < right);
}

/* Where a function is unknown its address tells it from others. */
static int compare_function(const struct tm_who *a, const struct tm_who *b)
{
    int order = compare_text(a->symbol->module, b->symbol->module);
    if (order == 0)
        order = compare_text(a->symbol->function, b->symbol->function);
    if (order == 0 && !a->symbol->function)
        order = compare_number(a->address, b->address);
    return order;
}

static int compare_file(const struct tm_who *a, const struct tm_who *b)
{
    int order = compare_text(a->symbol->file, b->symbol->file);
    if (order == 0 && !a->symbol->file)
        order = compare_text(a->symbol->module, b->symbol->module);
    return order;
}

static int by_group(const void *left, const void *right, void *grouping)
{
    const struct placed *a = left;
    const struct placed *b = right;
    const struct tm_symbol *s = a->who.symbol;
    const struct tm_symbol *t = b->who.symbol;
    int order;
    switch (*(const enum tm_grouping *)grouping) {
    case TM_GROUP_FUNCTION:
        return compare_function(&a->who, &b->who);
    case TM_GROUP_LINE:
        order = compare_file(&a->who, &b->who);
        if (order == 0 && s->line != t->line)
            order = s->line < t->line ? -1 : 1;
        return order == 0 && s->line == 0 ? compare_function(&a->who, &b->who) : order;
    case TM_GROUP_FILE:
        return compare_file(&a->who, &b->who);
    case TM_GROUP_LIBRARY:
        return compare_text(s->module, t->module);
    case TM_GROUP_THREAD:
        return compare_number(a->thread, b->thread);
    default:
        return compare_number(a->node, b->node);
    }
}

static int by_group_then_stack(const void *left, const void *right, void *grouping)
{
    const struct placed *a = left;
    const struct placed *b = right;
    int order = by_group(a, b, grouping);
    if (order == 0)
        order = compare_number(a->whole, b->whole);
    return order ? order : compare_number(a->site, b->site);
}

static void add_site(struct tm_site_sums *sums, const struct tm_snapshot_site *site)
{
    /* Where nothing is live there is no birth. */
    if (site->live_samples && (!sums->live_samples || site->oldest_ns < sums->oldest_ns))
        sums->oldest_ns = site->oldest_ns;
    if (site->live_samples && site->youngest_ns > sums->youngest_ns)
        sums->youngest_ns = site->youngest_ns;
    sums->samples += site->samples;
    sums->live_samples += site->live_samples;
    sums->allocated_blocks += site->allocated_blocks;
    sums->allocated_bytes += site->allocated_bytes;
    sums->allocated_requested += site->allocated_requested;
    sums->temporary_blocks += site->temporary_blocks;
    sums->live_blocks += site->live_blocks;
    sums->live_bytes += site->live_bytes;
    sums->live_requested += site->live_requested;
    sums->span_bytes += site->span_bytes;
    sums->span_resident_bytes += site->span_resident_bytes;
    sums->peak_blocks += site->peak_blocks;
    sums->peak_bytes += site->peak_bytes;
    for (int i = 0; i < TM_LIFETIMES; i++)
        sums->ended_blocks[i] += site->ended_blocks[i];
    for (int i = 0; i < TM_BIRTHS; i++)
        sums->born_blocks[i] += site->born_blocks[i];
    for (int i = 0; i < TM_SIZE_STEPS; i++)
        sums->size_samples[i] += site->size_samples[i];
    sums->allocated_bytes_variance += site->allocated_bytes_variance;
    sums->live_blocks_variance += site->live_blocks_variance;
    sums->live_bytes_variance += site->live_bytes_variance;
}

/* Which stack stands for a group: the one with the most live bytes, then the most allocated. */
static bool weighs_more(const struct tm_site_sums *a, const struct tm_site_sums *b)
{
    if (a->live_bytes != b->live_bytes)
        return a->live_bytes > b->live_bytes;
    return a->allocated_bytes > b->allocated_bytes;
}

/* What the recorded pages charge each site, by index in SITES; before it is scaled. NULL: no
 * memory.
 */
static double *charges(const struct tm_snapshot_file *snapshot)
{
    size_t index;
    double *charged = calloc(snapshot->site_count + 1, sizeof *charged);
    for (size_t i = 0; charged != NULL && i < snapshot->held_count; i++)
        if (snapshot->held[i].site != TM_SITE_UNKNOWN &&
            tm_snapshot_site_known(snapshot, snapshot->held[i].site, &index))
            charged[index] += (double)snapshot->held[i].share_bytes;
    return charged;
}

/* Makes a group of sites that are next to each other, those of one whole stack together. */
static void make_group(const struct tm_snapshot_file *snapshot, struct tm_sites *sites,
                       const double *charged, const struct placed *first, size_t count)
{
    uint32_t number = (uint32_t)sites->count++;
    struct tm_group *group = &sites->groups[number];
    struct tm_site_sums most = {0};
    double most_held = 0;
    for (size_t at = 0; at < count;) {
        struct tm_site_sums stack = {0};
        double held = 0;
        size_t start = at;
        for (; at < count && first[at].whole == first[start].whole; at++) {
            const struct tm_snapshot_site *site = &snapshot->sites[first[at].site];
            sites->group_of_site[first[at].site] = number;
            add_site(&stack, site);
            add_site(&group->sums, site);
            held += charged[first[at].site];
        }
        group->stacks++;
        if (held > most_held) {
            most_held = held;
            group->held_node = first[start].whole;
        }
        if (group->stacks > 1 && !weighs_more(&stack, &most))
            continue;
        most = stack;
        group->who = first[start].who;
        group->node = first[start].whole;
        group->thread = first[start].thread;
    }
    if (most_held == 0)
        group->held_node = group->node;
}

static bool place_sites(const struct tm_snapshot_file *snapshot, const struct tm_view *view,
                        bool python, struct tm_sites *sites)
{
    struct placed *placed = calloc(snapshot->site_count + 1, sizeof *placed);
    size_t count = 0;
    double *charged = charges(snapshot);
    bool good = placed != NULL && charged != NULL;
    for (size_t i = 0; i < snapshot->site_count && good; i++) {
        uint32_t whole = sites->stacks.of_frame[snapshot->sites[i].frame];
        if (whole == 0) { /* its stack is not known, so nobody can be told to fix it */
            add_site(&sites->groups[TM_GROUP_UNKNOWN].sums, &snapshot->sites[i]);
            continue;
        }
        struct placed *next = &placed[count++];
        next->site = (uint32_t)i;
        next->whole = next->node = whole;
        if (view->depth > 0) {
            good = tm_stacks_cut(&sites->stacks, whole, view->depth, &next->node);
            if (view->grouping == TM_GROUP_STACK)
                next->whole = next->node;
        }
        next->who = tm_stacks_who(&sites->stacks, next->node, view->symbols, python);
        tm_stacks_thread(&sites->stacks, whole, &next->thread);
    }
    enum tm_grouping grouping = view->grouping;
    if (good)
        qsort_r(placed, count, sizeof *placed, by_group_then_stack, &grouping);
    for (size_t at = 0; at < count && good;) {
        size_t end = at + 1;
        while (end < count && by_group(&placed[at], &placed[end], &grouping) == 0)
            end++;
        make_group(snapshot, sites, charged, placed + at, end - at);
        at = end;
    }
    free(placed);
    free(charged);
    return good;
}

/* The recorder's own peak, or the timeline's where it has none. */
static uint64_t peak_of(const struct tm_snapshot_file *snapshot)
{
    uint64_t peak = snapshot->recording.peak_ns;
    uint64_t most = 0;
    for (size_t i = 0; i < snapshot->moment_count && snapshot->recording.peak_ns == 0; i++) {
        const struct tm_snapshot_moment *moment = &snapshot->moments[i];
        uint64_t used = moment->pool_bytes + moment->span_bytes + moment->mapping_bytes;
        if (used > most) {
            most = used;
            peak = moment->since_start_ns;
        }
    }
    return peak;
}

bool tm_sites_analyse(const struct tm_snapshot_file *snapshot, const struct tm_view *view,
                      bool python, struct tm_sites *sites)
{
    const struct tm_snapshot_recording *recording = &snapshot->recording;
    *sites = (struct tm_sites){.grouping = view->grouping, .count = 1};
    if (!tm_stacks_make(snapshot, &sites->stacks))
        return false;
    sites->group_of_site = calloc(snapshot->site_count + 1, sizeof *sites->group_of_site);
    sites->groups = calloc(snapshot->site_count + 1, sizeof *sites->groups);
    if (!sites->group_of_site || !sites->groups || !place_sites(snapshot, view, python, sites)) {
        tm_sites_free(sites);
        return false;
    }
    static const struct tm_symbol nobody = {.module = ""};
    sites->groups[TM_GROUP_UNKNOWN].who.symbol = &nobody;
    sites->sampled = snapshot->has_recording && (recording->ever & 1U << TM_SITES_SAMPLE ||
                                                 recording->sites == TM_SITES_SAMPLE);
    sites->complete = snapshot->has_recording && !sites->sampled &&
                      recording->sites == TM_SITES_ALL && recording->until_ns == 0;
    double rate = sites->sampled ? (double)recording->rate_bytes : 0;
    for (size_t i = 0; i < sites->count; i++) {
        struct tm_group *group = &sites->groups[i];
        const struct tm_site_sums *sums = &group->sums;
        group->live_bytes =
            tm_estimate_sum((double)sums->live_bytes, sums->live_bytes_variance, rate);
        /* Steps of blocks are as large as the rate in blocks of the site's mean size. */
        double blocks = (double)sums->live_blocks / TM_BLOCK_UNITS;
        double step = sums->live_bytes ? rate * blocks / (double)sums->live_bytes : 0;
        group->live_blocks = tm_estimate_sum(blocks, sums->live_blocks_variance, step);
        group->allocated_bytes =
            tm_estimate_sum((double)sums->allocated_bytes, sums->allocated_bytes_variance, rate);
    }
    for (size_t i = 0; i < snapshot->site_count; i++)
        add_site(&sites->total, &snapshot->sites[i]);
    sites->peak_ns = peak_of(snapshot);
    return true;
}

void tm_sites_free(struct tm_sites *sites)
{
    tm_stacks_free(&sites->stacks);
    free(sites->group_of_site);
    free(sites->groups);
    *sites = (struct tm_sites){.groups = NULL};
}

uint32_t tm_sites_group(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                        uint32_t number)
{
    size_t index;
    if (number == TM_SITE_UNKNOWN || !tm_snapshot_site_known(snapshot, number, &index))
        return TM_GROUP_UNKNOWN;
    return sites->group_of_site[index];
}

bool tm_group_peak_births(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                          const struct tm_group *group, unsigned *births, unsigned *time)
{
    const struct tm_snapshot_recording *recording = &snapshot->recording;
    uint64_t now = snapshot->process.since_start_ns;
    uint64_t all = 0;
    uint64_t near = 0;
    if (sites->peak_ns < recording->since_ns || sites->peak_ns > now || sites->peak_ns == 0 ||
        now <= recording->since_ns)
        return false;
    double part = (double)(sites->peak_ns - recording->since_ns) * TM_BIRTHS /
                  (double)(now - recording->since_ns);
    int peak = part >= TM_BIRTHS ? TM_BIRTHS - 1 : (int)part;
    int parts = 0;
    for (int i = 0; i < TM_BIRTHS; i++) {
        bool around = i >= peak - 1 && i <= peak + 1;
        all += group->sums.born_blocks[i];
        near += around ? group->sums.born_blocks[i] : 0;
        parts += around;
    }
    if (all == 0 || near > all)
        return false;
    *births = (unsigned)(100 * ((double)near / (double)all) + 0.5);
    *time = (unsigned)parts * 100 / TM_BIRTHS;
    return true;
}
