/* report_json_sites.c: the members of the JSON report on call sites: recording, sites, held, plan.
 * Sites are numbered by their place in the list, which is sorted as the reader asked.
 */
#include "profiler/report/report_json.h"
#include "profiler/report/who.h"

#include <stdlib.h>
#include <string.h>

static void write_estimate(struct tm_json *json, const char *key,
                           const struct tm_estimate *estimate)
{
    tm_json_start(json, key, '{');
    tm_json_number(json, "bytes", tm_whole(estimate->value));
    tm_json_boolean(json, "exact", estimate->exact);
    if (!estimate->exact) {
        tm_json_number(json, "standard_error", tm_whole(estimate->error));
        tm_json_number(json, "low_95", tm_whole(estimate->low));
        tm_json_number(json, "high_95", tm_whole(estimate->high));
        tm_json_boolean(json, "too_few", estimate->few);
    }
    tm_json_end(json, '}');
}

static void write_recording(struct tm_json *json, const struct tm_report *report)
{
    static const char *const modes[] = {"off", "sample", "all"};
    const struct tm_snapshot_recording *recording = &report->snapshot->recording;
    tm_json_start(json, "recording", '{');
    tm_json_boolean(json, "recorded", report->snapshot->has_recording);
    if (report->snapshot->has_recording) {
        tm_json_string(json, "sites", modes[recording->sites]);
        tm_json_boolean(json, "exact", !report->sites.sampled);
        tm_json_number(json, "rate_bytes", recording->rate_bytes);
        tm_json_number(json, "identity_one_in", recording->identity_one_in);
        tm_json_number(json, "identity_groups", recording->identity_groups);
        tm_json_number(json, "pinned_pages", report->held.all_pages);
        tm_json_number(json, "chosen_pinned_pages", report->held.chosen_pages);
        tm_json_number(json, "since_ns", recording->since_ns);
        tm_json_number(json, "until_ns", recording->until_ns);
        tm_json_number(json, "memory_bytes", recording->memory_bytes);
        tm_json_number(json, "peak_bytes", recording->peak_bytes);
        tm_json_number(json, "peak_since_start_ns", recording->peak_ns);
        tm_json_number(json, "missed", recording->missed);
        tm_json_number(json, "truncated_stacks", recording->truncated);
        tm_json_number(json, "shortened_stacks", recording->shortened);
        tm_json_number(json, "frames", recording->frame_count);
        tm_json_number(json, "frame_limit", recording->frame_limit);
        tm_json_number(json, "sites_used", recording->site_count);
        tm_json_number(json, "site_limit", recording->site_limit);
        tm_json_number(json, "depth_limit", recording->depth_limit);
        tm_json_boolean(json, "by_thread", recording->by_thread != 0);
    }
    tm_json_end(json, '}');
}

void tm_report_json_symbol(struct tm_json *json, const struct tm_symbol *symbol)
{
    if (symbol->function)
        tm_json_string(json, "function", symbol->function);
    if (symbol->file)
        tm_json_string(json, "file", symbol->file);
    if (symbol->line)
        tm_json_number(json, "line", symbol->line);
    if (symbol->module && *symbol->module) {
        tm_json_string(json, "module", symbol->module);
        tm_json_address(json, "module_offset", symbol->offset);
    }
}

static void write_frames(struct tm_json *json, const struct tm_report *report, uint32_t node)
{
    const struct tm_stacks *stacks = &report->sites.stacks;
    tm_json_start(json, "frames", '[');
    for (; node != 0; node = stacks->nodes[node].parent) {
        const struct tm_node *at = &stacks->nodes[node];
        if (at->flags & (TM_FRAME_TRUNCATED | TM_FRAME_THREAD)) {
            tm_json_start(json, NULL, '{');
            if (at->flags & TM_FRAME_THREAD)
                tm_json_number(json, "thread", at->address);
            else
                tm_json_boolean(json, "truncated", true);
            tm_json_end(json, '}');
            continue;
        }
        size_t count;
        const struct tm_symbol *list =
            tm_stacks_symbols(stacks, node, report->view.symbols, &count);
        for (size_t i = 0; i < count; i++) {
            tm_json_start(json, NULL, '{');
            tm_json_address(json, "address", at->address);
            tm_report_json_symbol(json, &list[i]);
            if (list[i].inlined)
                tm_json_boolean(json, "inlined", true);
            tm_json_end(json, '}');
        }
    }
    tm_json_end(json, ']');
}

