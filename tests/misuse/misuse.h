/* misuse.h: what the programs of this directory share. Each has a table of cases, of which one runs
 * per process, with one size of block: `PROGRAM --list` prints them, `PROGRAM CASE SIZE` runs one.
 *
 * A case says what it is about to do with announce(), misuses the heap, and goes on as a program
 * would that noticed nothing (go_on()): it allocates, and looks whether what it gets overlaps what
 * it has, or lies where a case wanted it to. What it finds it prints as a last line; a process that
 * prints none was stopped. Nothing here is linked with Tidemark: the allocator under test comes by
 * LD_PRELOAD.
 */
#ifndef TIDEMARK_TESTS_MISUSE_H
#define TIDEMARK_TESTS_MISUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

struct misuse_case {
    const char *name;
    void (*run)(size_t size);
    size_t least; /* the smallest size that it makes sense with; 0: size does not matter to it */
};

/* The program's cases; a NULL name ends them. */
extern const struct misuse_case misuse_cases[];

/* Hides where a pointer came from, so that the compiler drops nothing and assumes nothing. */
static inline void *opaque(void *ptr)
{
    __asm__ volatile("" : "+r"(ptr) : : "memory");
    return ptr;
}

static inline void *at_address(uintptr_t address)
{
    return opaque((void *)address); /* NOLINT(performance-no-int-to-ptr) */
}

/* malloc(), and an end of the program where there is no memory. */
void *take(size_t size);
/* free(), of which the compiler knows nothing. */
void give(void *ptr);

/* A report names this block if it names an address from start up to, not with, start + bytes.
 * usable: how large the allocator says it is; 0: no block. */
void announce(const void *start, size_t bytes, size_t usable);
/* Of a whole block. */
void announce_block(void *block);

/* A live block: what go_on() gets must not overlap it, and its content stays. */
void keep(void *block, size_t bytes);
/* A kept block starts there. */
bool is_kept(uintptr_t address);
/* No block may lie there. */
void forbid(const void *start, size_t bytes);

/* Goes on with blocks of that size, and ends the process. */
__attribute__((noreturn)) void go_on(size_t size);
/* What was to be tried cannot be under this allocator: ends the process. */
__attribute__((noreturn)) void cannot(const char *why);
/* From here on the process has a second thread, which waits. */
void with_a_thread(void);
__attribute__((noreturn)) void ignored(const char *what);
__attribute__((noreturn)) void corrupt(const char *what, const void *where);

/* How many blocks of a size are worth taking: not more than `most`, nor than some megabytes. */
size_t how_many(size_t size, size_t most);

#endif
