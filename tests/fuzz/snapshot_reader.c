/* snapshot_reader.c: see snapshot_reader.h. */
#include "tests/fuzz/snapshot_reader.h"

#include "profiler/report/analyse.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"

#include <stdlib.h>

static void promise(bool kept, const char *what)
{
    if (kept)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check(const struct tm_report *report)
{
    const struct tm_heap *heap = &report->heap;
    int64_t sum = 0;
    for (size_t i = 0; i < report->ledger.count; i++)
        promise(!__builtin_add_overflow(sum, report->ledger.rows[i].bytes, &sum), "no overflow");
    promise(sum == (int64_t)report->ledger.rss_bytes, "the ledger sums to RSS");
    promise(heap->live_pool_bytes + heap->pinned_bytes + heap->cached_pool_bytes ==
                heap->pool_bytes,
            "live, pinned and cached are the pools' resident pages");
    promise(heap->live_pool_bytes + heap->pinned_bytes == heap->floor_bytes,
            "live and pinned are the page floor");
    for (int i = 1; i < TM_UNITS; i++)
        promise(heap->units[i].return_bytes <= heap->units[i - 1].return_bytes,
                "a wider unit never returns more");
}

static void print(const struct tm_report *report)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    promise(nowhere != NULL, "/dev/null opens");
    struct tm_text_options options = {.top = 5, .utf8 = true};
    tm_report_text(nowhere, report, &options);
    options.utf8 = false;
    tm_report_text(nowhere, report, &options);
    tm_report_json(nowhere, report);
}

bool snapshot_reader_try(const void *data, size_t size)
{
    struct tm_snapshot_file file;
    struct tm_snapshot_error error;
    struct tm_report report;
    if (!tm_snapshot_parse("F", data, size, TM_SNAPSHOT_READ_ANY_CRC, &file, &error)) {
        promise(error.text[0] != '\0', "a refusal has words");
        return false;
    }
    promise(tm_report_make(&file, &report), "there is memory");
    check(&report);
    print(&report);
    tm_report_free(&report);
    tm_snapshot_free(&file);
    return true;
}
