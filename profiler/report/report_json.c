/* report_json.c: see report_json.h. The writer is own code and small, because the strings need
 * their own treatment (any byte may be in them) and the rest is numbers.
 */
#include "profiler/report/report_json.h"

#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <string.h>

/* Where in the document: the comma before a member depends on whether it is the first. */
struct json {
    FILE *out;
    int depth;
    bool first;
};

static void next(struct json *json, const char *key)
{
    if (!json->first)
        putc(',', json->out);
    json->first = false;
    fprintf(json->out, "\n%*s", json->depth * 2, "");
    if (key)
        fprintf(json->out, "\"%s\": ", key);
}

static void start(struct json *json, const char *key, char bracket)
{
    if (json->depth > 0)
        next(json, key);
    putc(bracket, json->out);
    json->depth++;
    json->first = true;
}

static void shut(struct json *json, char bracket)
{
    json->depth--;
    if (!json->first)
        fprintf(json->out, "\n%*s", json->depth * 2, "");
    putc(bracket, json->out);
    json->first = false;
}

static void number(struct json *json, const char *key, uint64_t value)
{
    next(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

static void signed_number(struct json *json, const char *key, int64_t value)
{
    next(json, key);
    fprintf(json->out, "%" PRId64, value);
}

static void boolean(struct json *json, const char *key, bool value)
{
    next(json, key);
    fputs(value ? "true" : "false", json->out);
}

static void text(struct json *json, const char *key, const char *value, size_t length)
{
    next(json, key);
    tm_print_json_string(json->out, value, length);
}

static void string(struct json *json, const char *key, const char *value)
{
    text(json, key, value, strlen(value));
}

static void address(struct json *json, const char *key, uint64_t value)
{
    next(json, key);
    fprintf(json->out, "\"0x%" PRIx64 "\"", value);
}

static void write_process(struct json *json, const struct tm_snapshot_file *snapshot)
{
    const struct tm_snapshot_process *process = &snapshot->process;
    start(json, "process", '{');
    signed_number(json, "pid", process->pid);
    signed_number(json, "parent", process->parent);
    number(json, "threads", process->threads);
    text(json, "exe", snapshot->exe.bytes, snapshot->exe.length);
    start(json, "command", '[');
    for (size_t at = 0; at < snapshot->command.length;) {
        const char *argument = snapshot->command.bytes + at;
        size_t length = strnlen(argument, snapshot->command.length - at);
        text(json, NULL, argument, length);
        at += length + 1;
    }
    shut(json, ']');
    text(json, "library_version", snapshot->version.bytes, snapshot->version.length);
    text(json, "configuration", snapshot->config.bytes, snapshot->config.length);
    number(json, "snapshot_number", process->number);
    number(json, "realtime_ns", process->realtime_ns);
    number(json, "since_start_ns", process->since_start_ns);
    number(json, "peak_rss_bytes", process->peak_rss_bytes);
    number(json, "page_bytes", process->page_bytes);
    shut(json, '}');
}

static void write_verdict(struct json *json, const struct tm_report *report)
{
    static const char *const python[] = {"none", "direct", "own pools"};
    start(json, "verdict", '{');
    string(json, "summary", report->verdict.summary);
    string(json, "why", report->verdict.why);
    string(json, "remedy", report->verdict.remedy);
    string(json, "python_note", report->verdict.python);
    string(json, "python", python[report->python]);
    number(json, "live_bytes", tm_report_live(report));
    number(json, "held_bytes", tm_report_held(report));
    number(json, "pinned_bytes", report->heap.pinned_bytes);
    number(json, "cached_bytes", report->heap.cached_bytes);
    shut(json, '}');
}

static void write_ledger(struct json *json, const struct tm_ledger *ledger)
{
    string(json, "rss_source", ledger->rss_source);
    start(json, "ledger", '[');
    for (size_t i = 0; i < ledger->count; i++) {
        const struct tm_ledger_row *row = &ledger->rows[i];
        start(json, NULL, '{');
        string(json, "name", row->name);
        signed_number(json, "bytes", row->bytes);
        string(json, "meaning", row->meaning);
        string(json, "group", tm_ledger_group_name(row->group));
        shut(json, '}');
    }
    shut(json, ']');
}

static void write_classes(struct json *json, const struct tm_report *report)
{
    start(json, "classes", '[');
    for (size_t i = 0; i < report->snapshot->class_count; i++) {
        const struct tm_class_use *class = &report->heap.classes[i];
        if (class->pools == 0)
            continue;
        start(json, NULL, '{');
        number(json, "size_class", i);
        number(json, "block_bytes", class->block_bytes);
        number(json, "pool_bytes", class->pool_bytes);
        number(json, "pools", class->pools);
        number(json, "live_blocks", class->live_blocks);
        number(json, "capacity", class->capacity);
        number(json, "binned_blocks", class->binned);
        number(json, "remote_blocks", class->remote);
        number(json, "tail_bytes", class->tail_bytes);
        number(json, "live_bytes", class->live_bytes);
        number(json, "live_not_resident_bytes", class->live_all_bytes - class->live_bytes);
        number(json, "pinned_bytes", class->pinned_bytes);
        number(json, "cached_bytes", class->cached_bytes);
        shut(json, '}');
    }
    shut(json, ']');
}

static void write_heap(struct json *json, const struct tm_report *report)
{
    static const char *const kinds[TM_SPAN_KINDS] = {"pages", "arenas", "mapping",
                                                     "cached mapping"};
    const struct tm_heap *heap = &report->heap;
    start(json, "arenas", '[');
    for (int i = 0; i < TM_FULLNESS_STEPS; i++) {
        start(json, NULL, '{');
        number(json, "live_percent_above", i == 0 ? 0 : (uint64_t)(i - 1) * 10);
        number(json, "live_percent_up_to", (uint64_t)i * 10);
        number(json, "arenas", heap->fullness[i].arenas);
        number(json, "resident_bytes", heap->fullness[i].resident_bytes);
        number(json, "live_bytes", heap->fullness[i].live_bytes);
        shut(json, '}');
    }
    shut(json, ']');
    start(json, "granularity", '[');
    for (int i = 0; i < TM_UNITS; i++) {
        start(json, NULL, '{');
        number(json, "unit_bytes", heap->units[i].unit_bytes);
        number(json, "return_bytes", heap->units[i].return_bytes);
        shut(json, '}');
    }
    shut(json, ']');
    number(json, "page_floor_bytes", heap->floor_bytes);
    number(json, "pool_resident_bytes", heap->pool_bytes);
    start(json, "spans", '[');
    for (int i = 0; i < TM_SPAN_KINDS; i++) {
        start(json, NULL, '{');
        string(json, "kind", kinds[i]);
        number(json, "count", heap->spans[i].count);
        number(json, "bytes", heap->spans[i].bytes);
        number(json, "resident_bytes", heap->spans[i].resident_bytes);
        number(json, "largest_bytes", heap->spans[i].largest_bytes);
        shut(json, '}');
    }
    shut(json, ']');
}

static void write_timeline(struct json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    start(json, "timeline", '{');
    if (snapshot->moment_count > 0) {
        const struct tm_snapshot_moment *peak = &snapshot->moments[report->peak_moment];
        number(json, "peak_bytes", tm_moment_bytes(peak));
        number(json, "peak_since_start_ns", peak->since_start_ns);
    }
    start(json, "moments", '[');
    for (size_t i = 0; i < snapshot->moment_count; i++) {
        const struct tm_snapshot_moment *moment = &snapshot->moments[i];
        start(json, NULL, '{');
        number(json, "since_start_ns", moment->since_start_ns);
        number(json, "pool_bytes", moment->pool_bytes);
        number(json, "span_bytes", moment->span_bytes);
        number(json, "mapping_bytes", moment->mapping_bytes);
        number(json, "cached_bytes", moment->cached_bytes);
        number(json, "purged_bytes", moment->purged_bytes);
        shut(json, '}');
    }
    shut(json, ']');
    shut(json, '}');
}

static void write_mappings(struct json *json, const struct tm_report *report)
{
    static const char *const kinds[TM_MAP_KINDS] = {
        "anonymous", "code made at run time", "brk", "stack", "code", "data", "file", "shared",
        "kernel"};
    start(json, "other_mappings", '[');
    for (size_t i = 0; i < report->maps.other_count; i++) {
        const struct tm_other_map *other = &report->maps.others[i];
        start(json, NULL, '{');
        address(json, "start", other->map->start);
        address(json, "end", other->map->end);
        string(json, "kind", kinds[other->kind]);
        string(json, "path", tm_snapshot_string(report->snapshot, other->map->path));
        number(json, "rss_bytes", other->rss_bytes);
        shut(json, '}');
    }
    shut(json, ']');
    number(json, "swap_bytes", report->maps.swap_bytes);
}

static void write_cost(struct json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    start(json, "cost", '{');
    number(json, "metadata_resident_bytes",
           (uint64_t)report->ledger.group_bytes[TM_LEDGER_METADATA]);
    number(json, "library_resident_bytes", report->maps.library_bytes);
    number(json, "pause_ns", snapshot->process.pause_ns);
    number(json, "walk_ns", snapshot->process.walk_ns);
    number(json, "file_bytes", snapshot->file_bytes);
    shut(json, '}');
    /* A list and not an object: names come from the file and could be there twice. */
    start(json, "counters", '[');
    for (size_t i = 0; i < snapshot->counter_count; i++) {
        const struct tm_snapshot_counter *counter = &snapshot->counters[i];
        start(json, NULL, '{');
        text(json, "name", counter->name, strnlen(counter->name, sizeof counter->name));
        number(json, "value", counter->value);
        shut(json, '}');
    }
    shut(json, ']');
}

static void write_exactness(struct json *json, const struct tm_report *report)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    uint32_t flags = snapshot->header.flags;
    start(json, "exactness", '{');
    boolean(json, "frozen_copy", !(flags & TM_SNAPSHOT_IN_PROCESS));
    boolean(json, "heap_walked", !(flags & TM_SNAPSHOT_NO_HEAP));
    number(json, "cut_operations", snapshot->process.inconsistencies);
    number(json, "contradictions", report->heap.contradictions + report->maps.contradictions);
    number(json, "overcount_bytes", report->maps.overcount_bytes);
    shut(json, '}');
}

void tm_report_json(FILE *out, const struct tm_report *report)
{
    struct json json = {.out = out, .first = true};
    start(&json, NULL, '{');
    number(&json, "format_version", report->snapshot->header.version);
    number(&json, "rss_bytes", report->ledger.rss_bytes);
    write_ledger(&json, &report->ledger);
    write_verdict(&json, report);
    write_process(&json, report->snapshot);
    write_classes(&json, report);
    write_heap(&json, report);
    write_timeline(&json, report);
    write_mappings(&json, report);
    write_cost(&json, report);
    write_exactness(&json, report);
    shut(&json, '}');
    putc('\n', out);
}
