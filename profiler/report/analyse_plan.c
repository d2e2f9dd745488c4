/* analyse_plan.c: see analyse_plan.h. Each step looks at all distinct sets of pages, less the
 * groups that are fixed already. One group's gain is a sum over them. Of several groups, the gain
 * of a set is that of all its subsets; it is looked at only if a bound that costs nothing (each
 * set's bytes shared out among its members) lets it win, and in all at most so many subsets a step,
 * so that a hostile file takes seconds and not days.
 */
#include "profiler/report/analyse_plan.h"

#include "profiler/report/plan_sets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t most_lookups = 4000000; /* of subsets, in one step */
/* A step is none that brings less than a page, or than this part of those before it. */
static const double least_gain = 4096;
static const double least_part = 0.01;

struct planner {
    const struct tm_snapshot_file *snapshot;
    const struct tm_sites *sites;
    const struct tm_held *held;
    bool *fixed;                 /* by group */
    double *gain;                /* by group: what it brings alone */
    double *bound;               /* by group: its part of all that it has a part in */
    struct tm_plan_sets all;     /* the snapshot's sets, those of equal groups together */
    struct tm_plan_sets missing; /* the same without the groups that are fixed */
    uint32_t *members;           /* of missing */
    size_t *candidates;          /* sets of missing that may win */
};

struct choice {
    uint32_t groups[TM_PLAN_GROUPS];
    size_t count;
    double gain;
};

static double spans_of(const struct planner *planner, uint32_t group)
{
    return (double)planner->sites->groups[group].sums.span_resident_bytes;
}

static void collect_sets(struct planner *planner)
{
    const struct tm_held *held = planner->held;
    for (size_t i = 0; i < planner->snapshot->set_count; i++) {
        const struct tm_snapshot_set *set = &planner->snapshot->sets[i];
        const uint32_t *members = held->members + held->sets[i].first;
        double bytes =
            (double)set->resident_bytes * tm_ratio_factor(&held->resident, set->size_class);
        /* The unknown group is number 0 and so the first of a set. */
        if (held->sets[i].count > 0 && held->sets[i].count <= TM_PLAN_GROUPS &&
            members[0] != TM_GROUP_UNKNOWN && bytes > 0)
            tm_plan_sets_add(&planner->all, members, held->sets[i].count, bytes);
    }
}

/* Takes the fixed groups out of all sets, leaves out those that miss more than `room` groups, and
 * sums up what each group brings. */
static void look_anew(struct planner *planner, size_t room)
{
    size_t used = 0;
    tm_plan_sets_clear(&planner->missing);
    for (size_t i = 0; i < planner->all.count; i++) {
        const struct tm_plan_set *set = &planner->all.sets[i];
        uint32_t *members = planner->members + used;
        uint32_t count = 0;
        for (uint32_t k = 0; k < set->count; k++)
            if (!planner->fixed[set->members[k]])
                members[count++] = set->members[k];
        if (count == 0 || count > room)
            continue;
        tm_plan_sets_add(&planner->missing, members, count, set->bytes);
        used += count;
    }
    for (uint32_t i = 0; i < planner->sites->count; i++)
        planner->gain[i] = planner->bound[i] = spans_of(planner, i);
    for (size_t i = 0; i < planner->missing.count; i++) {
        const struct tm_plan_set *set = &planner->missing.sets[i];
        if (set->count == 1)
            planner->gain[set->members[0]] += set->bytes;
        for (uint32_t k = 0; k < set->count; k++)
            planner->bound[set->members[k]] += set->bytes / set->count;
    }
}

/* At least what each group of the set would bring on average. */
static double bound_of(const struct planner *planner, const struct tm_plan_set *set)
{
    double sum = 0;
    for (uint32_t i = 0; i < set->count; i++)
        sum += planner->bound[set->members[i]];
    return sum / set->count;
}

static int by_bytes_down(const void *left, const void *right, void *sets)
{
    const struct tm_plan_set *a = (const struct tm_plan_set *)sets + *(const size_t *)left;
    const struct tm_plan_set *b = (const struct tm_plan_set *)sets + *(const size_t *)right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return (a > b) - (a < b);
}

static void take_if_better(struct choice *best, const uint32_t *groups, uint32_t count, double gain)
{
    /* A hair more, so that the order of a sum does not decide. */
    if (best->count > 0 && gain / count <= best->gain / (double)best->count * (1 + 1e-12))
        return;
    memcpy(best->groups, groups, count * sizeof *groups);
    best->count = count;
    best->gain = gain;
}

/* The choice with the most bytes for each group, of up to `room` groups. */
static struct choice choose(struct planner *planner, size_t room)
{
    struct choice best = {.count = 0};
    look_anew(planner, room);
    for (uint32_t i = 0; i < planner->sites->count; i++)
        if (i != TM_GROUP_UNKNOWN && !planner->fixed[i])
            take_if_better(&best, &i, 1, planner->gain[i]);
    size_t count = 0;
    for (size_t i = 0; i < planner->missing.count; i++) {
        const struct tm_plan_set *set = &planner->missing.sets[i];
        if (set->count > 1 && bound_of(planner, set) > best.gain)
            planner->candidates[count++] = i;
    }
    qsort_r(planner->candidates, count, sizeof *planner->candidates, by_bytes_down,
            planner->missing.sets);
    uint64_t lookups = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tm_plan_set *set = &planner->missing.sets[planner->candidates[i]];
        if (bound_of(planner, set) * (double)best.count <= best.gain || lookups > most_lookups)
            continue;
        double gain = tm_plan_sets_within(&planner->missing, set->members, set->count);
        for (uint32_t k = 0; k < set->count; k++)
            gain += spans_of(planner, set->members[k]);
        take_if_better(&best, set->members, set->count, gain);
        lookups += UINT64_C(1) << set->count;
    }
    return best;
}

