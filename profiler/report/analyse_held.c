/* analyse_held.c: see analyse_held.h. */
#include "profiler/report/analyse_held.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };
enum { PINNED, RESIDENT };

static struct tm_identity_use sum_of(const struct tm_identity_use *a,
                                     const struct tm_identity_use *b)
{
    return (struct tm_identity_use){a->pages + b->pages, a->pinned_pages + b->pinned_pages,
                                    a->pinned_bytes + b->pinned_bytes};
}

/* The figures of all pages that could have been chosen and of the chosen ones, by size class. Where
 * one in one is, all are, whatever the pools themselves say. */
static bool make_strata(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                        struct tm_held *held)
{
    size_t classes = snapshot->class_count;
    bool every = snapshot->has_recording && snapshot->recording.identity_one_in == 1;
    for (int i = 0; i < 2; i++)
        held->strata[i] = calloc(classes + 1, sizeof *held->strata[i]);
    if (!held->strata[PINNED] || !held->strata[RESIDENT])
        return false;
    for (size_t i = 0; i < classes; i++) {
        const struct tm_identity_use *use = heap->classes[i].identity;
        struct tm_identity_use chosen = use[TM_IDENTITY_CHOSEN];
        struct tm_identity_use could = sum_of(&use[TM_IDENTITY_PASSED], &chosen);
        struct tm_identity_use older = use[TM_IDENTITY_NONE];
        if (every) {
            could = chosen = sum_of(&could, &older);
            older = (struct tm_identity_use){.pages = 0};
        }
        held->strata[PINNED][i] =
            (struct tm_stratum){(double)could.pinned_bytes, (double)chosen.pinned_bytes,
                                could.pinned_pages, chosen.pinned_pages};
        held->strata[RESIDENT][i] = (struct tm_stratum){
            (double)could.pages * PAGE, (double)chosen.pages * PAGE, could.pages, chosen.pages};
        held->older_bytes += older.pinned_bytes;
        if (chosen.pinned_bytes == 0)
            held->unchosen_bytes += could.pinned_bytes;
        held->all_pages += could.pinned_pages;
        held->chosen_pages += chosen.pinned_pages;
    }
    return true;
}

/* The estimate of every target, from cells sorted by target, into the field of its group that
 * `offset` names. */
static void estimate_all(const struct tm_ratio *ratio, const struct tm_cell *cells, size_t count,
                         struct tm_held *held, size_t groups, size_t offset)
{
    struct tm_estimate nothing = tm_estimate_exact(0);
    nothing.exact = ratio->exact;
    for (size_t i = 0; i < groups; i++)
        memcpy((char *)&held->groups[i] + offset, &nothing, sizeof nothing);
    for (size_t at = 0; at < count;) {
        size_t end = at;
        while (end < count && cells[end].target == cells[at].target)
            end++;
        struct tm_estimate estimate = tm_ratio_estimate(ratio, cells + at, end - at);
        memcpy((char *)&held->groups[cells[at].target] + offset, &estimate, sizeof estimate);
        at = end;
    }
}

/* Whole bytes for the shares, such that all sum to the pinned bytes. What is left after rounding
 * goes to the largest share; more than that is a contradiction of the file and has its own row. */
static void settle_shares(const struct tm_heap *heap, size_t groups, struct tm_held *held)
{
    uint64_t sum = held->older_bytes + held->unchosen_bytes;
    size_t largest = 0;
    double missing = 0;
    for (size_t i = 0; i < groups; i++) {
        held->groups[i].share_bytes = tm_whole(held->groups[i].share.value);
        sum += held->groups[i].share_bytes;
        if (held->groups[i].share_bytes > held->groups[largest].share_bytes)
            largest = i;
    }
    for (size_t i = 0; i < held->pinned.count; i++) {
        double told = 0;
        for (size_t k = held->pinned.first[i]; k < held->pinned.first[i + 1]; k++)
            told += held->pinned.sums[k].bytes;
        missing += tm_ratio_factor(&held->pinned, i) * (held->strata[PINNED][i].chosen - told);
    }
    int64_t left = (int64_t)(heap->pinned_bytes - sum);
    int64_t expected = fabs(missing) < 0x1p62 ? llround(missing) : left;
    int64_t rounding = left - expected;
    if (held->groups[largest].share_bytes > groups && (uint64_t)llabs(rounding) <= groups + 1) {
        held->groups[largest].share_bytes += (uint64_t)rounding;
        left = expected;
    }
    held->inconsistent_bytes = left;
}

