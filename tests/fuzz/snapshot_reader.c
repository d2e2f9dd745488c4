/* snapshot_reader.c: see snapshot_reader.h. */
#include "tests/fuzz/snapshot_reader.h"

#include "profiler/report/analyse.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"

#include <math.h>
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

static void check_sites(const struct tm_report *report)
{
    const struct tm_held *held = &report->held;
    uint64_t sum = held->older_bytes + held->unchosen_bytes + (uint64_t)held->inconsistent_bytes;
    for (size_t i = 0; i < report->sites.count; i++) {
        const struct tm_estimate *share = &held->groups[i].share;
        sum += held->groups[i].share_bytes;
        promise(isfinite(share->value) && isfinite(share->error), "shares are numbers");
        promise(share->low <= share->value * (1 + 1e-9) && share->value <= share->high * (1 + 1e-9),
                "an interval holds its estimate");
        promise(isfinite(held->groups[i].sole_resident.high), "limits are numbers");
    }
    promise(sum == report->heap.pinned_bytes, "shares and rows sum to the pinned bytes");
    double before = 0;
    for (size_t i = 0; i < report->plan.count; i++) {
        const struct tm_plan_step *step = &report->plan.steps[i];
        promise(step->back.value >= before, "a step of the plan brings something");
        before = step->back.value;
        for (size_t k = 0; k < step->count; k++)
            promise(step->groups[k] != TM_GROUP_UNKNOWN && step->groups[k] < report->sites.count,
                    "a plan names groups that are there");
    }
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
    struct tm_symbols_options options = {.root = NULL};
    struct tm_view view = {.symbols = tm_symbols_open(&file, &options)};
    /* One way of grouping and sorting a file, another for the next. */
    view.grouping = (enum tm_grouping)(size % TM_GROUPINGS);
    view.by = (enum tm_order)(size / TM_GROUPINGS % TM_ORDERS);
    view.depth = size % 3;
    promise(tm_report_make(&file, &view, &report), "there is memory");
    check(&report);
    check_sites(&report);
    print(&report);
    tm_report_free(&report);
    tm_symbols_close(view.symbols);
    tm_snapshot_free(&file);
    return true;
}
