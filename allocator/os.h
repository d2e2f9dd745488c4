/* os.h: the kernel, as the allocator needs it. os.c is the only file that asks it for memory. All
 * calls are raw system calls: they leave errno alone, need no libc and work in a signal handler.
 */
#ifndef TIDEMARK_OS_H
#define TIDEMARK_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator/layout.h"

/* The kernel's page in bytes; at least TM_PAGE, which it is a multiple of. */
size_t tm_os_page(void);

/* Where the kernel's page is several of ours, one of ours goes back with its neighbours only. Of
 * pages of TM_PAGE from a multiple of the largest kernel page on, bit i being page i: all that lie
 * on the kernel's pages of these. */
static inline uint64_t tm_os_pages_around(uint64_t pages)
{
    size_t group = tm_os_page() / TM_PAGE;
    if (tm_likely(group == 1) || pages == 0)
        return pages;
    uint64_t around = 0;
    for (unsigned first = 0; first < 64; first += (unsigned)group) {
        uint64_t mask = tm_mask64(first, group < 64 ? (unsigned)group : 64);
        around |= (pages & mask) != 0 ? mask : 0;
    }
    return around;
}

/* Those of `pages` that share the kernel's pages with none of `used`. */
static inline uint64_t tm_os_pages_alone(uint64_t pages, uint64_t used)
{
    return pages & ~tm_os_pages_around(used);
}

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
/* Gives the pages back and keeps the addresses: they read as zero afterwards. Of whole kernel pages
 * only (tm_os_pages_alone()). False if nothing was given back (seccomp, locked memory, a part of
 * a kernel page): the contents are as before. */
bool tm_os_purge(void *address, size_t bytes);
/* True once purging was refused for good: the caller can save itself the trouble. */
bool tm_os_purge_refused(void);
/* Grows or shrinks a mapping, moving it if need be; NULL if the kernel refuses (the old one
 * stands). */
void *tm_os_remap(void *address, size_t old_bytes, size_t new_bytes);
/* Makes whole kernel pages unreadable, to stop overruns; their contents are gone. False, and
 * nothing is done: they are no whole pages, or the kernel refuses, which is no error. Before
 * Linux 6.13 each costs two mappings, of which a process has 65,530: then a thousand are made, and
 * those that are to be made always. */
bool tm_os_guard(void *address, size_t bytes, bool always);
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