static bool charge_shares(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                          const struct tm_sites *sites, struct tm_held *held)
{
    struct tm_cell *cells = calloc(snapshot->held_count + 1, sizeof *cells);
    if (!cells)
        return false;
    for (size_t i = 0; i < snapshot->held_count; i++) {
        const struct tm_snapshot_held *from = &snapshot->held[i];
        cells[i] = (struct tm_cell){tm_sites_group(snapshot, sites, from->site), from->size_class,
                                    from->group, (double)from->share_bytes};
    }
    size_t count = snapshot->held_count;
    bool made = tm_ratio_make(&held->pinned, held->strata[PINNED], snapshot->class_count,
                              snapshot->recording.identity_groups, cells, count);
    if (made) {
        count = tm_cells_merge(cells, count);
        estimate_all(&held->pinned, cells, count, held, sites->count,
                     offsetof(struct tm_group_held, share));
        settle_shares(heap, sites->count, held);
    }
    free(cells);
    return made;
}

static int by_number(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* SETS by groups, each group once and in order. */
static bool translate_sets(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                           struct tm_held *held)
{
    size_t room = 0;
    for (size_t i = 0; i < snapshot->set_count; i++)
        room += snapshot->sets[i].members == TM_SET_MANY ? 0 : snapshot->sets[i].members;
    held->sets = calloc(snapshot->set_count + 1, sizeof *held->sets);
    held->members = calloc(room + 1, sizeof *held->members);
    if (!held->sets || !held->members)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < snapshot->set_count; i++) {
        const struct tm_snapshot_set *from = &snapshot->sets[i];
        uint32_t *members = held->members + used;
        uint32_t count = 0;
        held->sets[i].first = used;
        if (from->members == TM_SET_MANY)
            continue;
        for (uint32_t k = 0; k < from->members; k++)
            members[k] = tm_sites_group(snapshot, sites, snapshot->members[from->first_member + k]);
        qsort(members, from->members, sizeof *members, by_number);
        for (uint32_t k = 0; k < from->members; k++)
            if (count == 0 || members[k] != members[count - 1])
                members[count++] = members[k];
        held->sets[i].count = count;
        used += count;
    }
    return true;
}

/* What pages of one group alone hold, and the pages; and what is known of crowded pages. */
static bool charge_sole(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                        struct tm_held *held)
{
    struct tm_cell *cells = calloc(snapshot->set_count + 1, sizeof *cells);
    if (!cells)
        return false;
    for (size_t i = 0; i < snapshot->set_count; i++) {
        const struct tm_snapshot_set *set = &snapshot->sets[i];
        cells[i] = (struct tm_cell){0, set->size_class, set->group, (double)set->resident_bytes};
    }
    bool made = tm_ratio_make(&held->resident, held->strata[RESIDENT], snapshot->class_count,
                              snapshot->recording.identity_groups, cells, snapshot->set_count);
    for (int figure = PINNED; figure <= RESIDENT && made; figure++) {
        size_t count = 0;
        for (size_t i = 0; i < snapshot->set_count; i++) {
            const struct tm_snapshot_set *set = &snapshot->sets[i];
            if (held->sets[i].count != 1)
                continue;
            cells[count++] = (struct tm_cell){
                held->members[held->sets[i].first], set->size_class, set->group,
                (double)(figure == PINNED ? set->held_bytes : set->resident_bytes)};
        }
        count = tm_cells_merge(cells, count);
        estimate_all(figure == PINNED ? &held->pinned : &held->resident, cells, count, held,
                     sites->count,
                     figure == PINNED ? offsetof(struct tm_group_held, sole)
                                      : offsetof(struct tm_group_held, sole_resident));
    }
    size_t crowded = 0;
    for (size_t i = 0; i < snapshot->set_count && made; i++) {
        const struct tm_snapshot_set *set = &snapshot->sets[i];
        if (set->members == TM_SET_MANY)
            cells[crowded++] =
                (struct tm_cell){0, set->size_class, set->group, (double)set->held_bytes};
    }
    crowded = tm_cells_merge(cells, crowded);
    if (made)
        held->crowded = tm_ratio_estimate(&held->pinned, cells, crowded);
    free(cells);
    return made;
}

bool tm_held_analyse(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                     const struct tm_sites *sites, struct tm_held *held)
{
    *held = (struct tm_held){.pinned_bytes = heap->pinned_bytes};
    held->groups = calloc(sites->count, sizeof *held->groups);
    if (!held->groups || !make_strata(snapshot, heap, held) ||
        !charge_shares(snapshot, heap, sites, held) || !translate_sets(snapshot, sites, held) ||
        !charge_sole(snapshot, sites, held)) {
        tm_held_free(held);
        return false;
    }
    held->recorded = snapshot->has_recording && snapshot->held_count > 0;
    return true;
}

void tm_held_free(struct tm_held *held)
{
    free(held->groups);
    free(held->strata[PINNED]);
    free(held->strata[RESIDENT]);
    tm_ratio_free(&held->pinned);
    tm_ratio_free(&held->resident);
    free(held->sets);
    free(held->members);
    *held = (struct tm_held){.groups = NULL};
}
