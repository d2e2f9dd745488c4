/* reserve.c: see reserve.h. A place is published once, by a compare-exchange, and never changes
 * again: of two threads that reserve at once the loser unmaps its own. The kernel's zeroes need no
 * order to be seen; what is written there later has its own.
 */
#include "profiler/record/reserve.h"

#include "profiler/record/sys.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* The largest page that a kernel has. */
enum { GUARD = 64 * 1024 };

void *tm_reserve(size_t bytes)
{
    long place = tm_sys6(SYS_mmap, 0, (long)(bytes + GUARD), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place < 0 && place > -4096)
        return NULL;
    /* An overrun of a block in front does not get in. A refusal is no error. */
    tm_sys6(SYS_mmap, place, GUARD, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    place += GUARD;
    tm_sys3(SYS_madvise, place, (long)bytes, MADV_NOHUGEPAGE);
    return (void *)place;
}

bool tm_reserve_once(_Atomic(void *) *place, size_t bytes)
{
    if (atomic_load_explicit(place, memory_order_acquire) != NULL)
        return true;
    void *expected = NULL, *fresh = tm_reserve(bytes);
    if (fresh == NULL)
        return false;
    if (!atomic_compare_exchange_strong(place, &expected, fresh))
        tm_sys3(SYS_munmap, (long)fresh - GUARD, (long)(bytes + GUARD), 0);
    return true;
}
