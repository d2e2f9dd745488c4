/* cell.h: one word for each block, outside the heap, that the recorder says of it what it likes in:
 * which site allocated it, and when. The allocator keeps it for him because it knows best where a
 * block's word lies: each slot of a chunk has a window of 32 KiB in a mapping that the chunk gets
 * when its first block is recorded; a pool's blocks have their words side by side there, a span has
 * the word of its first page. So a word costs what it needs, 8 bytes a block, in pages that are
 * touched only where something is recorded, and no block's address has to be searched for.
 *
 * A cell belongs to whoever has the block: stored by who allocated it, taken by who frees it, and
 * the program's own passing on of the block orders the two, so relaxed operations do. It is taken
 * by an exchange, so that of two threads that free the same block only one counts it. The mapping
 * is published by a compare-exchange that releases zeroed pages, and is loaded with acquire; of two
 * that made one the loser unmaps its own. It goes with the chunk's last block: nobody has an
 * address of the chunk by then. A frozen copy finds each word whole. (Spans with a mapping of their
 * own have it in large.c's table.)
 */
#ifndef TIDEMARK_CELL_H
#define TIDEMARK_CELL_H

#include "allocator/chunk.h"

typedef _Atomic uint64_t tm_cell;

/* The cells of the slot that an address of a chunk lies in; NULL: the chunk has none. */
static inline tm_cell *tm_cells_of_slot(const void *address)
{
    tm_cell *cells = atomic_load_explicit(&tm_chunk_of(address)->cells, memory_order_acquire);
    size_t slot = (uintptr_t)address >> TM_SLOT_SHIFT & (TM_CHUNK_SLOTS - 1);
    return cells == NULL ? NULL : cells + slot * TM_SLOT_CELLS;
}

/* Sees to it that the chunk of an address has cells. False: no memory. */
bool tm_cells_make(const void *address);

/* Gives back the cells of the slot that `address` lies in, in which nothing is in use nor can be
 * taken meanwhile. */
void tm_cells_purge(const void *address);

/* For the census: address and bytes of the cells of a chunk; 0 bytes: none. */
void tm_cells_place(const struct tm_chunk *chunk, uintptr_t *base, uint64_t *bytes);

#endif
