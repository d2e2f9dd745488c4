/* ledger.c: see ledger.h. */
#include "profiler/report/ledger.h"

#include "allocator/census.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *meaning;
} map_rows[TM_MAP_KINDS] = {
    [TM_MAP_ANONYMOUS] = {"other anonymous memory",
                          "the program's own mmap: another allocator, a runtime, buffers"},
    [TM_MAP_CODE_MADE] = {"code made at run time",
                          "anonymous executable memory (a JIT compiler's)"},
    [TM_MAP_BRK] = {"brk heap", "memory below the program break: used before or beside Tidemark"},
    [TM_MAP_STACK] = {"stacks",
                      "the main stack, and anonymous memory above a guard (by its shape)"},
    [TM_MAP_CODE] = {"program and library code", "pages of the files that were only read"},
    [TM_MAP_DATA] = {"program and library data", "pages of them that were written to, and .bss"},
    [TM_MAP_FILE] = {"mapped files", "other files, mapped privately"},
    [TM_MAP_SHARED] = {"shared memory", "shared memory and files mapped shared"},
    [TM_MAP_KERNEL] = {"kernel pages", "vdso and the like"},
};

static void add_row(struct tm_ledger *ledger, enum tm_ledger_group group, const char *name,
                    const char *meaning, int64_t bytes)
{
    assert(ledger->count < TM_LEDGER_ROWS);
    struct tm_ledger_row *row = &ledger->rows[ledger->count++];
    snprintf(row->name, sizeof row->name, "%s", name);
    row->meaning = meaning;
    row->bytes = bytes;
    row->group = group;
    ledger->group_bytes[group] += bytes;
}

static void add_metadata(struct tm_ledger *ledger, const struct tm_heap *heap)
{
    for (size_t i = 0; i < heap->metadata_count; i++) {
        char name[40];
        snprintf(name, sizeof name, "metadata: %s", heap->metadata[i].what);
        bool profiler = strcmp(heap->metadata[i].what, "sites") == 0 ||
                        strcmp(heap->metadata[i].what, "recorder") == 0;
        add_row(ledger, TM_LEDGER_METADATA, name,
                profiler ? "Tidemark's own: what the profiler keeps"
                         : "Tidemark's own: what the allocator keeps",
                (int64_t)heap->metadata[i].resident_bytes);
    }
}

static void add_places(struct tm_ledger *ledger, const struct tm_heap *heap)
{
    const struct tm_span_use *spans = heap->spans;
    add_row(ledger, TM_LEDGER_LIVE, "live in pools",
            "small blocks in use, with the rounding up to their size class",
            (int64_t)heap->live_pool_bytes);
    add_row(ledger, TM_LEDGER_LIVE, "live in spans", "large blocks in use, with rounding to pages",
            (int64_t)(spans[TM_CENSUS_SPAN_PAGES].resident_bytes +
                      spans[TM_CENSUS_SPAN_ARENAS].resident_bytes));
    add_row(ledger, TM_LEDGER_LIVE, "live mappings", "very large blocks in use, a mapping each",
            (int64_t)spans[TM_CENSUS_SPAN_MAPPING].resident_bytes);
}

/* The same bytes by what was asked for, if the sites tell it of nearly all live blocks
 * (what was taken while the process started is not among them). Rounding
 * counts as resident; what of the blocks is not (never written to) is taken off the request. */
static bool add_requested(struct tm_ledger *ledger, const struct tm_heap *heap,
                          const struct tm_sites *sites)
{
    uint64_t live = heap->live_pool_all_bytes;
    uint64_t resident = heap->live_pool_bytes;
    for (int i = 0; i < TM_CENSUS_SPAN_CACHED; i++) {
        live += heap->spans[i].bytes;
        resident += heap->spans[i].resident_bytes;
    }
    uint64_t recorded = sites->total.live_bytes;
    uint64_t requested = sites->total.live_requested;
    if (!sites->complete || requested == 0 || recorded > live || requested > recorded)
        return false;
    uint64_t unrecorded = live - recorded;
    uint64_t rounding = recorded - requested;
    if (unrecorded > live / 10 || rounding + unrecorded > resident)
        return false;
    add_row(ledger, TM_LEDGER_LIVE, "requested",
            "what the program asked for and has in use, as far as it is resident",
            (int64_t)(resident - rounding - unrecorded));
    add_row(ledger, TM_LEDGER_LIVE, "rounding",
            "added to it: up to the size class, or to whole pages", (int64_t)rounding);
    add_row(ledger, TM_LEDGER_LIVE, "live, not recorded",
            "blocks from before the recording began, or that it missed", (int64_t)unrecorded);
    ledger->is_split = true;
    return true;
}

void tm_ledger_make(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                    const struct tm_maps *maps, const struct tm_sites *sites,
                    struct tm_ledger *ledger)
{
    *ledger = (struct tm_ledger){.rss_bytes = snapshot->process.rss_bytes, .rss_source = "VmRSS"};
    if (ledger->rss_bytes == 0) {
        ledger->rss_bytes = maps->total_bytes;
        ledger->rss_source = maps->total_bytes ? "sum over its mappings; VmRSS could not be read"
                                               : "could not be read";
    }
    const struct tm_span_use *spans = heap->spans;
    if (!add_requested(ledger, heap, sites))
        add_places(ledger, heap);
    add_row(ledger, TM_LEDGER_HELD, "pinned",
            "free, but a live block shares the page, so it cannot go back",
            (int64_t)heap->pinned_bytes);
    if (heap->units[0].unit_bytes > TM_CENSUS_PAGE)
        add_row(ledger, TM_LEDGER_HELD, "beside pages in use",
                "free pages of 4 KiB that share the kernel's larger page with one in use",
                (int64_t)(heap->beside_pool_bytes + heap->beside_arena_bytes));
    add_row(ledger, TM_LEDGER_HELD, "cached in pools",
            "pages of pools without a live block, kept for reuse; can go back",
            (int64_t)heap->cached_pool_bytes);
    add_row(ledger, TM_LEDGER_HELD, "cached in arenas",
            "pages in no pool or span, kept for reuse; can go back",
            (int64_t)heap->cached_arena_bytes);
    add_row(ledger, TM_LEDGER_HELD, "cached mappings",
            "freed very large blocks, kept for reuse; can go back",
            (int64_t)spans[TM_CENSUS_SPAN_CACHED].resident_bytes);
    add_metadata(ledger, heap);
    for (int i = 0; i < TM_MAP_KINDS; i++)
        add_row(ledger, TM_LEDGER_PROGRAM, map_rows[i].name, map_rows[i].meaning,
                (int64_t)maps->rss_bytes[i]);
    uint64_t explained = 0;
    for (size_t i = 0; i < ledger->count; i++)
        explained += (uint64_t)ledger->rows[i].bytes;
    add_row(ledger, TM_LEDGER_RESIDUAL, "residual",
            "RSS less all rows above: what changed during the count, or has no row",
            (int64_t)(ledger->rss_bytes - explained));
}

const char *tm_ledger_group_name(enum tm_ledger_group group)
{
    static const char *const names[TM_LEDGER_GROUPS] = {"live", "held", "metadata", "program",
                                                        "residual"};
    return names[group];
}
