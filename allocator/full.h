/* full.h: check=full, the hardened mode, for blocks of pools (guarded.h is for spans).
 *
 * A block has a trailer behind what the program asked for: canary bytes, and in its last 8 bytes a
 * word that holds the requested size, mixed with the block's address and a secret. That word is
 * there while the block is live, and 0 otherwise: so whether an address is a live block is known
 * with certainty, and so is whether something was written past its end, or past the end of the
 * block before it (which is where an underrun goes; before a pool's first block it goes into the
 * rest that the pool before leaves of its slot, which is looked at as well). A freed block is
 * cleared and waits in a quarantine, of which random ones leave; that it is zero still is looked at
 * when it leaves and when it is handed out again. Carved blocks are linked in random order.
 * (Quarantine with random replacement, zeroing and its check at reuse are hardened_malloc's; the
 * trailer's word is what scudo keeps in a header.)
 *
 * Nothing of it is on the fast paths. In this mode heaps find every request's class to be one whose
 * bin is always empty, and pools have no multiple that is the start of a block, so that every
 * malloc and free comes to the slow ones.
 */
#ifndef TIDEMARK_FULL_H
#define TIDEMARK_FULL_H

#include "allocator/lock.h"
#include "allocator/pool.h"

/* Set once at start, before there is a second thread. */
extern bool tm_full;
void tm_full_start(void);

/* The class of the blocks that serve such requests; TM_CLASSES: none, it takes a span. Never the
 * smallest class. */
unsigned tm_full_class(size_t size, size_t alignment);

/* A hardened pool was taken, whose class is set: clears what is behind its last block. */
void tm_full_take_pool(const struct tm_pool *pool);

/* A free block of a hardened pool is handed out: looks that it is zero, and gives it its trailer.
 */
void tm_full_hand_out(void *block, size_t size);
/* The requested size of a live block of a hardened pool. Stops the program, as `call`, if there is
 * none at `address`, or if it or the one before was overrun. */
size_t tm_full_size(const char *call, const struct tm_pool *pool, const void *address);
/* Changes the requested size of a live block, if the blocks of its class serve it. New bytes are
 * zero. */
bool tm_full_resize(const struct tm_pool *pool, void *block, size_t old_size, size_t size);
/* Takes a live block into the quarantine. Returns one that leaves it, to be given back to its pool;
 * NULL: none does. */
void *tm_full_quarantine(const struct tm_pool *pool, void *block);
/* Another one that leaves, as too many bytes wait, or any does; NULL: none. */
void *tm_full_let_out(bool any);

/* In the child of several threads: what waits there is used no more, as glibc may write into what
 * another thread had just freed (preload/forked.c). Up to 8 MiB are lost to the child. */
void tm_full_fork_child(void);

/* Whether a block of a hardened pool starts at the address, and is free. */
bool tm_full_is_free(const struct tm_pool *pool, const void *address);
/* For the census: whether a block of a hardened pool is live, by its trailer alone. */
bool tm_full_is_live(const struct tm_pool *pool, const void *block);

/* Any thread; the numbers are not for keys. */
uint64_t tm_full_random(void);

/* Guards the quarantine. */
extern struct tm_lock tm_full_lock;

#endif