/* Counts of blocks in whole blocks. */
static void write_blocks(struct tm_json *json, const char *key, const uint64_t *blocks,
                         size_t count)
{
    tm_json_start(json, key, '[');
    for (size_t i = 0; i < count; i++)
        tm_json_real(json, NULL, (double)blocks[i] / TM_BLOCK_UNITS);
    tm_json_end(json, ']');
}

static void write_sums(struct tm_json *json, const struct tm_report *report,
                       const struct tm_group *group)
{
    const struct tm_site_sums *sums = &group->sums;
    unsigned births;
    unsigned time;
    write_estimate(json, "live", &group->live_bytes);
    tm_json_real(json, "live_blocks", (double)sums->live_blocks / TM_BLOCK_UNITS);
    tm_json_real(json, "live_blocks_error", group->live_blocks.error);
    tm_json_number(json, "live_samples", sums->live_samples);
    tm_json_number(json, "live_requested_bytes", sums->live_requested);
    tm_json_number(json, "span_bytes", sums->span_bytes);
    tm_json_number(json, "span_resident_bytes", sums->span_resident_bytes);
    write_estimate(json, "allocated", &group->allocated_bytes);
    tm_json_real(json, "allocated_blocks", (double)sums->allocated_blocks / TM_BLOCK_UNITS);
    tm_json_number(json, "allocated_requested_bytes", sums->allocated_requested);
    tm_json_number(json, "samples", sums->samples);
    tm_json_real(json, "temporary_blocks", (double)sums->temporary_blocks / TM_BLOCK_UNITS);
    tm_json_number(json, "peak_bytes", sums->peak_bytes);
    tm_json_real(json, "peak_blocks", (double)sums->peak_blocks / TM_BLOCK_UNITS);
    write_blocks(json, "ended_blocks", sums->ended_blocks, TM_LIFETIMES);
    write_blocks(json, "born_blocks", sums->born_blocks, TM_BIRTHS);
    if (sums->live_samples) {
        tm_json_number(json, "oldest_since_start_ns", sums->oldest_ns);
        tm_json_number(json, "youngest_since_start_ns", sums->youngest_ns);
    }
    if (tm_group_peak_births(report->snapshot, &report->sites, group, &births, &time)) {
        tm_json_number(json, "born_near_peak_percent", births);
        tm_json_number(json, "near_peak_time_percent", time);
    }
    tm_json_start(json, "requested_size_samples", '[');
    for (int i = 0; i < TM_SIZE_STEPS; i++)
        tm_json_number(json, NULL, sums->size_samples[i]);
    tm_json_end(json, ']');
}

static void write_site(struct tm_json *json, const struct tm_report *report, uint32_t index,
                       bool frames)
{
    const struct tm_group *group = &report->sites.groups[index];
    const struct tm_group_held *held = &report->held.groups[index];
    struct tm_label label = tm_group_label(report, index);
    struct tm_estimate share = held->share;
    share.value = (double)held->share_bytes; /* as rounded, so that all sum to the pinned bytes */
    tm_json_start(json, NULL, '{');
    tm_json_string(json, "name", label.text);
    tm_json_boolean(json, "recorded", index != TM_GROUP_UNKNOWN);
    if (group->thread)
        tm_json_number(json, "thread", group->thread);
    tm_report_json_symbol(json, group->who.symbol);
    tm_json_number(json, "stacks", group->stacks);
    write_estimate(json, "held_share", &share);
    write_estimate(json, "sole_pin", &held->sole);
    write_estimate(json, "sole_pin_resident", &held->sole_resident);
    write_sums(json, report, group);
    if (frames)
        write_frames(json, report, group->node);
    tm_json_end(json, '}');
}

