/* kept.h: mappings of freed large blocks that may be taken again: a program that frees and takes
 * blocks of megabytes all the time would pay for each with a fault for every page. Nothing is kept
 * until that was seen to happen (bounce.h), and then as much as came back. Below large.c, which
 * hands freed mappings in and asks for one before it asks the kernel. Every function takes
 * tm_kept_lock itself, and none calls the kernel under it.
 */
#ifndef TIDEMARK_KEPT_H
#define TIDEMARK_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator/lock.h"

/* Keeps a mapping. False: the caller gives it back to the OS. */
bool tm_kept_put(void *address, size_t bytes);
/* Takes the one whose size is nearest to `bytes`, above if there is one; *have: its size. Its
 * contents are old. NULL: none is kept, and the caller takes a fresh one. */
void *tm_kept_take(size_t bytes, size_t *have);
/* Takes any that may no longer be kept, or with all any at all, for the caller to give back; NULL:
 * there is none. */
void *tm_kept_expired(bool all, size_t *have);

/* Bytes kept; relaxed. While it is not 0 somebody should call tm_large_settle() now and then. */
extern _Atomic uint64_t tm_kept_bytes;

/* For the census: as the table is, without the lock. */
void tm_kept_each(void (*visit)(uintptr_t base, uint64_t bytes, void *context), void *context);

extern struct tm_lock tm_kept_lock;

#endif
