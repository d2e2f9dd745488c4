/* analyse.c: puts the parts of the analysis together; see analyse.h. */
#include "profiler/report/analyse.h"

#include <stdlib.h>
#include <string.h>

uint64_t tm_moment_bytes(const struct tm_snapshot_moment *moment)
{
    return moment->pool_bytes + moment->span_bytes + moment->mapping_bytes + moment->cached_bytes;
}

uint64_t tm_report_live(const struct tm_report *report)
{
    return (uint64_t)report->ledger.group_bytes[TM_LEDGER_LIVE];
}

uint64_t tm_report_held(const struct tm_report *report)
{
    return (uint64_t)report->ledger.group_bytes[TM_LEDGER_HELD];
}

bool tm_report_make(const struct tm_snapshot_file *snapshot, const struct tm_view *view,
                    struct tm_report *report)
{
    *report = (struct tm_report){.snapshot = snapshot};
    if (view)
        report->view = *view;
    report->python = tm_python_of(snapshot);
    if (!tm_heap_analyse(snapshot, &report->heap))
        return false;
    if (!tm_maps_analyse(snapshot, &report->heap, &report->maps) ||
        !tm_sites_analyse(snapshot, &report->view, report->python != TM_PYTHON_NONE,
                          &report->sites) ||
        !tm_held_analyse(snapshot, &report->heap, &report->sites, &report->held) ||
        !tm_plan_make(snapshot, &report->sites, &report->held, &report->plan)) {
        tm_report_free(report);
        return false;
    }
    tm_ledger_make(snapshot, &report->heap, &report->maps, &report->sites, &report->ledger);
    for (size_t i = 1; i < snapshot->moment_count; i++)
        if (tm_moment_bytes(&snapshot->moments[i]) >
            tm_moment_bytes(&snapshot->moments[report->peak_moment]))
            report->peak_moment = i;
    tm_verdict_make(report);
    return true;
}

void tm_report_free(struct tm_report *report)
{
    tm_heap_free(&report->heap);
    tm_maps_free(&report->maps);
    tm_sites_free(&report->sites);
    tm_held_free(&report->held);
}

static double figure_of(const struct tm_report *report, enum tm_order by, uint32_t index)
{
    const struct tm_group *group = &report->sites.groups[index];
    const struct tm_group_held *held = &report->held.groups[index];
    switch (by) {
    case TM_BY_SOLE:
        return held->sole_resident.value;
    case TM_BY_LIVE:
        return (double)group->sums.live_bytes;
    case TM_BY_PEAK:
        return (double)group->sums.peak_bytes;
    case TM_BY_ALLOCATED:
        return (double)group->sums.allocated_bytes;
    case TM_BY_TEMPORARY:
        return (double)group->sums.temporary_blocks;
    default:
        return held->share.value;
    }
}

struct order {
    const struct tm_report *report;
    enum tm_order by;
};

static int by_figure_down(const void *left, const void *right, void *context)
{
    const struct order *order = context;
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    double x = figure_of(order->report, order->by, a);
    double y = figure_of(order->report, order->by, b);
    if (x != y)
        return x < y ? 1 : -1;
    return (a > b) - (a < b);
}

size_t tm_report_rank(const struct tm_report *report, enum tm_order by, uint32_t *ranked)
{
    struct order order = {report, by};
    size_t count = 0;
    for (uint32_t i = 0; i < report->sites.count; i++)
        if (i != TM_GROUP_UNKNOWN && figure_of(report, by, i) > 0)
            ranked[count++] = i;
    qsort_r(ranked, count, sizeof *ranked, by_figure_down, &order);
    return count;
}

bool tm_report_has_python_frames(const struct tm_report *report)
{
    for (size_t i = 1; i < report->sites.count; i++) {
        const char *file = report->sites.groups[i].who.symbol->file;
        size_t length = file ? strlen(file) : 0;
        if (length > 3 && strcmp(file + length - 3, ".py") == 0)
            return true;
    }
    return false;
}

/* Whether the last part of a path starts with a word. */
static bool is_named(const char *path, size_t length, const char *word)
{
    const char *slash = memrchr(path, '/', length);
    if (slash) {
        length -= (size_t)(slash + 1 - path);
        path = slash + 1;
    }
    return length >= strlen(word) && memcmp(path, word, strlen(word)) == 0;
}

static bool is_python(const struct tm_snapshot_file *snapshot)
{
    struct tm_text command = snapshot->command;
    if (is_named(snapshot->exe.bytes, snapshot->exe.length, "python") ||
        is_named(command.bytes, strnlen(command.bytes, command.length), "python"))
        return true;
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const char *path = tm_snapshot_string(snapshot, snapshot->maps[i].path);
        if (path[0] == '/' && is_named(path, strlen(path), "libpython"))
            return true;
    }
    return false;
}

enum tm_python tm_python_of(const struct tm_snapshot_file *snapshot)
{
    if (!is_python(snapshot))
        return TM_PYTHON_NONE;
    bool found;
    struct tm_text value = tm_text_value(snapshot->environment, "PYTHONMALLOC", &found);
    static const char *const direct[] = {"malloc", "malloc_debug"};
    for (int i = 0; i < 2; i++)
        if (found && value.length == strlen(direct[i]) &&
            memcmp(value.bytes, direct[i], value.length) == 0)
            return TM_PYTHON_DIRECT;
    return TM_PYTHON_POOLS;
}
