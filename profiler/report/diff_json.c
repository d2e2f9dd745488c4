/* diff_json.c: the comparison, and the search for leaks, as JSON; see diff_print.h. The members are
 * described in profiler/format/README.md.
 */
#include "profiler/report/diff_print.h"
#include "profiler/report/report_json.h"
#include "profiler/report/who.h"

#include <math.h>
#include <stdlib.h>

static void write_estimate(struct tm_json *json, const char *key,
                           const struct tm_estimate *estimate)
{
    tm_json_start(json, key, '{');
    tm_json_number(json, "bytes", tm_whole(estimate->value));
    tm_json_boolean(json, "exact", estimate->exact);
    if (!estimate->exact) {
        tm_json_number(json, "standard_error", tm_whole(estimate->error));
        tm_json_boolean(json, "too_few", estimate->few);
    }
    tm_json_end(json, '}');
}

static void write_snapshot(struct tm_json *json, const struct tm_report *report, const char *path)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    tm_json_start(json, NULL, '{');
    tm_json_string(json, "file", path);
    tm_json_text(json, "exe", snapshot->exe.bytes, snapshot->exe.length);
    tm_json_signed(json, "pid", snapshot->process.pid);
    tm_json_number(json, "snapshot_number", snapshot->process.number);
    tm_json_number(json, "realtime_ns", snapshot->process.realtime_ns);
    tm_json_number(json, "since_start_ns", snapshot->process.since_start_ns);
    tm_json_number(json, "rss_bytes", report->ledger.rss_bytes);
    tm_json_boolean(json, "sites_recorded", snapshot->has_recording);
    tm_json_boolean(json, "sites_exact", snapshot->has_recording && !report->sites.sampled);
    tm_json_end(json, '}');
}

static void write_notes(struct tm_json *json, const struct tm_diff_check *check)
{
    tm_json_start(json, "comparable", '{');
    tm_json_boolean(json, "heap", check->heap);
    tm_json_boolean(json, "sites", check->sites);
    tm_json_boolean(json, "held", check->held);
    tm_json_boolean(json, "one_process", check->one_process);
    tm_json_boolean(json, "one_program", check->one_program);
    tm_json_start(json, "notes", '[');
    for (size_t i = 0; i < check->note_count; i++)
        tm_json_string(json, NULL, check->notes[i]);
    tm_json_end(json, ']');
    tm_json_end(json, '}');
}

/* A site's names and, if asked for, frames. */
static void write_who(struct tm_json *json, const struct tm_report *report, uint32_t group,
                      bool frames)
{
    const struct tm_stacks *stacks = &report->sites.stacks;
    struct tm_label label = tm_group_label(report, group);
    tm_json_string(json, "name", label.text);
    tm_json_boolean(json, "recorded", group != TM_GROUP_UNKNOWN);
    tm_report_json_symbol(json, report->sites.groups[group].who.symbol);
    if (!frames)
        return;
    tm_json_start(json, "frames", '[');
    for (uint32_t node = report->sites.groups[group].node; node != 0;
         node = stacks->nodes[node].parent) {
        size_t count;
        if (stacks->nodes[node].flags & (TM_FRAME_TRUNCATED | TM_FRAME_THREAD))
            continue;
        const struct tm_symbol *list =
            tm_stacks_symbols(stacks, node, report->view.symbols, &count);
        for (size_t i = 0; i < count; i++) {
            tm_json_start(json, NULL, '{');
            tm_report_json_symbol(json, &list[i]);
            if (list[i].inlined)
                tm_json_boolean(json, "inlined", true);
            tm_json_end(json, '}');
        }
    }
    tm_json_end(json, ']');
}

/* ---- two ---- */

