/* libc_malloc.h: the malloc that libc brings itself, which Tidemark stands in front of: its
 * functions, and how it is kept from being found.
 *
 * A library that is loaded with RTLD_DEEPBIND looks its symbols up in itself and its dependencies
 * first, and so finds libc's malloc and free; so does who asks a handle of libc (ctypes, other
 * languages' calls to C) for "free". But what libc's own functions allocate for that caller
 * (strdup, getline, asprintf) comes from Tidemark, as they call malloc through the global scope,
 * and libc's free ends the program when it is given such a block. So before such a library is
 * loaded, libc's symbol table is changed in memory: malloc and its kin there lead to Tidemark's
 * functions. Everything else about the loading stays as it was asked for. It is done only then, as
 * it costs a process some 60 KiB of pages that are its own.
 */
#ifndef TIDEMARK_PRELOAD_LIBC_MALLOC_H
#define TIDEMARK_PRELOAD_LIBC_MALLOC_H

#include <features.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __GLIBC__
#include <malloc.h>

/* libc's own, not the symbols of these names. */
struct tm_libc_malloc {
    void (*free)(void *ptr);
    void *(*realloc)(void *ptr, size_t size);
    size_t (*usable_size)(void *ptr);
    struct mallinfo2 (*info)(void);
};
extern struct tm_libc_malloc tm_libc_malloc;
#endif

/* Finds libc's functions. Once, before there is a second thread. False: there are none of that
 * kind (another libc). */
bool tm_libc_malloc_start(void);

/* From now on whoever looks libc's malloc up finds Tidemark's. Where the kernel does not permit the
 * change, nothing is changed. Any thread, but no signal handler. Keeps errno. */
void tm_libc_malloc_hide(void);

#endif
