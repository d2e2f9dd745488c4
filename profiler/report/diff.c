/* diff.c: the figures of a comparison of two; see diff.h. */
#include "profiler/report/diff.h"

#include "allocator/census.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *tm_diff_what_name(enum tm_diff_what what)
{
    static const char *const names[TM_DIFF_WHATS] = {
        [TM_DIFF_SAME] = "same", [TM_DIFF_UNSURE] = "unsure", [TM_DIFF_APPEARED] = "appeared",
        [TM_DIFF_GREW] = "grew", [TM_DIFF_SHRANK] = "shrank", [TM_DIFF_WENT] = "went",
    };
    return names[what];
}

/* ---- ledger ---- */

/* Live memory is told by what was requested only if both can: else by place in both. */
static void make_ledgers(struct tm_diff *diff)
{
    static const struct tm_sites nobody = {.complete = false};
    bool split = diff->reports[0]->ledger.is_split && diff->reports[1]->ledger.is_split;
    for (int i = 0; i < 2; i++) {
        const struct tm_report *report = diff->reports[i];
        diff->ledgers[i] = report->ledger;
        if (report->ledger.is_split && !split)
            tm_ledger_make(report->snapshot, &report->heap, &report->maps, &nobody,
                           &diff->ledgers[i]);
    }
}

static struct tm_diff_row *row_of(struct tm_diff *diff, const struct tm_ledger_row *row)
{
    for (size_t i = 0; i < diff->row_count; i++)
        if (diff->rows[i].row.group == row->group && strcmp(diff->rows[i].row.name, row->name) == 0)
            return &diff->rows[i];
    diff->rows[diff->row_count].row = *row;
    return &diff->rows[diff->row_count++];
}

static bool compare_ledgers(struct tm_diff *diff)
{
    make_ledgers(diff);
    diff->rows = calloc(diff->ledgers[0].count + diff->ledgers[1].count, sizeof *diff->rows);
    if (!diff->rows)
        return false;
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < diff->ledgers[i].count; k++) {
            const struct tm_ledger_row *row = &diff->ledgers[i].rows[k];
            struct tm_diff_row *into = row_of(diff, row);
            *(i == 0 ? &into->before : &into->after) += row->bytes;
        }
    /* Rows that only the second has stand behind the others of their group. */
    struct tm_diff_row *sorted = calloc(diff->row_count + 1, sizeof *sorted);
    if (!sorted)
        return false;
    size_t used = 0;
    for (enum tm_ledger_group group = 0; group < TM_LEDGER_GROUPS; group++)
        for (size_t i = 0; i < diff->row_count; i++)
            if (diff->rows[i].row.group == group)
                sorted[used++] = diff->rows[i];
    free(diff->rows);
    diff->rows = sorted;
    for (int i = 0; i < TM_LEDGER_GROUPS; i++)
        diff->groups[i] = diff->ledgers[1].group_bytes[i] - diff->ledgers[0].group_bytes[i];
    diff->rss = (int64_t)(diff->ledgers[1].rss_bytes - diff->ledgers[0].rss_bytes);
    diff->pinned =
        (int64_t)(diff->reports[1]->heap.pinned_bytes - diff->reports[0]->heap.pinned_bytes);
    diff->cached =
        (int64_t)(diff->reports[1]->heap.cached_bytes - diff->reports[0]->heap.cached_bytes);
    return true;
}

/* ---- moves ---- */

static struct tm_diff_move *move_of(struct tm_diff *diff, uint32_t block_bytes)
{
    for (size_t i = 0; i < diff->move_count; i++)
        if (diff->moves[i].block_bytes == block_bytes)
            return &diff->moves[i];
    diff->moves[diff->move_count].block_bytes = block_bytes;
    return &diff->moves[diff->move_count++];
}

static int64_t moved(const struct tm_diff_move *move)
{
    return llabs(move->live) + llabs(move->pinned) + llabs(move->cached);
}

static int by_moved_down(const void *left, const void *right)
{
    const struct tm_diff_move *a = left;
    const struct tm_diff_move *b = right;
    if (moved(a) != moved(b))
        return moved(a) < moved(b) ? 1 : -1;
    return (a->block_bytes > b->block_bytes) - (a->block_bytes < b->block_bytes);
}