static void write_held(struct tm_json *json, const struct tm_report *report)
{
    const struct tm_held *held = &report->held;
    uint64_t charged = 0;
    for (size_t i = 1; i < report->sites.count; i++)
        charged += held->groups[i].share_bytes;
    tm_json_start(json, "held", '{');
    tm_json_boolean(json, "recorded", held->recorded);
    tm_json_boolean(json, "exact", held->pinned.exact);
    tm_json_number(json, "charged_bytes", charged);
    tm_json_number(json, "not_recorded_bytes", held->groups[TM_GROUP_UNKNOWN].share_bytes);
    tm_json_number(json, "older_pools_bytes", held->older_bytes);
    tm_json_number(json, "unchosen_sizes_bytes", held->unchosen_bytes);
    tm_json_signed(json, "inconsistent_bytes", held->inconsistent_bytes);
    tm_json_number(json, "pinned_bytes", held->pinned_bytes);
    write_estimate(json, "crowded_pages", &held->crowded);
    tm_json_end(json, '}');
}

/* place: of each group in the list of sites. */
static void write_plan(struct tm_json *json, const struct tm_report *report, const size_t *place)
{
    tm_json_start(json, "plan", '[');
    for (size_t i = 0; i < report->plan.count; i++) {
        const struct tm_plan_step *step = &report->plan.steps[i];
        tm_json_start(json, NULL, '{');
        tm_json_start(json, "add_sites", '[');
        for (size_t k = 0; k < step->count; k++)
            tm_json_number(json, NULL, place[step->groups[k]]);
        tm_json_end(json, ']');
        tm_json_start(json, "add_names", '[');
        for (size_t k = 0; k < step->count; k++) {
            struct tm_label label = tm_group_label(report, step->groups[k]);
            tm_json_string(json, NULL, label.text);
        }
        tm_json_end(json, ']');
        write_estimate(json, "held", &step->held);
        write_estimate(json, "pages_resident", &step->pages);
        write_estimate(json, "spans_resident", &step->spans);
        write_estimate(json, "rss_falls_by", &step->back);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

void tm_report_json_groups(struct tm_json *json, const struct tm_report *report,
                           const uint32_t *groups, size_t count, bool frames)
{
    size_t *place = calloc(report->sites.count, sizeof *place);
    write_recording(json, report);
    write_held(json, report);
    tm_json_string(json, "grouped_by", tm_grouping_name(report->sites.grouping));
    tm_json_string(json, "sorted_by", tm_order_name(report->view.by));
    tm_json_start(json, "sites", '[');
    for (size_t i = 0; i < count && place; i++) {
        place[groups[i]] = i;
        write_site(json, report, groups[i], frames);
    }
    tm_json_end(json, ']');
    if (place)
        write_plan(json, report, place);
    free(place);
}

void tm_report_json_sites(struct tm_json *json, const struct tm_report *report)
{
    size_t groups = report->sites.count;
    size_t count = 0;
    uint32_t *ranked = calloc(groups, sizeof *ranked);
    if (ranked && report->snapshot->has_recording) {
        bool *listed = calloc(groups, sizeof *listed);
        count = tm_report_rank(report, report->view.by, ranked);
        for (size_t i = 0; i < count && listed; i++)
            listed[ranked[i]] = true;
        for (uint32_t i = 1; i < groups && listed; i++)
            if (!listed[i])
                ranked[count++] = i;
        free(listed);
        ranked[count++] = TM_GROUP_UNKNOWN; /* the last */
    }
    tm_report_json_groups(json, report, ranked, count, true);
    free(ranked);
}
