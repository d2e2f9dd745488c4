/* arena.h: pools and page runs out of arenas, and back. Takes and gives whole pages; what is in
 * them is pool.h's and span.h's business. Every function takes tm_arena_lock itself.
 *
 * The fullest arena serves first (CPython's obmalloc): the emptier ones then drain and go back
 * whole.
 */
#ifndef TIDEMARK_ARENA_H
#define TIDEMARK_ARENA_H

#include "allocator/chunk.h"

/* The first `pages` pages of a slot, for a pool. NULL: no memory. Bit i of *dirty: page i may hold
 * old contents; the others read as zero. */
void *tm_arena_take_pool(unsigned pages, uint16_t *dirty);
/* dirty: the pages that were touched. */
void tm_arena_give_pool(void *base, unsigned pages, uint16_t dirty);

/* A run of 1 to 64 pages inside one arena, at a multiple of alignment (<= 256 KiB). *dirty as
 * above. */
void *tm_arena_take_run(unsigned pages, size_t alignment, uint64_t *dirty);
/* The length of the run that starts at `base`; 0: none does. */
unsigned tm_arena_run_pages(const void *base);
/* False: none does. */
bool tm_arena_give_run(void *base);
/* For misuse.c: the start of the run or span that an address in an arena is inside of, and its
 * bytes; 0: none is. */
uintptr_t tm_arena_around(uintptr_t address, size_t *bytes);
/* Changes its length in place; false if the pages behind are taken. *dirty: which of the pages that
 * came in may hold old contents, by page number in the arena. */
bool tm_arena_resize_run(void *base, unsigned pages, uint64_t *dirty);

/* A span of whole arenas for more than 64 pages, up to TM_SPAN_MAX, at a multiple of alignment (<=
 * 8 MiB). dirty[i]: the dirty pages of its arena i. */
enum { TM_SPAN_ARENAS = TM_SPAN_MAX / TM_ARENA };
void *tm_arena_take_span(size_t pages, size_t alignment, uint64_t dirty[TM_SPAN_ARENAS]);
size_t tm_arena_span_pages(const void *base);
bool tm_arena_give_span(void *base);
/* As tm_arena_resize_run(); dirty[i] for every arena of the new span, bits of new pages only. */
bool tm_arena_resize_span(void *base, size_t pages, uint64_t dirty[TM_SPAN_ARENAS]);

/* Purges what is cached beyond the budget: it may have shrunk since the last free. */
void tm_arena_settle(void);
/* Purges everything cached. True if pages went. */
bool tm_arena_trim(void);
/* The same if the lock is free, for a signal handler. */
void tm_arena_trim_try(void);

/* For cache.c, under tm_arena_lock: puts an arena out of reach of the takers, and back (which may
 * unmap its chunk). */
void tm_arena_hide(struct tm_arena *arena);
void tm_arena_show(struct tm_arena *arena);

/* Pools taken since start, a count; relaxed. */
extern _Atomic uint64_t tm_pools_taken;

#endif