static bool compare_classes(struct tm_diff *diff)
{
    size_t room = diff->reports[0]->snapshot->class_count + diff->reports[1]->snapshot->class_count;
    diff->moves = calloc(room + 1, sizeof *diff->moves);
    if (!diff->moves)
        return false;
    for (int i = 0; i < 2; i++) {
        int64_t sign = i == 0 ? -1 : 1;
        const struct tm_heap *heap = &diff->reports[i]->heap;
        for (size_t k = 0; k < diff->reports[i]->snapshot->class_count; k++) {
            const struct tm_class_use *class = &heap->classes[k];
            struct tm_diff_move *move = move_of(diff, class->block_bytes);
            move->live += sign * (int64_t) class->live_bytes;
            move->pinned += sign * (int64_t) class->pinned_bytes;
            move->cached += sign * (int64_t) class->cached_bytes;
        }
        for (int k = 0; k < TM_SPAN_KINDS; k++)
            *(k == TM_CENSUS_SPAN_CACHED ? &diff->large.cached : &diff->large.live) +=
                sign * (int64_t)heap->spans[k].resident_bytes;
        diff->arenas.cached += sign * (int64_t)heap->cached_arena_bytes;
    }
    qsort(diff->moves, diff->move_count, sizeof *diff->moves, by_moved_down);
    return true;
}

/* ---- sites ---- */

static struct tm_diff_figure figure(const struct tm_estimate *before,
                                    const struct tm_estimate *after)
{
    struct tm_diff_figure figure = {
        .before = *before,
        .after = *after,
        .change = after->value - before->value,
        .error = hypot(before->error, after->error),
        .few = after->value > before->value ? after->few : before->few,
    };
    if (figure.change == 0)
        figure.what = TM_DIFF_SAME;
    else if (figure.few || fabs(figure.change) <= TM_DIFF_WITHIN * figure.error)
        figure.what = TM_DIFF_UNSURE;
    else if (figure.change > 0)
        figure.what = before->value > 0 ? TM_DIFF_GREW : TM_DIFF_APPEARED;
    else
        figure.what = after->value > 0 ? TM_DIFF_SHRANK : TM_DIFF_WENT;
    return figure;
}

static bool compare_sites(struct tm_diff *diff)
{
    if (!tm_match_make(diff->reports, 2, &diff->match))
        return false;
    diff->site_count = diff->match.sites;
    diff->sites = calloc(diff->site_count, sizeof *diff->sites);
    if (!diff->sites)
        return false;
    for (size_t i = 0; i < diff->site_count; i++) {
        const struct tm_match_cell *before = tm_match_cell(&diff->match, i, 0);
        const struct tm_match_cell *after = tm_match_cell(&diff->match, i, 1);
        struct tm_diff_site *site = &diff->sites[i];
        site->share_change = (int64_t)(after->share_bytes - before->share_bytes);
        site->figures[TM_BY_HELD] = figure(&before->share, &after->share);
        site->figures[TM_BY_SOLE] = figure(&before->sole, &after->sole);
        site->figures[TM_BY_LIVE] = figure(&before->live, &after->live);
        for (int k = 0; k < TM_DIFF_FIGURES && i != TM_MATCH_UNKNOWN; k++) {
            struct tm_diff_sum *sum = &diff->sums[k][site->figures[k].what];
            sum->sites++;
            sum->change += site->figures[k].change;
        }
    }
    return true;
}

bool tm_diff_make(const struct tm_report *const reports[2], const struct tm_diff_check *check,
                  struct tm_diff *diff)
{
    *diff = (struct tm_diff){.reports = {reports[0], reports[1]}, .check = check};
    if (!compare_ledgers(diff) || !compare_classes(diff) || !compare_sites(diff)) {
        tm_diff_free(diff);
        return false;
    }
    tm_diff_verdict(diff);
    return true;
}

void tm_diff_free(struct tm_diff *diff)
{
    free(diff->rows);
    free(diff->moves);
    free(diff->sites);
    tm_match_free(&diff->match);
}

struct order {
    const struct tm_diff *diff;
    enum tm_order by;
};

static int by_change_down(const void *left, const void *right, void *context)
{
    const struct order *order = context;
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    const struct tm_diff_figure *x = &order->diff->sites[a].figures[order->by];
    const struct tm_diff_figure *y = &order->diff->sites[b].figures[order->by];
    if ((x->what == TM_DIFF_UNSURE) != (y->what == TM_DIFF_UNSURE))
        return x->what == TM_DIFF_UNSURE ? 1 : -1;
    if (fabs(x->change) != fabs(y->change))
        return fabs(x->change) < fabs(y->change) ? 1 : -1;
    return (a > b) - (a < b);
}

size_t tm_diff_rank(const struct tm_diff *diff, enum tm_order by, uint32_t *ranked)
{
    struct order order = {diff, by};
    size_t count = 0;
    for (uint32_t i = TM_MATCH_UNKNOWN + 1; i < diff->site_count; i++)
        if (diff->sites[i].figures[by].what != TM_DIFF_SAME)
            ranked[count++] = i;
    qsort_r(ranked, count, sizeof *ranked, by_change_down, &order);
    return count;
}

const struct tm_report *tm_diff_report_of(const struct tm_diff *diff, size_t site, uint32_t *group)
{
    int which = tm_match_cell(&diff->match, site, 1)->group != TM_MATCH_NOBODY;
    *group = tm_match_cell(&diff->match, site, (size_t)which)->group;
    return diff->reports[which];
}
