/* symbols_ranges.c: see symbols_ranges.h. The sweep goes up the addresses and keeps the ranges that
 * cover the present one in a heap by rank; those that ended leave the heap when they reach its top.
 */
#include "profiler/report/symbols_ranges.h"

#include <stdlib.h>

bool tm_ranges_add(struct tm_ranges *ranges, struct tm_range range)
{
    if (range.low >= range.high)
        return true;
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? ranges->room * 2 : 64;
        struct tm_range *items = realloc(ranges->items, room * sizeof *items);
        if (!items)
            return false;
        ranges->items = items;
        ranges->room = room;
    }
    ranges->items[ranges->count++] = range;
    return true;
}

static int by_low(const void *a, const void *b)
{
    const struct tm_range *left = a;
    const struct tm_range *right = b;
    return left->low < right->low ? -1 : left->low > right->low;
}

struct heap {
    const struct tm_range **items;
    size_t count;
};

static void heap_push(struct heap *heap, const struct tm_range *range)
{
    size_t at = heap->count++;
    for (; at > 0 && heap->items[(at - 1) / 2]->rank < range->rank; at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = range;
}

static void heap_pop(struct heap *heap)
{
    const struct tm_range *last = heap->items[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->items[child + 1]->rank > heap->items[child]->rank)
            child++;
        if (heap->items[child]->rank <= last->rank)
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
}

/* to has room for two for each range of from: each step begins or ends one. Returns how many. */
static size_t sweep(const struct tm_ranges *from, struct heap *heap, struct tm_range *to)
{
    size_t used = 0;
    size_t next = 0;
    uint64_t at = 0;
    while (next < from->count || heap->count > 0) {
        if (heap->count == 0)
            at = from->items[next].low;
        while (next < from->count && from->items[next].low <= at)
            heap_push(heap, &from->items[next++]);
        while (heap->count > 0 && heap->items[0]->high <= at)
            heap_pop(heap);
        if (heap->count == 0)
            continue;
        const struct tm_range *top = heap->items[0];
        uint64_t end = top->high;
        if (next < from->count && from->items[next].low < end)
            end = from->items[next].low;
        if (used > 0 && to[used - 1].high == at && to[used - 1].value == top->value)
            to[used - 1].high = end;
        else
            to[used++] = (struct tm_range){at, end, top->rank, top->value};
        at = end;
    }
    return used;
}

bool tm_ranges_flatten(struct tm_ranges *ranges)
{
    if (ranges->count == 0)
        return true;
    qsort(ranges->items, ranges->count, sizeof *ranges->items, by_low);
    struct heap heap = {malloc(ranges->count * sizeof(const struct tm_range *)), 0};
    struct tm_range *flat = calloc(ranges->count * 2, sizeof *flat);
    size_t used = heap.items && flat ? sweep(ranges, &heap, flat) : 0;
    free(heap.items);
    free(ranges->items);
    *ranges = (struct tm_ranges){flat, used, used};
    return used > 0;
}

uint32_t tm_ranges_find(const struct tm_ranges *ranges, uint64_t address)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->items[middle].high <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ranges->count || ranges->items[low].low > address)
        return TM_NO_RANGE;
    return ranges->items[low].value;
}

void tm_ranges_free(struct tm_ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct tm_ranges){.items = NULL};
}
