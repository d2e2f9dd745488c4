/* addresses.h: what the thread sanitizer must be told of memory that comes from the kernel.
 *
 * Addresses that one thread unmaps another may be given next. It uses them after the first, as the
 * kernel sees to; but the sanitizer does not see system calls that are made past libc, and would
 * take the two for a race. Without the sanitizer there is nothing here.
 */
#ifndef TIDEMARK_ADDRESSES_H
#define TIDEMARK_ADDRESSES_H

#if defined(__SANITIZE_THREAD__)
#include <stdatomic.h>

extern _Atomic int tm_addresses;

/* Before memory is unmapped. */
static inline void tm_addresses_go(void)
{
    atomic_fetch_add_explicit(&tm_addresses, 1, memory_order_acq_rel);
}

/* After memory was mapped. */
static inline void tm_addresses_come(void)
{
    atomic_load_explicit(&tm_addresses, memory_order_acquire);
}
#else
static inline void tm_addresses_go(void) {}
static inline void tm_addresses_come(void) {}
#endif

#endif
