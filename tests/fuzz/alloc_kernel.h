/* alloc_kernel.h: the kernel that refuses memory when it is told to, and a clock that is moved by
 * hand: the allocator under test calls these in place of its own os.h and of clock_gettime().
 */
#ifndef TIDEMARK_TESTS_FUZZ_ALLOC_KERNEL_H
#define TIDEMARK_TESTS_FUZZ_ALLOC_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/* What may be refused; bits. */
enum {
    KERNEL_MAP = 1,
    KERNEL_UNMAP = 2,
    KERNEL_PURGE = 4,
    KERNEL_REMAP = 8,
    KERNEL_GUARD = 16,
    KERNEL_ANY = 31,
};

/* After `after` more calls of one of the kinds, so many are refused. */
void kernel_refuse(unsigned kinds, unsigned after, unsigned count);
/* No more refusals. */
void kernel_relent(void);
/* Calls that were refused, since start. */
extern unsigned long kernel_refusals;

void kernel_clock_pass(uint64_t milliseconds);

#endif