static void write_ledger(struct tm_json *json, const struct tm_diff *diff)
{
    tm_json_start(json, "ledger", '[');
    for (size_t i = 0; i < diff->row_count; i++) {
        const struct tm_diff_row *row = &diff->rows[i];
        tm_json_start(json, NULL, '{');
        tm_json_string(json, "name", row->row.name);
        tm_json_string(json, "group", tm_ledger_group_name(row->row.group));
        tm_json_string(json, "meaning", row->row.meaning);
        tm_json_signed(json, "before_bytes", row->before);
        tm_json_signed(json, "after_bytes", row->after);
        tm_json_signed(json, "change_bytes", row->after - row->before);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

static void write_move(struct tm_json *json, const char *what, const struct tm_diff_move *move)
{
    if (move->live == 0 && move->pinned == 0 && move->cached == 0)
        return;
    tm_json_start(json, NULL, '{');
    tm_json_string(json, "what", what);
    if (move->block_bytes)
        tm_json_number(json, "block_bytes", move->block_bytes);
    tm_json_signed(json, "live_change_bytes", move->live);
    tm_json_signed(json, "pinned_change_bytes", move->pinned);
    tm_json_signed(json, "cached_change_bytes", move->cached);
    tm_json_end(json, '}');
}

static void write_moves(struct tm_json *json, const struct tm_diff *diff)
{
    tm_json_start(json, "moves", '[');
    for (size_t i = 0; i < diff->move_count; i++)
        write_move(json, "pools", &diff->moves[i]);
    write_move(json, "large blocks", &diff->large);
    write_move(json, "free pages in no pool", &diff->arenas);
    tm_json_end(json, ']');
}

static void write_figure(struct tm_json *json, const char *key, const struct tm_diff_figure *figure)
{
    tm_json_start(json, key, '{');
    tm_json_string(json, "what", tm_diff_what_name(figure->what));
    write_estimate(json, "before", &figure->before);
    write_estimate(json, "after", &figure->after);
    tm_json_signed(json, "change_bytes", llround(figure->change));
    tm_json_number(json, "standard_error", tm_whole(figure->error));
    tm_json_end(json, '}');
}

static void write_site(struct tm_json *json, const struct tm_diff *diff, uint32_t index,
                       bool frames)
{
    const struct tm_diff_site *site = &diff->sites[index];
    uint32_t group;
    const struct tm_report *report = tm_diff_report_of(diff, index, &group);
    tm_json_start(json, NULL, '{');
    write_who(json, report, group, frames);
    write_figure(json, "live", &site->figures[TM_BY_LIVE]);
    write_figure(json, "held_share", &site->figures[TM_BY_HELD]);
    write_figure(json, "sole_pin_resident", &site->figures[TM_BY_SOLE]);
    tm_json_signed(json, "held_share_change_bytes", site->share_change);
    tm_json_real(json, "live_blocks_before", tm_match_cell(&diff->match, index, 0)->live_blocks);
    tm_json_real(json, "live_blocks_after", tm_match_cell(&diff->match, index, 1)->live_blocks);
    tm_json_end(json, '}');
}

/* Sites that had nothing in either have no row. */
static bool is_anything(const struct tm_diff_site *site)
{
    for (int i = 0; i < TM_DIFF_FIGURES; i++)
        if (site->figures[i].before.value > 0 || site->figures[i].after.value > 0)
            return true;
    return false;
}

static void write_sites(struct tm_json *json, const struct tm_diff *diff, size_t most)
{
    enum tm_order by = diff->reports[0]->view.by;
    uint32_t *ranked = calloc(diff->site_count, sizeof *ranked);
    bool *listed = calloc(diff->site_count, sizeof *listed);
    tm_json_string(json, "grouped_by", tm_grouping_name(diff->reports[0]->sites.grouping));
    tm_json_string(json, "sorted_by", tm_order_name(by));
    tm_json_start(json, "sites", '[');
    if (diff->check->sites && ranked && listed) {
        size_t count = tm_diff_rank(diff, by, ranked);
        for (size_t i = 0; i < count; i++)
            listed[ranked[i]] = true;
        for (uint32_t i = TM_MATCH_UNKNOWN + 1; i < diff->site_count; i++)
            if (!listed[i] && is_anything(&diff->sites[i]))
                ranked[count++] = i;
        for (size_t i = 0; i < count && i < most; i++)
            write_site(json, diff, ranked[i], most == SIZE_MAX);
        write_site(json, diff, TM_MATCH_UNKNOWN, false); /* the last */
    }
    tm_json_end(json, ']');
    free(ranked);
    free(listed);
}

void tm_diff_json_members(struct tm_json *json, const struct tm_diff *diff,
                          const char *const *paths, size_t most_sites)
{
    tm_json_string(json, "verdict", diff->verdict);
    tm_json_start(json, "snapshots", '[');
    for (int i = 0; i < 2; i++)
        write_snapshot(json, diff->reports[i], paths[i]);
    tm_json_end(json, ']');
    write_notes(json, diff->check);
    tm_json_signed(json, "rss_change_bytes", diff->rss);
    tm_json_signed(json, "live_change_bytes", diff->groups[TM_LEDGER_LIVE]);
    tm_json_signed(json, "pinned_change_bytes", diff->pinned);
    tm_json_signed(json, "cached_change_bytes", diff->cached);
    write_ledger(json, diff);
    write_moves(json, diff);
    write_sites(json, diff, most_sites);
}

void tm_diff_json(FILE *out, const struct tm_diff *diff, const char *const *paths)
{
    struct tm_json json = {.out = out, .first = true};
    tm_json_start(&json, NULL, '{');
    tm_diff_json_members(&json, diff, paths, SIZE_MAX);
    tm_json_end(&json, '}');
    putc('\n', out);
}

/* ---- leaks ---- */

static void write_range(struct tm_json *json, const char *key, struct tm_range range)
{
    if (range.low < 0)
        return;
    tm_json_start(json, key, '{');
    tm_json_real(json, "low", range.low);
    tm_json_real(json, "high", range.high);
    tm_json_end(json, '}');
}

static void write_leak(struct tm_json *json, const struct tm_leaks *leaks,
                       const struct tm_leak *leak)
{
    uint32_t group;
    const struct tm_report *report = tm_leak_report_of(leaks, leak->site, &group);
    tm_json_start(json, NULL, '{');
    write_who(json, report, group, true);
    tm_json_string(json, "kind", tm_leak_kind_name(leak->kind));
    tm_json_real(json, "bytes_per_hour", leak->per_hour);
    tm_json_real(json, "spread_per_hour", leak->spread);
    tm_json_number(json, "intervals_grown", leak->grew);
    tm_json_number(json, "intervals_fallen", leak->fell);
    write_range(json, "part_of_first_still_live", leak->survived);
    write_range(json, "part_born_in_last_interval", leak->young);
    tm_json_boolean(json, "replaced", leak->replaced);
    tm_json_start(json, "live", '[');
    for (size_t i = 0; i < leaks->snapshots; i++)
        write_estimate(json, NULL, &tm_match_cell(&leaks->match, leak->site, i)->live);
    tm_json_end(json, ']');
    tm_json_end(json, '}');
}

void tm_leak_json(FILE *out, const struct tm_leaks *leaks, const char *const *paths)
{
    struct tm_json json = {.out = out, .first = true};
    tm_json_start(&json, NULL, '{');
    tm_json_string(&json, "verdict", leaks->verdict);
    tm_json_start(&json, "snapshots", '[');
    for (size_t i = 0; i < leaks->snapshots; i++)
        write_snapshot(&json, leaks->reports[i], paths[i]);
    tm_json_end(&json, ']');
    write_notes(&json, leaks->check);
    tm_json_string(&json, "grouped_by", tm_grouping_name(leaks->reports[0]->sites.grouping));
    tm_json_start(&json, "leaks", '[');
    for (size_t i = 0; i < leaks->count; i++)
        write_leak(&json, leaks, &leaks->list[i]);
    tm_json_end(&json, ']');
    tm_json_end(&json, '}');
    putc('\n', out);
}
