/* symbols_ranges.h: which of many ranges of addresses an address lies in. Units, functions, ELF
 * symbols and lines of perf maps may overlap, by right or by malice. Each range comes with a rank,
 * and where several cover an address the highest rank wins. They are flattened once into ranges
 * that do not overlap, in n log n steps whatever they are, so that a lookup is a binary search and
 * no file can make it slow.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_RANGES_H
#define TIDEMARK_REPORT_SYMBOLS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TM_NO_RANGE UINT32_MAX

struct tm_range {
    uint64_t low, high; /* high: behind the last address */
    uint64_t rank;
    uint32_t value;
};

/* All zero: empty. */
struct tm_ranges {
    struct tm_range *items;
    size_t count, room;
};

/* Adds one; an empty one is left out. value: not TM_NO_RANGE. False: no memory. */
bool tm_ranges_add(struct tm_ranges *ranges, struct tm_range range);
/* To be called once, behind the last tm_ranges_add(). False: no memory; the ranges are gone. */
bool tm_ranges_flatten(struct tm_ranges *ranges);
/* The value of the range at an address, TM_NO_RANGE if there is none. */
uint32_t tm_ranges_find(const struct tm_ranges *ranges, uint64_t address);
void tm_ranges_free(struct tm_ranges *ranges);

#endif
