/* metrics.c: the text of `tidemark metrics`. Processes of the same program are told apart by their
 * pid; the table of families below is all there is. Figures of a process without a page are left
 * out, so that nothing is shown as 0 that is not known.
 */
#include "profiler/report/metrics.h"

#include "profiler/format/snapshot.h"
#include "profiler/report/export.h"
#include "profiler/report/live.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum need {
    ANY,      /* every process has it */
    PAGE,     /* those with a page */
    RECORDED, /* those with a page that record call sites, or did */
};

enum value {
    RSS,
    START,
    LIVE,
    PINNED,
    CACHED,
    ALLOCATED,
    TAKEN,
    PURGED,
    UNMAPPED,
    ARENA,
    METADATA,
    HEAPS,
    SNAPSHOTS,
    AGE,
};

static const struct {
    const char *name; /* without _total */
    const char *unit; /* "": a number */
    const char *help;
    bool counter;
    enum need need;
} families[] = {
    [RSS] = {"rss_bytes", "bytes", "Resident memory of the process as the kernel counts it.", false,
             ANY},
    [START] = {"start_time_seconds", "seconds", "When the process began, in seconds since 1970.",
               false, ANY},
    [LIVE] = {"live_bytes", "bytes",
              "Blocks in use: large ones counted, small ones estimated from a look at some pools.",
              false, PAGE},
    [PINNED] = {"pinned_bytes", "bytes",
                "Free bytes on pages with live blocks, which cannot go back: an estimate likewise.",
                false, PAGE},
    [CACHED] = {"cached_bytes", "bytes", "Free pages that are kept for reuse.", false, PAGE},
    [ALLOCATED] = {"allocated_bytes", "bytes",
                   "Bytes allocated while call sites were recorded; of a sample an estimate.", true,
                   RECORDED},
    [TAKEN] = {"taken_bytes", "bytes",
               "Memory that heaps took for pools and large blocks; reuse of freed blocks is not in "
               "it.",
               true, PAGE},
    [PURGED] = {"purged_bytes", "bytes", "Pages given back to the kernel by madvise.", true, PAGE},
    [UNMAPPED] = {"unmapped_bytes", "bytes", "Address space given back to the kernel.", true, PAGE},
    [ARENA] = {"arena_bytes", "bytes", "Address space of arenas.", false, PAGE},
    [METADATA] = {"metadata_bytes", "bytes", "Address space of the allocator's own descriptors.",
                  false, PAGE},
    [HEAPS] = {"heaps", "", "Heaps of running threads.", false, PAGE},
    [SNAPSHOTS] = {"snapshots", "", "Snapshots that the process wrote.", true, PAGE},
    [AGE] = {"age_seconds", "seconds",
             "Since the process wrote these figures; it does when it moves pages.", false, PAGE},
};

enum { FAMILIES = sizeof families / sizeof families[0] };

struct text {
    FILE *out;
    enum tm_metrics_format format;
    int64_t real_minus_monotonic_ns;
};

static void begin(const struct text *text, const char *name, const char *unit, const char *help,
                  bool counter)
{
    bool open = text->format == TM_METRICS_OPENMETRICS;
    /* The older format knows a counter by its samples' name, which ends in _total. */
    const char *end = counter && !open ? "_total" : "";
    fprintf(text->out, "# HELP tidemark_%s%s %s\n# TYPE tidemark_%s%s %s\n", name, end, help, name,
            end, counter ? "counter" : "gauge");
    if (open && unit[0] != '\0')
        fprintf(text->out, "# UNIT tidemark_%s %s\n", name, unit);
}

static void label(FILE *out, const char *name, const char *value)
{
    struct tm_export_text clean = tm_export_clean(value, "", '?');
    fprintf(out, "%s=\"", name);
    for (const char *at = clean.text; *at != '\0'; at++) {
        if (*at == '\\' || *at == '"')
            putc('\\', out);
        putc(*at, out);
    }
    putc('"', out);
}

static void sample(const struct text *text, unsigned family, const struct tm_live_process *process)
{
    const struct tm_live *page = &process->page;
    uint64_t number = 0;
    double seconds = -1;
    switch ((enum value)family) {
    case RSS:
        number = process->rss_bytes;
        break;
    case START:
        seconds = (double)((int64_t)process->start_ns + text->real_minus_monotonic_ns) / 1e9;
        break;
    case LIVE:
        number = process->live_bytes;
        break;
    case PINNED:
        number = process->pinned_bytes;
        break;
    case CACHED:
        number = process->cached_bytes;
        break;
    case ALLOCATED:
        number = page->recorded_bytes;
        break;
    case TAKEN:
        number = page->taken_bytes;
        break;
    case PURGED:
        number = page->purged_bytes;
        break;
    case UNMAPPED:
        number = page->unmapped_bytes;
        break;
    case ARENA:
        number = page->arena_bytes;
        break;
    case METADATA:
        number = page->metadata_bytes;
        break;
    case HEAPS:
        number = page->heaps;
        break;
    case SNAPSHOTS:
        number = page->snapshots;
        break;
    case AGE:
        seconds = (double)process->age_ns / 1e9;
        break;
    }
    fprintf(text->out, "tidemark_%s%s{pid=\"%d\",", families[family].name,
            families[family].counter ? "_total" : "", (int)process->pid);
    label(text->out, "program", process->program);
    putc(',', text->out);
    label(text->out, "user", process->user);
    if (seconds >= 0)
        fprintf(text->out, "} %.3f\n", seconds);
    else
        fprintf(text->out, "} %" PRIu64 "\n", number);
}

static bool has(const struct tm_live_process *process, enum need need)
{
    if (need == ANY)
        return true;
    if (process->state != TM_LIVE_READ)
        return false;
    return need == PAGE || process->page.sites != TM_SITES_OFF || process->page.recorded_bytes != 0;
}

static void count(const struct text *text, const char *name, const char *help, size_t value)
{
    begin(text, name, "", help, false);
    fprintf(text->out, "tidemark_%s %zu\n", name, value);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int tm_metrics_write(FILE *out, enum tm_metrics_format format)
{
    static struct tm_live_list list;
    int error = tm_live_scan(&list);
    if (error != 0)
        return error;
    struct text text = {out, format, clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC)};
    for (unsigned family = 0; family < FAMILIES; family++) {
        begin(&text, families[family].name, families[family].unit, families[family].help,
              families[family].counter);
        for (size_t i = 0; i < list.count; i++)
            if (has(&list.processes[i], families[family].need))
                sample(&text, family, &list.processes[i]);
    }
    count(&text, "processes", "Processes that run under Tidemark.", list.count);
    count(&text, "processes_without_figures", "Of these, processes whose figures are not known.",
          list.without);
    count(&text, "processes_denied", "Processes that may not be looked at, under Tidemark or not.",
          list.denied);
    if (format == TM_METRICS_OPENMETRICS)
        fputs("# EOF\n", out);
    tm_live_free(&list);
    return ferror(out) ? EIO : 0;
}
