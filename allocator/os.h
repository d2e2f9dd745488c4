/* os.h: the kernel, as the allocator needs it. os.c is the only file that asks it for memory. All
 * calls are raw system calls: they leave errno alone, need no libc and work in a signal handler.
 */
#ifndef TIDEMARK_OS_H
#define TIDEMARK_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's page in bytes; at least TM_PAGE, which it is a multiple of. */
size_t tm_os_page(void);

/* Fresh zeroed memory, readable and writable, at any page boundary; NULL if the kernel refuses. */
void *tm_os_map(size_t bytes);
/* The same at exactly `address`; false if something is there already or the kernel refuses. */
bool tm_os_map_at(void *address, size_t bytes);
/* The same at a multiple of `alignment` (a power of two >= a page). */
void *tm_os_map_aligned(size_t bytes, size_t alignment);
/* An address at which `bytes` could be mapped now, as the kernel would choose it; NULL if there is
 * none. */
void *tm_os_probe(size_t bytes);

/* Gives the address space back. False if the kernel refuses (the mapping limit): the pages are
 * purged then. */
bool tm_os_unmap(void *address, size_t bytes);
/* Gives the pages back and keeps the addresses: they read as zero afterwards. Only whole kernel
 * pages go; bounds are rounded inwards. False if nothing could be given back (seccomp, locked
 * memory): the contents are as before. */
bool tm_os_purge(void *address, size_t bytes);
/* True once purging was refused for good: the caller can save itself the trouble. */
bool tm_os_purge_refused(void);
/* Grows or shrinks a mapping, moving it if need be; NULL if the kernel refuses (the old one
 * stands). */
void *tm_os_remap(void *address, size_t old_bytes, size_t new_bytes);
/* Makes whole kernel pages unreadable, to stop overruns; their contents are gone. False, and
 * nothing is done: they are no whole pages, or the kernel refuses, which is no error. */
bool tm_os_guard(void *address, size_t bytes);
/* As tm_os_map(), for what the allocator knows of blocks: there is an unreadable page in front, so
 * that who writes past the end of a block does not reach it. To be unmapped by the second. */
void *tm_os_map_apart(size_t bytes);
void tm_os_unmap_apart(void *address, size_t bytes);

/* Futex operations on a private word. */
void tm_os_wait(_Atomic int *word, int value);
/* Waits no longer than that. */
void tm_os_wait_at_most(_Atomic int *word, int value, long nanoseconds);
void tm_os_wake(_Atomic int *word, int count);

/* membarrier(2): makes ready for tm_os_barrier(), which makes every running thread of the process
 * pass a full memory barrier. False: the kernel has it not. */
bool tm_os_barrier_register(void);
void tm_os_barrier(void);

/* Blocks every signal of the calling thread, and sets the mask that it returned. */
uint64_t tm_os_block_signals(void);
void tm_os_set_signals(uint64_t mask);

/* Ends the process by SIGABRT, after the program's handler for it if there is one. */
_Noreturn void tm_os_abort(void);

/* Writes a message to stderr, whole if the kernel takes it. */
void tm_os_message(const char *text, size_t length);

/* Counters since start, for the census: calls of madvise, bytes purged, bytes unmapped. */
struct tm_os_counters {
    _Atomic uint64_t purge_calls, purged_bytes, unmapped_bytes;
};
extern struct tm_os_counters tm_os_counters;

#endif
