/* top_json.c: `tidemark top --json`: the same as the table, in bytes. */
#include "profiler/report/json_write.h"
#include "profiler/report/top.h"

#include "profiler/format/snapshot.h"

static void write_page(struct tm_json *json, const struct tm_top_row *row)
{
    const struct tm_live_process *process = &row->process;
    static const char *const modes[] = {
        [TM_SITES_OFF] = "off", [TM_SITES_SAMPLE] = "sample", [TM_SITES_ALL] = "all"};
    tm_json_number(json, "live_bytes", process->live_bytes);
    tm_json_number(json, "pinned_bytes", process->pinned_bytes);
    tm_json_number(json, "cached_bytes", process->cached_bytes);
    tm_json_boolean(json, "all_pools_looked_at", (process->page.flags & TM_LIVE_EXACT) != 0);
    tm_json_number(json, "taken_bytes", process->page.taken_bytes);
    tm_json_string(json, "sites",
                   process->page.sites <= TM_SITES_ALL ? modes[process->page.sites] : "unknown");
    tm_json_number(json, "recorded_bytes", process->page.recorded_bytes);
    tm_json_number(json, "recorded_blocks", process->page.recorded_blocks);
    tm_json_number(json, "heaps", process->page.heaps);
    tm_json_number(json, "snapshots", process->page.snapshots);
    tm_json_number(json, "age_ns", process->age_ns);
    if (row->has_rate)
        tm_json_real(json,
                     row->rate_recorded ? "recorded_bytes_per_second" : "taken_bytes_per_second",
                     row->rate);
}

void tm_top_json(FILE *out, const struct tm_top *top)
{
    static const char *const states[] = {[TM_LIVE_READ] = "read",
                                         [TM_LIVE_NONE] = "none",
                                         [TM_LIVE_DENIED] = "denied",
                                         [TM_LIVE_VERSIONS] = "other version"};
    struct tm_json json = {.out = out};
    tm_json_start(&json, NULL, '{');
    tm_json_start(&json, "processes", '[');
    for (size_t i = 0; i < top->count; i++) {
        const struct tm_top_row *row = &top->rows[i];
        tm_json_start(&json, NULL, '{');
        tm_json_signed(&json, "pid", row->process.pid);
        tm_json_signed(&json, "inner_pid", row->process.inner_pid);
        tm_json_number(&json, "uid", row->process.uid);
        tm_json_string(&json, "user", row->process.user);
        tm_json_string(&json, "program", row->process.program);
        tm_json_number(&json, "rss_bytes", row->process.rss_bytes);
        if (row->has_trend)
            tm_json_real(&json, "rss_bytes_per_minute", row->trend);
        tm_json_string(&json, "page", states[row->process.state]);
        if (row->process.state == TM_LIVE_READ)
            write_page(&json, row);
        tm_json_end(&json, '}');
    }
    tm_json_end(&json, ']');
    tm_json_number(&json, "processes_denied", top->list.denied);
    tm_json_end(&json, '}');
    putc('\n', out);
}
