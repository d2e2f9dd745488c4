/* share.h: pools that nobody owns: given up, found again by whoever needs one of their class. Below
 * heap.h: knows pools, no heaps.
 */
#ifndef TIDEMARK_SHARE_H
#define TIDEMARK_SHARE_H

#include "allocator/pool.h"

/* Gives the OWNED bit up. False if all blocks in use came back meanwhile: then the caller still has
 * it, and gives the pool back. */
bool tm_share_disown(struct tm_pool *pool);
/* Puts a pool that the caller has the OWNED bit of into the shared list, if it is not there, and
 * gives the bit up; or gives the pool back if it drained. The caller may not touch it afterwards.
 */
void tm_share(struct tm_pool *pool);
/* Takes a pool that the caller has the OWNED bit of out of the shared list, if it is there. */
void tm_share_unlist(struct tm_pool *pool);
/* A pool out of the shared list, with the OWNED bit; NULL: there is none. */
struct tm_pool *tm_share_take(unsigned size_class);

/* Purges every free page of the shared pools. True if pages went. */
bool tm_share_purge(void);

/* The locks of the lists, for fork.c. */
void tm_share_lock_all(void);
void tm_share_unlock_all(void);
void tm_share_reset_locks(void);

#endif