static bool is_covered(const struct planner *planner, size_t index)
{
    const struct tm_group_set *set = &planner->held->sets[index];
    for (uint32_t i = 0; i < set->count; i++)
        if (!planner->fixed[planner->held->members[set->first + i]])
            return false;
    return set->count > 0;
}

/* The sum of two independent estimates. Its limits are as far off as theirs together, as the sides
 * of a right angle are. */
static struct tm_estimate add(struct tm_estimate a, struct tm_estimate b)
{
    return (struct tm_estimate){
        .value = a.value + b.value,
        .error = hypot(a.error, b.error),
        .low = a.value + b.value - hypot(a.value - a.low, b.value - b.low),
        .high = a.value + b.value + hypot(a.high - a.value, b.high - b.value),
        .exact = a.exact && b.exact,
        .few = (a.few && a.value >= b.value / 4) || (b.few && b.value >= a.value / 4),
    };
}

/* What comes back of all that is fixed. cells: room for one for each set. */
static void evaluate(const struct planner *planner, struct tm_cell *cells,
                     struct tm_plan_step *step)
{
    for (int pages = 0; pages < 2; pages++) {
        size_t count = 0;
        for (size_t i = 0; i < planner->snapshot->set_count; i++) {
            const struct tm_snapshot_set *set = &planner->snapshot->sets[i];
            if (is_covered(planner, i))
                cells[count++] =
                    (struct tm_cell){0, set->size_class, set->group,
                                     (double)(pages ? set->resident_bytes : set->held_bytes)};
        }
        count = tm_cells_merge(cells, count);
        if (pages)
            step->pages = tm_ratio_estimate(&planner->held->resident, cells, count);
        else
            step->held = tm_ratio_estimate(&planner->held->pinned, cells, count);
    }
    double spans = 0;
    double variance = 0;
    for (uint32_t i = 0; i < planner->sites->count; i++) {
        if (!planner->fixed[i] || spans_of(planner, i) <= 0)
            continue;
        spans += spans_of(planner, i);
        /* That of all its live bytes: never less than that of its spans. */
        variance += planner->sites->groups[i].sums.live_bytes_variance;
    }
    bool sampled = planner->sites->sampled && spans > 0;
    step->spans = tm_estimate_sum(spans, variance,
                                  sampled ? (double)planner->snapshot->recording.rate_bytes : 0);
    step->back = add(step->pages, step->spans);
}

static bool open_planner(struct planner *planner)
{
    size_t groups = planner->sites->count;
    size_t sets = planner->snapshot->set_count;
    size_t members = 0;
    for (size_t i = 0; i < sets; i++)
        members += planner->held->sets[i].count;
    planner->fixed = calloc(groups, sizeof *planner->fixed);
    planner->gain = calloc(groups, sizeof *planner->gain);
    planner->bound = calloc(groups, sizeof *planner->bound);
    planner->members = calloc(members + 1, sizeof *planner->members);
    planner->candidates = calloc(sets + 1, sizeof *planner->candidates);
    bool all = tm_plan_sets_open(&planner->all, sets);
    bool missing = tm_plan_sets_open(&planner->missing, sets);
    return planner->fixed && planner->gain && planner->bound && planner->members &&
           planner->candidates && all && missing;
}

static void close_planner(struct planner *planner)
{
    free(planner->fixed);
    free(planner->gain);
    free(planner->bound);
    free(planner->members);
    free(planner->candidates);
    tm_plan_sets_close(&planner->all);
    tm_plan_sets_close(&planner->missing);
}

bool tm_plan_make(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                  const struct tm_held *held, struct tm_plan *plan)
{
    struct planner planner = {.snapshot = snapshot, .sites = sites, .held = held};
    struct tm_cell *cells = calloc(snapshot->set_count + 1, sizeof *cells);
    bool made = open_planner(&planner) && cells;
    *plan = (struct tm_plan){.count = 0};
    if (made)
        collect_sets(&planner);
    double back = 0;
    for (size_t room = TM_PLAN_GROUPS; made && room > 0;) {
        struct choice choice = choose(&planner, room);
        if (choice.count == 0 || choice.gain < least_gain || choice.gain < back * least_part)
            break;
        back += choice.gain;
        struct tm_plan_step *step = &plan->steps[plan->count++];
        memcpy(step->groups, choice.groups, sizeof step->groups);
        step->count = choice.count;
        for (size_t i = 0; i < choice.count; i++)
            planner.fixed[choice.groups[i]] = true;
        evaluate(&planner, cells, step);
        room -= choice.count;
    }
    close_planner(&planner);
    free(cells);
    return made;
}
