/* allocators.h: the allocators that `tidemark compare` runs a command under: the set of rows, and
 * where the libraries of the others lie on this system. Configurations are the caller's; strings in
 * them are malloc'ed.
 */
#ifndef TIDEMARK_REPORT_ALLOCATORS_H
#define TIDEMARK_REPORT_ALLOCATORS_H

#include <stdbool.h>

enum { TM_ALLOCATORS_MOST = 12 };

struct tm_allocator {
    char *name;     /* as the table shows it */
    char *library;  /* absolute path to preload; NULL: none */
    bool own_pools; /* leave PYTHONMALLOC alone: the program as its user runs it */
    bool tidemark;  /* the library is this project's */
    bool reference; /* ratios refer to it */
};

struct tm_allocator_set {
    struct tm_allocator all[TM_ALLOCATORS_MOST];
    unsigned count;
};

/* The default set: glibc, Tidemark, and each of jemalloc, mimalloc, tcmalloc that is installed.
 * False: message printed. */
bool tm_allocators_default(struct tm_allocator_set *set);

/* The set that `list` names: glibc, tidemark, jemalloc, mimalloc, tcmalloc, or
 * NAME=/path/of/library.so, by commas. Returns 0, or after a message 1 (not found) or 2 (the list
 * is malformed). */
int tm_allocators_named(struct tm_allocator_set *set, const char *list);

/* Inserts a row at `at`; false: the set is full. Takes `name` and `library` (library may be NULL)
 * as they are, malloc'ed. */
bool tm_allocators_insert(struct tm_allocator_set *set, unsigned at, struct tm_allocator allocator);

void tm_allocators_free(struct tm_allocator_set *set);

/* Path of an installed library by the name that users know it under ("jemalloc"), or NULL.
 * malloc'ed. */
char *tm_allocator_find(const char *name);

#endif
