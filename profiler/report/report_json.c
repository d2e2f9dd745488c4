/* report_json.c: see report_json.h. Call sites are in report_json_sites.c. */
#include "profiler/report/report_json.h"

#include "profiler/report/json_write.h"

#include <inttypes.h>
#include <string.h>

static void write_process(struct tm_json *json, const struct tm_snapshot_file *snapshot)
{
    const struct tm_snapshot_process *process = &snapshot->process;
    tm_json_start(json, "process", '{');
    tm_json_signed(json, "pid", process->pid);
    tm_json_signed(json, "parent", process->parent);
    tm_json_number(json, "threads", process->threads);
    tm_json_text(json, "exe", snapshot->exe.bytes, snapshot->exe.length);
    tm_json_start(json, "command", '[');
    for (size_t at = 0; at < snapshot->command.length;) {
        const char *argument = snapshot->command.bytes + at;
        size_t length = strnlen(argument, snapshot->command.length - at);
        tm_json_text(json, NULL, argument, length);
        at += length + 1;
    }
    tm_json_end(json, ']');
    tm_json_text(json, "library_version", snapshot->version.bytes, snapshot->version.length);
    tm_json_text(json, "configuration", snapshot->config.bytes, snapshot->config.length);
    tm_json_number(json, "snapshot_number", process->number);
    tm_json_number(json, "realtime_ns", process->realtime_ns);
    tm_json_number(json, "since_start_ns", process->since_start_ns);
    tm_json_number(json, "peak_rss_bytes", process->peak_rss_bytes);
    tm_json_number(json, "page_bytes", process->page_bytes);
    tm_json_end(json, '}');
}

static void write_verdict(struct tm_json *json, const struct tm_report *report)
{
    static const char *const python[] = {"none", "direct", "own pools"};
    tm_json_start(json, "verdict", '{');
    tm_json_string(json, "summary", report->verdict.summary);
    tm_json_string(json, "why", report->verdict.why);
    tm_json_string(json, "who", report->verdict.who);
    tm_json_string(json, "remedy", report->verdict.remedy);
    tm_json_string(json, "sites_note", report->verdict.sites);
    tm_json_string(json, "python_note", report->verdict.python);
    tm_json_string(json, "python", python[report->python]);
    tm_json_number(json, "live_bytes", tm_report_live(report));
    tm_json_number(json, "held_bytes", tm_report_held(report));
    tm_json_number(json, "pinned_bytes", report->heap.pinned_bytes);
    tm_json_number(json, "cached_bytes", report->heap.cached_bytes);
    tm_json_end(json, '}');
}

