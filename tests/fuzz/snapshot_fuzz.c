/* snapshot_fuzz.c: fuzz target: the input is a snapshot, whatever its checksum. What the reader
 * takes is analysed, reported in every form and exported in every format, with one way of grouping
 * or another; the figures must keep what they promise. Names come from a table (fake_symbols.c).
 */
#include "profiler/report/export.h"
#include "profiler/report/html_page.h"
#include "profiler/report/report_html.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/output.h"

#include <math.h>

static void check(const struct tm_report *report)
{
    const struct tm_heap *heap = &report->heap;
    int64_t sum = 0;
    for (size_t i = 0; i < report->ledger.count; i++)
        fuzz_promise(!__builtin_add_overflow(sum, report->ledger.rows[i].bytes, &sum),
                     "no overflow");
    fuzz_promise(sum == (int64_t)report->ledger.rss_bytes, "the ledger sums to RSS");
    fuzz_promise(heap->live_pool_bytes + heap->pinned_bytes + heap->cached_pool_bytes ==
                     heap->pool_bytes,
                 "live, pinned and cached are the pools' resident pages");
    fuzz_promise(heap->live_pool_bytes + heap->pinned_bytes == heap->floor_bytes,
                 "live and pinned are the page floor");
    for (int i = 1; i < TM_UNITS; i++)
        fuzz_promise(heap->units[i].return_bytes <= heap->units[i - 1].return_bytes,
                     "a wider unit never returns more");
}

static void check_sites(const struct tm_report *report)
{
    const struct tm_held *held = &report->held;
    uint64_t sum = held->older_bytes + held->unchosen_bytes + (uint64_t)held->inconsistent_bytes;
    for (size_t i = 0; i < report->sites.count; i++) {
        const struct tm_estimate *share = &held->groups[i].share;
        sum += held->groups[i].share_bytes;
        fuzz_promise(isfinite(share->value) && isfinite(share->error), "shares are numbers");
        fuzz_promise(share->low <= share->value * (1 + 1e-9) &&
                         share->value <= share->high * (1 + 1e-9),
                     "an interval holds its estimate");
        fuzz_promise(isfinite(held->groups[i].sole_resident.high), "limits are numbers");
    }
    fuzz_promise(sum == report->heap.pinned_bytes, "shares and rows sum to the pinned bytes");
    double before = 0;
    for (size_t i = 0; i < report->plan.count; i++) {
        const struct tm_plan_step *step = &report->plan.steps[i];
        fuzz_promise(step->back.value >= before, "a step of the plan brings something");
        before = step->back.value;
        for (size_t k = 0; k < step->count; k++)
            fuzz_promise(step->groups[k] != TM_GROUP_UNKNOWN &&
                             step->groups[k] < report->sites.count,
                         "a plan names groups that are there");
    }
}

static void print(const struct tm_report *report)
{
    struct fuzz_output output;
    struct tm_text_options options = {.top = 5, .utf8 = true};
    tm_report_text(fuzz_output_open(&output), report, &options);
    fuzz_output_is_text(&output, false);
    options.utf8 = false;
    tm_report_text(fuzz_output_open(&output), report, &options);
    fuzz_output_is_text(&output, true);
    tm_report_json(fuzz_output_open(&output), report);
    fuzz_output_is_json(&output);
}

static void write_page(const struct tm_report *report, const struct tm_report *by_stack)
{
    struct fuzz_output output;
    fuzz_promise(tm_report_html(fuzz_output_open(&output), report, by_stack),
                 "there is memory for a page");
    fuzz_output_is_page(&output, tm_html_report_page.before, tm_html_report_page.after);
}

/* What the formats are made of; binary ones are written into the void. */
enum form { BINARY, TEXT, JSON };

/* by_stack: a report whose groups are stacks. */
static void export_all(const struct tm_report *by_stack, enum tm_order value)
{
    static const struct {
        bool (*write)(struct tm_export *export);
        enum form form;
    } formats[] = {
        {tm_export_pprof, BINARY},    {tm_export_gperftools, BINARY}, {tm_export_folded, TEXT},
        {tm_export_speedscope, JSON}, {tm_export_dhat, JSON},         {tm_export_massif, TEXT},
        {tm_export_heaptrack, TEXT},  {tm_export_openmetrics, TEXT},
    };
    struct fuzz_output output;
    struct tm_export export = {.report = by_stack, .value = value};
    fuzz_promise(tm_export_open(&export), "there is memory for an export");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        /* Its events are up to a million, whatever the snapshot: not for each. */
        if (formats[i].write == tm_export_heaptrack && value != TM_BY_PEAK)
            continue;
        export.out = formats[i].form == BINARY ? fuzz_nowhere() : fuzz_output_open(&output);
        fuzz_promise(formats[i].write(&export), "there is memory for a format");
        if (formats[i].form == JSON)
            fuzz_output_is_json(&output);
        else if (formats[i].form == TEXT)
            fuzz_output_is_text(&output, false);
    }
    tm_export_close(&export);
}

static void report_on(const struct tm_snapshot_file *file, struct tm_view *view)
{
    struct tm_report report;
    struct tm_report by_stack;
    const struct tm_view stacks = {.grouping = TM_GROUP_STACK, .symbols = view->symbols};
    fuzz_promise(tm_report_make(file, view, &report), "there is memory");
    check(&report);
    check_sites(&report);
    print(&report);
    fuzz_promise(tm_report_make(file, &stacks, &by_stack), "there is memory");
    check_sites(&by_stack);
    write_page(&report, &by_stack);
    export_all(&by_stack, view->by);
    tm_report_free(&by_stack);
    tm_report_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_snapshot_file file;
    struct tm_snapshot_error error;
    if (!tm_snapshot_parse("F", data, size, TM_SNAPSHOT_READ_ANY_CRC, &file, &error)) {
        fuzz_promise(error.text[0] != '\0', "a refusal has words");
        return 0;
    }
    fuzz_reached();
    struct tm_symbols_options options = {.root = NULL};
    struct tm_view view = {.symbols = tm_symbols_open(&file, &options)};
    /* One way of grouping and sorting a file, another for the next. */
    view.grouping = (enum tm_grouping)(size % TM_GROUPINGS);
    view.by = (enum tm_order)(size / TM_GROUPINGS % TM_ORDERS);
    view.depth = size % 3;
    report_on(&file, &view);
    tm_symbols_close(view.symbols);
    tm_snapshot_free(&file);
    return 0;
}
