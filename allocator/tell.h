/* tell.h: what the recorder is told (hooks.h): of blocks that sample.h picks, as they are handed
 * out and as they are freed. What he answers is kept in the block's cell (cell.h). Above the heap;
 * outside all locks and slow paths.
 *
 * So that a free finds out at no cost whether it is one to be told, a pool says for each page
 * whether a block there has a counted cell (`told`), and its owner word then sends all frees into
 * the pool off the fast path.
 */
#ifndef TIDEMARK_TELL_H
#define TIDEMARK_TELL_H

#include "allocator/heap.h"

/* Blocks that were to be told, for whose cells there was no memory. */
extern _Atomic uint64_t tm_tell_missed;

/* Tells the recorder of the block that is due: due_why is TM_WHY_IDENTITY, or another. */
void tm_tell_name(struct tm_heap *heap, void *block, const struct tm_caller *caller);
void tm_tell_block(struct tm_heap *heap, void *block, size_t requested,
                   const struct tm_caller *caller);
/* A block of a page that is `told` is freed, by any thread. True if it was counted. */
bool tm_tell_freed(struct tm_pool *pool, void *block);
/* Takes a span's cell out of the records, or puts it back; 0: it is not recorded. A record taken
 * out is told to be over with tm_tell_end(). */
uint64_t tm_tell_take_span_cell(void *span);
void tm_tell_put_span_cell(void *span, uint64_t cell);
void tm_tell_end(const void *block, size_t usable, uint64_t cell);

#endif
