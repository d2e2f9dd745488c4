/* large.h: spans with a mapping of their own: what is too large for a chunk, or aligned beyond it.
 * Their addresses and sizes are kept in a table apart, so that no header lies beside the blocks.
 * Every function takes the table's lock unless told.
 */
#ifndef TIDEMARK_LARGE_H
#define TIDEMARK_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator/lock.h"

/* A mapping of at least `bytes` (<= PTRDIFF_MAX) at a multiple of `alignment`; zero: its contents
 * must be. NULL: no memory. */
void *tm_large_take(size_t bytes, size_t alignment, bool zero);
/* Usable bytes of the mapping that starts at `address`; 0: none does. */
size_t tm_large_bytes(const void *address);
/* The same, for who has tm_large_lock: the mapping stays as long. */
size_t tm_large_bytes_locked(const void *address);
/* False: none starts there. */
bool tm_large_give(void *address);
/* Grows or shrinks; may move. NULL: the kernel refuses and the old one stands. New bytes are zero.
 */
void *tm_large_resize(void *address, size_t bytes);

/* For guarded.h: enters a mapping that begins `before` bytes (> 0) before the block; false: no
 * memory. Takes one out; false: none that was so entered starts there. */
bool tm_large_add(void *address, size_t bytes, size_t before);
bool tm_large_remove(void *address, size_t *bytes, size_t *before);

/* For misuse.c: the start of the block that `address` is inside of, and its bytes; 0: none is
 * known.
 */
uintptr_t tm_large_around(uintptr_t address, size_t *bytes);

/* Unmaps freed mappings that may no longer be kept (kept.h). */
void tm_large_settle(void);
/* Unmaps all of them. True if there were any. */
bool tm_large_trim(void);

/* Exchanges what the recorder says of the mapping (cell.h); 0 is nothing, and what one that is not
 * there has. A mapping that is resized loses it. */
uint64_t tm_large_swap_cell(const void *address, uint64_t cell);

/* For the census: calls `visit` for each entry of the table as it is, without the lock. */
typedef void tm_large_visit_fn(uintptr_t base, uint64_t bytes, uint64_t cell, void *context);
void tm_large_each(tm_large_visit_fn *visit, void *context);
/* The table itself. */
void tm_large_table(uintptr_t *base, uint64_t *bytes);

extern struct tm_lock tm_large_lock;

#endif
