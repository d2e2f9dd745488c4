/* libc_names.h: the functions of malloc's family that no header of glibc 2.36, or none of musl,
 * declares: malloc.c defines them, libc_malloc.c puts them in the place of libc's.
 */
#ifndef TIDEMARK_PRELOAD_LIBC_NAMES_H
#define TIDEMARK_PRELOAD_LIBC_NAMES_H

#include <stddef.h>

void cfree(void *ptr);
void free_sized(void *ptr, size_t size);
void *pvalloc(size_t size); /* not declared by musl */
void free_aligned_sized(void *ptr, size_t alignment, size_t size);
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
int __posix_memalign(void **out, size_t alignment, size_t size);

#endif
