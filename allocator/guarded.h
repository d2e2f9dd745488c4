/* guarded.h: check=full for spans: each is a mapping of its own between two unreadable pages, and
 * lies at the end of it, so that an overrun faults. Freed ones become unreadable and keep their
 * addresses for a while: who reads or writes them faults. full.h is for blocks of pools.
 */
#ifndef TIDEMARK_GUARDED_H
#define TIDEMARK_GUARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "allocator/lock.h"

/* Zeroed. NULL: no memory. */
void *tm_guarded_take(size_t size, size_t alignment);
/* Stops the program, as one that frees it, if a guarded span starts at `address` and was overrun
 * where no page guards it. Before the recorder is told of its end: he knows where it is from. */
void tm_guarded_check(const void *address);
/* Frees the guarded span that starts at `address`. False: none does. */
bool tm_guarded_give(void *address);
/* Unmaps those that wait. True: there were any. */
bool tm_guarded_flush(void);

/* Guards those that wait. */
extern struct tm_lock tm_guarded_lock;

#endif
