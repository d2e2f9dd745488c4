/* thread.h: which thread has which heap: the register of heaps, threads that have none yet or none
 * any more, and what a fork makes of the heaps of threads that the child does not have. Above
 * heap.h.
 */
#ifndef TIDEMARK_THREAD_H
#define TIDEMARK_THREAD_H

#include "allocator/heap.h"

/* As tm_heap_refill(), for a thread whose heap is empty: gets it a heap, or serves it from the
 * shared one if its own is gone. */
struct tm_block *tm_thread_refill(unsigned size_class, bool *zero);
/* A block of a pool that is no thread's, so that no thread frees it on the fast path, with a cell
 * that counts until the caller says what is in it. NULL: no memory. Any thread, on no slow path. */
struct tm_block *tm_thread_take_apart(unsigned size_class);
/* Gives back the free pages of those pools. Any thread, outside a request. */
bool tm_thread_trim_apart(void);
/* Sees to it that the calling thread has a heap. False: it has none any more, or there is no
 * memory.
 */
bool tm_thread_settle(void);
/* Frees a block of a pool that is not the calling thread's heap's. */
void tm_thread_free(struct tm_pool *pool, struct tm_block *block);

/* For fork.c, the gate being closed: waits until no other thread is on a slow path. */
void tm_thread_wait_idle(void);
/* The lock of threads without a heap, and that of the register, which is the later one. */
void tm_thread_lock_all(void);
void tm_thread_unlock_all(void);
void tm_thread_reset_locks(void);
/* In the child, all locks free: takes over from the threads that are not there. True: there are
 * such. */
bool tm_thread_fork_child(void);

/* All heaps ever made, for the census. */
extern _Atomic(struct tm_heap *) tm_heaps;
/* The memory that heaps are cut from, for the census; grows only, guarded by the register's lock.
 */
#define TM_HEAP_STRETCH ((size_t)64 * 1024)
enum {
    TM_HEAPS_MAX = 1 << 22
}; /* more than a process can have threads: the kernel's largest pid */
struct tm_heap_stretch {
    struct tm_heap_stretch *next;
};
extern struct tm_heap_stretch *tm_heap_stretches;
/* Bytes of it; relaxed. */
extern _Atomic uint64_t tm_heap_metadata_bytes;

#endif
