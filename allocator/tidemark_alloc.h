/* tidemark_alloc.h: the allocator's door: what preload/ (and a test that links the allocator as an
 * ordinary library) may call. All of it is thread-safe unless told; sizes are bytes; a request that
 * cannot be met returns NULL with errno = ENOMEM. Memory returned belongs to the caller until
 * tm_free().
 */
#ifndef TIDEMARK_ALLOCATOR_H
#define TIDEMARK_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *tm_malloc(size_t size);
void *tm_calloc(size_t count, size_t size);
void *tm_realloc(void *ptr, size_t size);
/* Keeps errno. NULL is allowed. This and the next two stop the program if ptr is no live block
 * (misuse.h). */
void tm_free(void *ptr);
/* alignment: any power of two (the caller checks the rules of the symbol it serves). */
void *tm_aligned(size_t alignment, size_t size);
/* 0 for NULL. Stable over the block's life. */
size_t tm_usable_size(const void *ptr);

/* Gives back to the OS all that the calling thread can reach: free pages of its own pools, of the
 * pools that nobody owns, and of every arena; empty chunks. Other threads' heaps do their part at
 * their next slow path. Returns true if anything went back. */
bool tm_trim(void);
/* From a signal handler that interrupted any instruction: does what the interrupted operation
 * cannot notice, the free pages of arenas, if the lock can be had at once, and leaves the rest for
 * every heap's next slow path. */
void tm_trim_from_signal(void);

/* How much free memory may stay cached. bytes: a floor in bytes; percent: of what is in use; the
 * larger of both. */
void tm_set_retain(size_t bytes, unsigned percent);

/* check=full (full.h, guarded.h), from now on. Before there is a second thread. */
void tm_set_check_full(void);

/* Thread and process life, for preload/. */
void tm_thread_ends_soon(
    void); /* gives up the calling thread's pools; it may go on as if nothing had happened */
void tm_thread_exit(
    void);           /* gives up the calling thread's heap; malloc and free still work afterwards */
void tm_start(void); /* once, before there is a second thread; what allocates earlier works too */
void tm_fork_prepare(
    void); /* holds up the other threads' slow paths and takes every lock, in a fixed order */
void tm_fork_parent(void);
void tm_fork_child(void);
/* Called with the new heap in place, outside all locks, when a thread gets its first heap (so that
 * preload/ can arrange for tm_thread_exit). Set once at start. */
extern void (*tm_on_thread_heap)(void);

#endif
