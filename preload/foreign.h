/* foreign.h: blocks that are not Tidemark's, in the hands of its free, realloc and
 * malloc_usable_size.
 *
 * Two mallocs in one process are rare where Tidemark is preloaded, but there are ways: a library
 * that asked for the next malloc after its own and got libc's, a library in a namespace of its own
 * (dlmopen) with a libc of its own, a loading that libc_malloc.h could not see. Their blocks reach
 * the program, which frees them here. Such a block goes to the malloc that it is from. What is no
 * block of anybody is left to the allocator, which calls it misuse.
 *
 * Who a block belongs to is not written on it. It is taken for one of libc's if libc's malloc has
 * memory at all, which it has in hardly any process, and what lies before it reads as the header
 * that glibc writes: then libc's free, which checks more, is as good a judge as without Tidemark.
 */
#ifndef TIDEMARK_PRELOAD_FOREIGN_H
#define TIDEMARK_PRELOAD_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/* Sets the allocator's hooks. Once, before there is a second thread. */
void tm_foreign_start(void);

/* The program loads a library into another namespace, which has a libc of its own. */
void tm_foreign_namespace(void);

/* True: ptr was another malloc's, and what was asked for is done. ptr is not NULL and no address of
 * Tidemark's; size is not 0. Keep errno where they succeed. */
bool tm_foreign_free(void *ptr);
bool tm_foreign_realloc(void *ptr, size_t size, void **result);
bool tm_foreign_usable(const void *ptr, size_t *bytes);

#endif
