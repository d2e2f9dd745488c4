/* report_text_heap.c: the tables of the allocator's own memory; see report_text.h. */
#include "profiler/report/report_format.h"
#include "profiler/report/report_text.h"

#include "allocator/census.h"

#include <inttypes.h>
#include <stdlib.h>

enum { BAR = 30 /* columns of a full bar */ };

static uint64_t held_of(const struct tm_class_use *class)
{
    return class->pinned_bytes + class->cached_bytes;
}

static int by_held_down(const void *left, const void *right)
{
    const struct tm_class_use *a = *(const struct tm_class_use *const *)left;
    const struct tm_class_use *b = *(const struct tm_class_use *const *)right;
    if (held_of(a) != held_of(b))
        return held_of(a) < held_of(b) ? 1 : -1;
    return (a->block_bytes > b->block_bytes) - (a->block_bytes < b->block_bytes);
}

static void add_class(struct tm_class_use *total, const struct tm_class_use *class)
{
    total->pools += class->pools;
    total->live_blocks += class->live_blocks;
    total->capacity += class->capacity;
    total->binned += class->binned;
    total->remote += class->remote;
    total->tail_bytes += class->tail_bytes;
    total->live_all_bytes += class->live_all_bytes;
    total->live_bytes += class->live_bytes;
    total->pinned_bytes += class->pinned_bytes;
    total->cached_bytes += class->cached_bytes;
}

static void print_class(FILE *out, const char *name, const struct tm_class_use *class)
{
    fprintf(out, "  %10s %9" PRIu64 " %13s %13s %8s %11s %11s %11s\n", name, class->pools,
            tm_words_exact((int64_t) class->live_blocks).text,
            tm_words_exact((int64_t) class->capacity).text,
            tm_words_percent(class->live_blocks, class->capacity).text,
            tm_words_bytes(class->live_bytes).text, tm_words_bytes(class->pinned_bytes).text,
            tm_words_bytes(class->cached_bytes).text);
}

static void print_classes(FILE *out, const struct tm_report *report,
                          const struct tm_text_options *options)
{
    size_t count = report->snapshot->class_count;
    const struct tm_class_use **sorted = calloc(count + 1, sizeof *sorted);
    struct tm_class_use total = {0};
    struct tm_class_use rest = {0};
    size_t used = 0;
    tm_text_heading(out, options, "Occupancy by size class, most held first");
    for (size_t i = 0; sorted && i < count; i++)
        if (report->heap.classes[i].pools > 0)
            sorted[used++] = &report->heap.classes[i];
    if (used == 0) {
        fputs("  There is no pool.\n", out);
        free(sorted);
        return;
    }
    qsort(sorted, used, sizeof *sorted, by_held_down);
    fprintf(out, "  %10s %9s %13s %13s %8s %11s %11s %11s\n", "block", "pools", "live blocks",
            "capacity", "occupied", "live", "pinned", "cached");
    for (size_t i = 0; i < used; i++) {
        char name[24];
        add_class(&total, sorted[i]);
        if (i >= options->top) {
            add_class(&rest, sorted[i]);
            continue;
        }
        snprintf(name, sizeof name, "%u B", sorted[i]->block_bytes);
        print_class(out, name, sorted[i]);
    }
    if (used > options->top) {
        char name[32];
        snprintf(name, sizeof name, "%zu more", used - options->top);
        print_class(out, name, &rest);
    }
    print_class(out, "all", &total);
    fprintf(out,
            "  Of the free blocks %s wait in the bins of threads and %s were handed back by other "
            "threads.\n",
            tm_words_exact((int64_t)total.binned).text, tm_words_exact((int64_t)total.remote).text);
    fprintf(out,
            "  Ends of pools too short for a block: %s of address space (in pinned or cached).\n",
            tm_words_bytes(total.tail_bytes).text);
    if (total.live_all_bytes > total.live_bytes)
        fprintf(out, "  Live in pools but not resident (never written, or swapped out): %s.\n",
                tm_words_bytes(total.live_all_bytes - total.live_bytes).text);
    free(sorted);
}

