/* heap.h: the allocator's census as sections of the snapshot file. */
#ifndef TIDEMARK_RECORD_HEAP_H
#define TIDEMARK_RECORD_HEAP_H

#include <stdint.h>

/* Walks the heap into spools. Returns how many inconsistencies the walk met. tm_residency_start has
 * been called. */
unsigned tm_heap_walk(void);

/* The first error of the spools, or 0. */
int tm_heap_error(void);

/* Writes ARENAS, POOLS, PAGES, SPANS, METADATA (all empty if nothing was walked) and, where sites
 * are recorded, what is known of them (held.h), and frees the spools. */
void tm_heap_write(void);

/* Gives the spools back without writing. */
void tm_heap_free(void);

/* Writes COUNTERS and CLASSES, which need no walk. */
void tm_heap_write_counters(uint64_t pause_ns, uint64_t number);

#endif