static void write_ledger(struct tm_json *json, const struct tm_ledger *ledger)
{
    tm_json_string(json, "rss_source", ledger->rss_source);
    tm_json_start(json, "ledger", '[');
    for (size_t i = 0; i < ledger->count; i++) {
        const struct tm_ledger_row *row = &ledger->rows[i];
        tm_json_start(json, NULL, '{');
        tm_json_string(json, "name", row->name);
        tm_json_signed(json, "bytes", row->bytes);
        tm_json_string(json, "meaning", row->meaning);
        tm_json_string(json, "group", tm_ledger_group_name(row->group));
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

static void write_classes(struct tm_json *json, const struct tm_report *report)
{
    tm_json_start(json, "classes", '[');
    for (size_t i = 0; i < report->snapshot->class_count; i++) {
        const struct tm_class_use *class = &report->heap.classes[i];
        if (class->pools == 0)
            continue;
        tm_json_start(json, NULL, '{');
        tm_json_number(json, "size_class", i);
        tm_json_number(json, "block_bytes", class->block_bytes);
        tm_json_number(json, "pool_bytes", class->pool_bytes);
        tm_json_number(json, "pools", class->pools);
        tm_json_number(json, "live_blocks", class->live_blocks);
        tm_json_number(json, "capacity", class->capacity);
        tm_json_number(json, "binned_blocks", class->binned);
        tm_json_number(json, "remote_blocks", class->remote);
        tm_json_number(json, "tail_bytes", class->tail_bytes);
        tm_json_number(json, "live_bytes", class->live_bytes);
        tm_json_number(json, "live_not_resident_bytes", class->live_all_bytes - class->live_bytes);
        tm_json_number(json, "pinned_bytes", class->pinned_bytes);
        tm_json_number(json, "cached_bytes", class->cached_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

static void write_heap(struct tm_json *json, const struct tm_report *report)
{
    static const char *const kinds[TM_SPAN_KINDS] = {"pages", "arenas", "mapping",
                                                     "cached mapping"};
    const struct tm_heap *heap = &report->heap;
    tm_json_start(json, "arenas", '[');
    for (int i = 0; i < TM_FULLNESS_STEPS; i++) {
        tm_json_start(json, NULL, '{');
        tm_json_number(json, "live_percent_above", i == 0 ? 0 : (uint64_t)(i - 1) * 10);
        tm_json_number(json, "live_percent_up_to", (uint64_t)i * 10);
        tm_json_number(json, "arenas", heap->fullness[i].arenas);
        tm_json_number(json, "resident_bytes", heap->fullness[i].resident_bytes);
        tm_json_number(json, "live_bytes", heap->fullness[i].live_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_start(json, "granularity", '[');
    for (int i = 0; i < TM_UNITS; i++) {
        tm_json_start(json, NULL, '{');
        tm_json_number(json, "unit_bytes", heap->units[i].unit_bytes);
        tm_json_number(json, "return_bytes", heap->units[i].return_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_number(json, "page_floor_bytes", heap->floor_bytes);
    tm_json_number(json, "pool_resident_bytes", heap->pool_bytes);
    tm_json_start(json, "spans", '[');
    for (int i = 0; i < TM_SPAN_KINDS; i++) {
        tm_json_start(json, NULL, '{');
        tm_json_string(json, "kind", kinds[i]);
        tm_json_number(json, "count", heap->spans[i].count);
        tm_json_number(json, "bytes", heap->spans[i].bytes);
        tm_json_number(json, "resident_bytes", heap->spans[i].resident_bytes);
        tm_json_number(json, "largest_bytes", heap->spans[i].largest_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

static void write_timeline(struct tm_json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    tm_json_start(json, "timeline", '{');
    if (snapshot->moment_count > 0) {
        const struct tm_snapshot_moment *peak = &snapshot->moments[report->peak_moment];
        tm_json_number(json, "peak_bytes", tm_moment_bytes(peak));
        tm_json_number(json, "peak_since_start_ns", peak->since_start_ns);
    }
    tm_json_start(json, "moments", '[');
    for (size_t i = 0; i < snapshot->moment_count; i++) {
        const struct tm_snapshot_moment *moment = &snapshot->moments[i];
        tm_json_start(json, NULL, '{');
        tm_json_number(json, "since_start_ns", moment->since_start_ns);
        tm_json_number(json, "pool_bytes", moment->pool_bytes);
        tm_json_number(json, "span_bytes", moment->span_bytes);
        tm_json_number(json, "mapping_bytes", moment->mapping_bytes);
        tm_json_number(json, "cached_bytes", moment->cached_bytes);
        tm_json_number(json, "purged_bytes", moment->purged_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_end(json, '}');
}

static void write_mappings(struct tm_json *json, const struct tm_report *report)
{
    static const char *const kinds[TM_MAP_KINDS] = {
        "anonymous", "code made at run time", "brk", "stack", "code", "data", "file", "shared",
        "kernel"};
    tm_json_start(json, "other_mappings", '[');
    for (size_t i = 0; i < report->maps.other_count; i++) {
        const struct tm_other_map *other = &report->maps.others[i];
        tm_json_start(json, NULL, '{');
        tm_json_address(json, "start", other->map->start);
        tm_json_address(json, "end", other->map->end);
        tm_json_string(json, "kind", kinds[other->kind]);
        tm_json_string(json, "path", tm_snapshot_string(report->snapshot, other->map->path));
        tm_json_number(json, "rss_bytes", other->rss_bytes);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_number(json, "swap_bytes", report->maps.swap_bytes);
}

static void write_cost(struct tm_json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    tm_json_start(json, "cost", '{');
    tm_json_number(json, "metadata_resident_bytes",
                   (uint64_t)report->ledger.group_bytes[TM_LEDGER_METADATA]);
    tm_json_number(json, "library_resident_bytes", report->maps.library_bytes);
    tm_json_number(json, "pause_ns", snapshot->process.pause_ns);
    tm_json_number(json, "walk_ns", snapshot->process.walk_ns);
    tm_json_number(json, "file_bytes", snapshot->file_bytes);
    tm_json_end(json, '}');
    /* A list and not an object: names come from the file and could be there twice. */
    tm_json_start(json, "counters", '[');
    for (size_t i = 0; i < snapshot->counter_count; i++) {
        const struct tm_snapshot_counter *counter = &snapshot->counters[i];
        tm_json_start(json, NULL, '{');
        tm_json_text(json, "name", counter->name, strnlen(counter->name, sizeof counter->name));
        tm_json_number(json, "value", counter->value);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
}

static void write_exactness(struct tm_json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    uint32_t flags = snapshot->header.flags;
    tm_json_start(json, "exactness", '{');
    tm_json_boolean(json, "frozen_copy", !(flags & TM_SNAPSHOT_IN_PROCESS));
    tm_json_boolean(json, "heap_walked", !(flags & TM_SNAPSHOT_NO_HEAP));
    tm_json_number(json, "cut_operations", snapshot->process.inconsistencies);
    tm_json_number(json, "contradictions",
                   report->heap.contradictions + report->maps.contradictions);
    tm_json_number(json, "overcount_bytes", report->maps.overcount_bytes);
    tm_json_end(json, '}');
}

void tm_report_json_plain(struct tm_json *json, const struct tm_report *report)
{
    tm_json_number(json, "format_version", report->snapshot->header.version);
    tm_json_number(json, "rss_bytes", report->ledger.rss_bytes);
    write_ledger(json, &report->ledger);
    write_verdict(json, report);
    write_process(json, report->snapshot);
    write_classes(json, report);
    write_heap(json, report);
    write_timeline(json, report);
    write_mappings(json, report);
    write_cost(json, report);
    write_exactness(json, report);
}

void tm_report_json(FILE *out, const struct tm_report *report)
{
    struct tm_json json = {.out = out, .first = true};
    tm_json_start(&json, NULL, '{');
    tm_report_json_plain(&json, report);
    tm_report_json_sites(&json, report);
    tm_json_end(&json, '}');
    putc('\n', out);
}