static void print_bar(FILE *out, uint64_t part, uint64_t whole, bool utf8)
{
    uint64_t length = whole == 0 ? 0 : (uint64_t)((unsigned __int128)part * BAR / whole);
    for (uint64_t i = 0; i < length; i++)
        fputs(utf8 ? "█" : "#", out);
}

static void print_fullness(FILE *out, const struct tm_report *report,
                           const struct tm_text_options *options)
{
    const struct tm_fullness *fullness = report->heap.fullness;
    uint64_t largest = 0;
    tm_text_heading(out, options,
                    "Arenas by fullness: live share of the resident bytes of each 256 KiB arena");
    for (int i = 0; i < TM_FULLNESS_STEPS; i++)
        if (fullness[i].resident_bytes > largest)
            largest = fullness[i].resident_bytes;
    if (largest == 0) {
        fputs("  No arena is resident.\n", out);
        return;
    }
    fprintf(out, "  %12s %8s %11s %11s %11s  %s\n", "live share", "arenas", "resident", "live",
            "held", "resident bytes");
    for (int i = 0; i < TM_FULLNESS_STEPS; i++) {
        char share[24] = "none";
        if (i > 0)
            snprintf(share, sizeof share, "%d - %d %%", (i - 1) * 10, i * 10);
        fprintf(out, "  %12s %8" PRIu64 " %11s %11s %11s  ", share, fullness[i].arenas,
                tm_words_bytes(fullness[i].resident_bytes).text,
                tm_words_bytes(fullness[i].live_bytes).text,
                tm_words_bytes(fullness[i].resident_bytes - fullness[i].live_bytes).text);
        print_bar(out, fullness[i].resident_bytes, largest, options->utf8);
        putc('\n', out);
    }
}

static void print_units(FILE *out, const struct tm_report *report,
                        const struct tm_text_options *options)
{
    const struct tm_heap *heap = &report->heap;
    uint64_t resident = heap->pool_bytes + heap->cached_arena_bytes + heap->beside_arena_bytes;
    tm_text_heading(out, options,
                    "What would go back if memory without a live block were returned in units of");
    for (int i = 0; i < TM_UNITS; i++) {
        uint64_t back = heap->units[i].return_bytes;
        fprintf(out, "  %10s %11s of %s (%s)\n", tm_words_bytes(heap->units[i].unit_bytes).text,
                tm_words_bytes(back).text, tm_words_bytes(resident).text,
                tm_words_percent(back, resident).text);
    }
    uint64_t mappings = heap->spans[TM_CENSUS_SPAN_CACHED].resident_bytes;
    if (mappings > 0)
        fprintf(out, "  Cached mappings, %s, go back whole and are not counted here.\n",
                tm_words_bytes(mappings).text);
    fprintf(out,
            "  Page floor: %s, the pages with a live block. No allocator that moves nothing gets "
            "below.\n",
            tm_words_bytes(heap->floor_bytes).text);
}

static void print_spans(FILE *out, const struct tm_report *report,
                        const struct tm_text_options *options)
{
    static const char *const names[TM_SPAN_KINDS] = {"pages in an arena", "whole arenas",
                                                     "own mapping", "cached mapping"};
    tm_text_heading(out, options,
                    "Spans: live blocks too large for a pool, and freed ones that are kept for "
                    "reuse (cached)");
    fprintf(out, "  %-18s %10s %12s %12s %12s\n", "", "count", "size", "resident", "largest");
    for (int i = 0; i < TM_SPAN_KINDS; i++) {
        const struct tm_span_use *use = &report->heap.spans[i];
        fprintf(out, "  %-18s %10s %12s %12s %12s\n", names[i],
                tm_words_exact((int64_t)use->count).text, tm_words_bytes(use->bytes).text,
                tm_words_bytes(use->resident_bytes).text, tm_words_bytes(use->largest_bytes).text);
    }
}

void tm_report_text_heap(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    print_classes(out, report, options);
    print_fullness(out, report, options);
    print_units(out, report, options);
    print_spans(out, report, options);
}
