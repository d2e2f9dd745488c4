/* os.c: see os.h. Why raw system calls: free must keep errno also where munmap fails, and a request
 * for memory may come before libc is ready or from inside a signal handler.
 */
#include "allocator/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "allocator/addresses.h"
#include "allocator/layout.h"
#include "allocator/syscall.h"

struct tm_os_counters tm_os_counters;
#if defined(__SANITIZE_THREAD__)
_Atomic int tm_addresses;
#endif

static _Atomic bool purge_refused;

static inline bool failed(long result)
{
    return (unsigned long)result > -4096UL;
}

static long map(void *address, size_t bytes, int protection, int flags)
{
    long result = tm_sys6(SYS_mmap, (long)address, (long)bytes, protection,
                          flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tm_addresses_come();
    return result;
}

void *tm_os_map(size_t bytes)
{
    long result = map(NULL, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    return failed(result) ? NULL : (void *)result;
}

bool tm_os_map_at(void *address, size_t bytes)
{
    long result = map(address, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (failed(result))
        return false;
    if ((void *)result == address)
        return true;
    /* A kernel older than 4.17 takes the address for a hint. */
    tm_sys6(SYS_munmap, result, (long)bytes, 0, 0, 0, 0);
    return false;
}

void *tm_os_map_aligned(size_t bytes, size_t alignment)
{
    size_t page = tm_os_page();
    if (alignment <= page)
        return tm_os_map(bytes);
    if (bytes > PTRDIFF_MAX - alignment - page)
        return NULL;
    bytes = tm_round_up(bytes, page);
    size_t room = bytes + alignment - page;
    char *start = tm_os_map(room);
    if (start == NULL)
        return NULL;
    char *aligned = (char *)tm_round_up((uintptr_t)start, alignment);
    if (aligned > start)
        tm_sys6(SYS_munmap, (long)start, aligned - start, 0, 0, 0, 0);
    char *end = start + room;
    if (end > aligned + bytes)
        tm_sys6(SYS_munmap, (long)(aligned + bytes), end - (aligned + bytes), 0, 0, 0, 0);
    return aligned;
}

void *tm_os_probe(size_t bytes)
{
    long result = map(NULL, bytes, PROT_NONE, MAP_NORESERVE);
    if (failed(result))
        return NULL;
    tm_sys6(SYS_munmap, result, (long)bytes, 0, 0, 0, 0);
    return (void *)result;
}

bool tm_os_unmap(void *address, size_t bytes)
{
    tm_addresses_go();
    if (failed(tm_sys6(SYS_munmap, (long)address, (long)bytes, 0, 0, 0, 0))) {
        tm_os_purge(address, bytes);
        return false;
    }
    atomic_fetch_add_explicit(&tm_os_counters.unmapped_bytes, bytes, memory_order_relaxed);
    return true;
}

size_t tm_os_page(void)
{
    static _Atomic size_t known;
    size_t page = atomic_load_explicit(&known, memory_order_relaxed);
    if (page == 0) {
        page = getauxval(AT_PAGESZ);
        if (page < TM_PAGE)
            page = TM_PAGE;
        atomic_store_explicit(&known, page, memory_order_relaxed);
    }
    return page;
}

bool tm_os_purge(void *address, size_t bytes)
{
    if (tm_os_purge_refused())
        return false;
    /* The caller takes a purged page for zero, which holds only if every byte of it went. */
    if (((uintptr_t)address | bytes) % tm_os_page() != 0)
        return false;
    long result = -EAGAIN;
    for (int tries = 0; tries < 10 && (result == -EAGAIN || result == -EINTR); tries++)
        result = tm_sys6(SYS_madvise, (long)address, (long)bytes, MADV_DONTNEED, 0, 0, 0);
    if (failed(result)) {
        /* EINVAL: the program locked the pages (mlockall), which may end; a filter's refusal does
         * not. */
        if (result == -EPERM || result == -EACCES || result == -ENOSYS)
            atomic_store_explicit(&purge_refused, true, memory_order_relaxed);
        return false;
    }
    atomic_fetch_add_explicit(&tm_os_counters.purge_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tm_os_counters.purged_bytes, bytes, memory_order_relaxed);
    return true;
}

bool tm_os_purge_refused(void)
{
    return atomic_load_explicit(&purge_refused, memory_order_relaxed);
}

void *tm_os_remap(void *address, size_t old_bytes, size_t new_bytes)
{
    int flags = new_bytes > old_bytes ? MREMAP_MAYMOVE : 0; /* what shrinks stays where it is */
    tm_addresses_go();
    long result = tm_sys6(SYS_mremap, (long)address, (long)old_bytes, (long)new_bytes, flags, 0, 0);
    tm_addresses_come();
    return failed(result) ? NULL : (void *)result;
}

bool tm_os_guard(void *address, size_t bytes, bool always)
{
    /* The kernel would round up to its own page, and take what lies behind. */
    if (((uintptr_t)address | bytes) % tm_os_page() != 0)
        return false;
    /* Since Linux 6.13: a guard that does not split the mapping. */
    enum { GUARD_INSTALL = 102 };
    if (!failed(tm_sys6(SYS_madvise, (long)address, (long)bytes, GUARD_INSTALL, 0, 0, 0)))
        return true;
    /* Before, each costs two mappings of the process's 65,530: the first thousand get one. */
    enum { GUARDS = 1000 };
    static _Atomic int guards;
    if (!always && atomic_fetch_add_explicit(&guards, 1, memory_order_relaxed) >= GUARDS)
        return false;
    /* Not mprotect: filters that let a program have memory may not know it (sshd's, man's). */
    return !failed(tm_sys6(SYS_mmap, (long)address, (long)bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

void *tm_os_map_apart(size_t bytes)
{
    size_t page = tm_os_page();
    char *base = tm_os_map(bytes + page);
    if (base == NULL)
        return NULL;
    tm_os_guard(base, page, false);
    return base + page;
}

void tm_os_unmap_apart(void *address, size_t bytes)
{
    size_t page = tm_os_page();
    tm_os_unmap((char *)address - page, bytes + page);
}

void tm_os_wait(_Atomic int *word, int value)
{
    tm_sys6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, 0, 0, 0);
}

void tm_os_wait_at_most(_Atomic int *word, int value, long nanoseconds)
{
    struct timespec limit = {.tv_nsec = nanoseconds};
    tm_sys6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, (long)&limit, 0, 0);
}

void tm_os_wake(_Atomic int *word, int count)
{
    tm_sys6(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, count, 0, 0, 0);
}

bool tm_os_barrier_register(void)
{
    return tm_sys6(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0) == 0;
}

void tm_os_barrier(void)
{
    /* The registration is inherited over fork; where it is not, this makes good for it. */
    if (tm_sys6(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0) == -EPERM &&
        tm_os_barrier_register())
        tm_sys6(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
}

uint64_t tm_os_block_signals(void)
{
    uint64_t all = ~(uint64_t)0, before = 0;
    tm_sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all, 0, 0);
    return before;
}

void tm_os_set_signals(uint64_t mask)
{
    tm_sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask, 0, 0);
}

void tm_os_abort(void)
{
    uint64_t abort_only = UINT64_C(1) << (SIGABRT - 1);
    tm_sys6(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&abort_only, 0, sizeof abort_only, 0, 0);
    long process = tm_sys6(SYS_getpid, 0, 0, 0, 0, 0, 0);
    long thread = tm_sys6(SYS_gettid, 0, 0, 0, 0, 0, 0);
    /* A handler that comes here itself is not called again. */
    static _Atomic long aborting;
    if (atomic_exchange_explicit(&aborting, thread, memory_order_relaxed) != thread)
        tm_sys6(SYS_tgkill, process, thread, SIGABRT, 0, 0, 0);
    /* The program's handler came back, or the signal was ignored. */
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } by_default = {.handler = SIG_DFL};
    tm_sys6(SYS_rt_sigaction, SIGABRT, (long)&by_default, 0, sizeof abort_only, 0, 0);
    tm_sys6(SYS_tgkill, process, thread, SIGABRT, 0, 0, 0);
    for (;;)
        tm_sys6(SYS_exit_group, 128 + SIGABRT, 0, 0, 0, 0, 0);
}

void tm_os_message(const char *text, size_t length)
{
    while (length > 0) {
        long written = tm_sys6(SYS_write, STDERR_FILENO, (long)text, (long)length, 0, 0, 0);
        if (written == -EINTR)
            continue;
        if (failed(written) || written == 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}
