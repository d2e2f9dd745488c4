/* analyse.c: puts the parts of the analysis together; see analyse.h. */
#include "profiler/report/analyse.h"

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

bool tm_report_make(const struct tm_snapshot_file *snapshot, struct tm_report *report)
{
    *report = (struct tm_report){.snapshot = snapshot};
    if (!tm_heap_analyse(snapshot, &report->heap))
        return false;
    if (!tm_maps_analyse(snapshot, &report->heap, &report->maps)) {
        tm_heap_free(&report->heap);
        return false;
    }
    tm_ledger_make(snapshot, &report->heap, &report->maps, &report->ledger);
    for (size_t i = 1; i < snapshot->moment_count; i++)
        if (tm_moment_bytes(&snapshot->moments[i]) >
            tm_moment_bytes(&snapshot->moments[report->peak_moment]))
            report->peak_moment = i;
    report->python = tm_python_of(snapshot);
    tm_verdict_make(report);
    return true;
}

void tm_report_free(struct tm_report *report)
{
    tm_heap_free(&report->heap);
    tm_maps_free(&report->maps);
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
