/* layout.h: how the address space is cut up: the sizes that every room of the allocator shares.
 *
 * A chunk is 16 MiB, aligned to 16 MiB: 64 arenas of 256 KiB, of which the first carries the
 * descriptors of all the others. An arena is 64 pages of 4 KiB, so that each page mask is one
 * 64-bit word. A slot is sixteen pages at a multiple of 64 KiB: the place of one pool, so that a
 * block's address alone gives its pool's descriptor with one shift and one mask. Pages here are
 * always 4 KiB; where the kernel's are larger (16 and 64 KiB on aarch64), one goes back together
 * with those that share its kernel page (os.h), and slots and arenas are whole kernel pages still.
 */
#ifndef TIDEMARK_LAYOUT_H
#define TIDEMARK_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TM_PAGE_SHIFT  12
#define TM_SLOT_SHIFT  16
#define TM_ARENA_SHIFT 18
#define TM_CHUNK_SHIFT 24

#define TM_PAGE  ((size_t)1 << TM_PAGE_SHIFT)
#define TM_SLOT  ((size_t)1 << TM_SLOT_SHIFT)
#define TM_ARENA ((size_t)1 << TM_ARENA_SHIFT)
#define TM_CHUNK ((size_t)1 << TM_CHUNK_SHIFT)

enum {
    TM_SLOT_PAGES = 1 << (TM_SLOT_SHIFT - TM_PAGE_SHIFT),
    TM_ARENA_PAGES = 1 << (TM_ARENA_SHIFT - TM_PAGE_SHIFT),
    TM_CHUNK_ARENAS = 1 << (TM_CHUNK_SHIFT - TM_ARENA_SHIFT),
    TM_CHUNK_SLOTS = 1 << (TM_CHUNK_SHIFT - TM_SLOT_SHIFT),
    TM_ARENA_SLOTS = 1 << (TM_ARENA_SHIFT - TM_SLOT_SHIFT),
/* Of the addresses that the kernel gives a program that does not ask for more. */
#if defined(__aarch64__)
    TM_ADDRESS_BITS = 48,
#else
    TM_ADDRESS_BITS = 47,
#endif
};

/* Number of chunk-sized stretches of the address space: the size of the validity table. */
#define TM_CHUNK_INDEXES ((size_t)1 << (TM_ADDRESS_BITS - TM_CHUNK_SHIFT))

/* Requests up to this go to pools, up to TM_SPAN_MAX to page runs and arena runs in chunks, above
 * to a mapping of their own. */
#define TM_SMALL_MAX ((size_t)32 * 1024)
#define TM_SPAN_MAX  ((size_t)8 * 1024 * 1024)

static_assert(TM_ARENA_PAGES == 64, "page masks of an arena are one uint64_t");
static_assert(TM_CHUNK_ARENAS == 64, "arena masks of a chunk are one uint64_t");
static_assert(TM_SPAN_MAX <= TM_CHUNK - TM_ARENA, "an arena run fits into a chunk beside its head");

static inline size_t tm_round_up(size_t value, size_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/* A mask of `count` ones from bit `first`; count is 1 to 64. */
static inline uint64_t tm_mask64(unsigned first, unsigned count)
{
    return (~UINT64_C(0) >> (64 - count)) << first;
}

/* The same value, of which the compiler does not know how it was made: where it would make it
 * again, at more instructions, or keep another in the register that it is wanted in. */
static inline uintptr_t tm_opaque(uintptr_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

#define tm_likely(condition)   __builtin_expect(!!(condition), 1)
#define tm_unlikely(condition) __builtin_expect(!!(condition), 0)

#endif
