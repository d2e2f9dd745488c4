/* misuse.h: the end of a program that misuses its heap: one line that says what it did, with the
 * address, the block's size and, where that is recorded, where the block was allocated and first
 * freed; then SIGABRT. A program that is caught at it has lost its data already, or is being
 * attacked: it must not go on. Any thread, any instruction, also under the allocator's locks.
 */
#ifndef TIDEMARK_MISUSE_H
#define TIDEMARK_MISUSE_H

#include <stddef.h>

/* A free block is not as the allocator left it. */
_Noreturn __attribute__((cold)) void tm_misuse_written(const void *block);

/* check=full: something was written past the end of a live block of `size` bytes (SIZE_MAX: not
 * known any more), or before its start. */
_Noreturn __attribute__((cold)) void tm_misuse_overrun(const char *call, const void *block,
                                                       size_t size);
_Noreturn __attribute__((cold)) void tm_misuse_underrun(const char *call, const void *block,
                                                        size_t size);
/* The same, before the first block of the pool behind that of `block`. */
_Noreturn __attribute__((cold)) void tm_misuse_behind(const char *call, const void *block,
                                                      size_t size);

/* What was given to free, realloc or malloc_usable_size (`call`) is no live block. Says why. */
_Noreturn __attribute__((cold)) void tm_misuse_no_block(const char *call, const void *address);

#endif
