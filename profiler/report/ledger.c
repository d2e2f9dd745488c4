/* ledger.c: see ledger.h. */
#include "profiler/report/ledger.h"

#include "allocator/census.h"

#include <assert.h>
#include <stdio.h>

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
        add_row(ledger, TM_LEDGER_METADATA, name, "Tidemark's own",
                (int64_t)heap->metadata[i].resident_bytes);
    }
}

void tm_ledger_make(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                    const struct tm_maps *maps, struct tm_ledger *ledger)
{
    *ledger = (struct tm_ledger){.rss_bytes = snapshot->process.rss_bytes, .rss_source = "VmRSS"};
    if (ledger->rss_bytes == 0) {
        ledger->rss_bytes = maps->total_bytes;
        ledger->rss_source = maps->total_bytes ? "sum over its mappings; VmRSS could not be read"
                                               : "could not be read";
    }
    const struct tm_span_use *spans = heap->spans;
    add_row(ledger, TM_LEDGER_LIVE, "live in pools",
            "small blocks in use, with the rounding up to their size class",
            (int64_t)heap->live_pool_bytes);
    add_row(ledger, TM_LEDGER_LIVE, "live in spans", "large blocks in use, with rounding to pages",
            (int64_t)(spans[TM_CENSUS_SPAN_PAGES].resident_bytes +
                      spans[TM_CENSUS_SPAN_ARENAS].resident_bytes));
    add_row(ledger, TM_LEDGER_LIVE, "live mappings", "very large blocks in use, a mapping each",
            (int64_t)spans[TM_CENSUS_SPAN_MAPPING].resident_bytes);
    add_row(ledger, TM_LEDGER_HELD, "pinned",
            "free, but a live block shares the page, so it cannot go back",
            (int64_t)heap->pinned_bytes);
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
