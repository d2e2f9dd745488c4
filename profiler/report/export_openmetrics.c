/* export_openmetrics.c: the ledger and the largest sites as OpenMetrics, for the textfile collector
 * of Prometheus's node_exporter and its like. All metrics are gauges: they tell of one instant.
 * Sites are functions, since every set of labels is a series that a server keeps, and few: the
 * others are summed up. export->report is made by TM_GROUP_FUNCTION.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"
#include "profiler/report/who.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SITES = 50 };

struct metrics {
    FILE *out;
    struct tm_export_text program;
    int pid;
};

static void begin(const struct metrics *to, const char *name, const char *unit, const char *help)
{
    fprintf(to->out, "# HELP tidemark_%s %s\n# TYPE tidemark_%s gauge\n# UNIT tidemark_%s %s\n",
            name, help, name, name, unit);
}

/* A label with its value as the format escapes it. */
static void label(const struct metrics *to, const char *name, const char *value)
{
    struct tm_export_text clean = tm_export_clean(value, "", '?');
    fprintf(to->out, "%s=\"", name);
    for (const char *at = clean.text; *at; at++) {
        if (*at == '\\' || *at == '"')
            fputc('\\', to->out);
        fputc(*at, to->out);
    }
    fputc('"', to->out);
}

static void begin_sample(const struct metrics *to, const char *name)
{
    fprintf(to->out, "tidemark_%s{pid=\"%d\",", name, to->pid);
    label(to, "program", to->program.text);
}

static void gauge(const struct metrics *to, const char *name, uint64_t bytes, const char *help)
{
    begin(to, name, "bytes", help);
    begin_sample(to, name);
    fprintf(to->out, "} %" PRIu64 "\n", bytes);
}

static void write_ledger(const struct metrics *to, const struct tm_ledger *ledger)
{
    struct tm_intern names = {.bytes = NULL};
    begin(to, "ledger_bytes", "bytes",
          "Rows that sum to the resident memory; one is the residual.");
    for (size_t i = 0; i < ledger->count; i++) {
        bool is_new;
        tm_intern(&names, ledger->rows[i].name, strlen(ledger->rows[i].name), &is_new);
        if (!is_new)
            continue; /* a name from the file that is there twice */
        begin_sample(to, "ledger_bytes");
        fputc(',', to->out);
        label(to, "group", tm_ledger_group_name(ledger->rows[i].group));
        fputc(',', to->out);
        label(to, "row", ledger->rows[i].name);
        fprintf(to->out, "} %" PRId64 "\n", ledger->rows[i].bytes);
    }
    tm_intern_free(&names);
}

/* A site with what tells it apart from all others. */
struct site {
    struct tm_label name;
    const char *module;
    struct tm_stack_values values;
};

/* The largest sites, and all others as one. Returns how many. */
static size_t choose(struct tm_export *export, struct site *sites)
{
    struct tm_intern names = {.bytes = NULL};
    struct tm_stack_values rest = {.live_bytes = 0};
    size_t count = 0;
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        const struct tm_symbol *symbol = export->report->sites.groups[stack.group].who.symbol;
        bool others = stack.frames[0].kind == TM_STACK_OTHERS || count == MOST_SITES;
        if (!others) {
            struct site *site = &sites[count];
            site->name = tm_group_label(export->report, stack.group);
            site->module = symbol->module ? symbol->module : "";
            site->values = stack.values;
            char key[sizeof site->name.text + TM_EXPORT_NAME + 2];
            int length = snprintf(key, sizeof key, "%s\n%s", site->name.text,
                                  tm_export_clean(site->module, "", '?').text);
            tm_intern(&names, key, (size_t)length, &others);
            others = !others;
        }
        count += !others;
        if (others) {
            rest.live_bytes += stack.values.live_bytes;
            rest.held_bytes += stack.values.held_bytes;
            rest.peak_bytes += stack.values.peak_bytes;
            rest.allocated_bytes += stack.values.allocated_bytes;
        }
    }
    tm_intern_free(&names);
    sites[count] = (struct site){.name = {"[other sites]"}, .module = "", .values = rest};
    return count + 1;
}

static void write_sites(const struct metrics *to, const struct site *sites, size_t count)
{
    static const struct {
        const char *name, *help;
        enum tm_order by;
    } figures[] = {
        {"site_live_bytes", "Bytes in live blocks, by the function that allocated them.",
         TM_BY_LIVE},
        {"site_held_bytes",
         "Free bytes that cannot go back, charged to the live blocks on the same pages.",
         TM_BY_HELD},
        {"site_sole_pin_bytes", "Of these, the bytes on pages with live blocks of this site only.",
         TM_BY_SOLE},
        {"site_peak_bytes", "Bytes that were live when the live bytes of all were highest.",
         TM_BY_PEAK},
        {"site_allocated_bytes", "Bytes allocated since recording began.", TM_BY_ALLOCATED},
    };
    for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++) {
        begin(to, figures[k].name, "bytes", figures[k].help);
        for (size_t i = 0; i < count; i++) {
            bool rest = i + 1 == count;
            if (rest && figures[k].by == TM_BY_SOLE)
                continue; /* cannot be summed up */
            begin_sample(to, figures[k].name);
            fputc(',', to->out);
            label(to, "site", sites[i].name.text);
            fputc(',', to->out);
            label(to, "module", sites[i].module);
            fprintf(to->out, "} %" PRIu64 "\n",
                    tm_whole(tm_stack_value(&sites[i].values, figures[k].by)));
        }
    }
}

bool tm_export_openmetrics(struct tm_export *export)
{
    const struct tm_report *report = export->report;
    const struct tm_snapshot_process *process = &report->snapshot->process;
    char exe[TM_EXPORT_NAME];
    size_t length = report->snapshot->exe.length;
    snprintf(exe, sizeof exe, "%.*s", (int)(length < sizeof exe ? length : sizeof exe - 1),
             report->snapshot->exe.bytes);
    struct metrics to = {export->out, tm_export_clean(tm_base_name(exe), "", '?'), process->pid};
    struct site *sites = calloc(MOST_SITES + 1, sizeof *sites);
    if (!sites)
        return false;
    begin(&to, "snapshot_timestamp_seconds", "seconds", "When the snapshot was taken.");
    begin_sample(&to, "snapshot_timestamp_seconds");
    fprintf(to.out, "} %.3f\n", (double)process->realtime_ns / 1e9);
    gauge(&to, "rss_bytes", report->ledger.rss_bytes, "Resident memory of the process.");
    gauge(&to, "peak_rss_bytes", process->peak_rss_bytes, "The most that it was.");
    gauge(&to, "live_bytes", tm_report_live(report), "Resident bytes in live blocks.");
    gauge(&to, "held_bytes", tm_report_held(report),
          "Resident bytes of the allocator in no live block: pinned and cached.");
    gauge(&to, "pinned_bytes", report->heap.pinned_bytes,
          "Held bytes that cannot go back: a live block shares the page.");
    gauge(&to, "cached_bytes", report->heap.cached_bytes,
          "Held bytes that can go back and are kept for reuse.");
    gauge(&to, "page_floor_bytes", report->heap.floor_bytes,
          "Resident pages of small blocks with a live block.");
    write_ledger(&to, &report->ledger);
    if (report->snapshot->has_recording)
        write_sites(&to, sites, choose(export, sites));
    fputs("# EOF\n", to.out);
    free(sites);
    return true;
}
