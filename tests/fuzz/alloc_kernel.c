/* alloc_kernel.c: see alloc_kernel.h. The linker leads the allocator's calls of os.h here (--wrap),
 * and the allocator is compiled with another name for clock_gettime(); the fuzzer's own calls go to
 * the kernel and the real clock. What os.c calls inside itself is not led here.
 */
#include "tests/fuzz/alloc_kernel.h"

#include "allocator/os.h"

#include <time.h>

unsigned long kernel_refusals;

static unsigned refused_kinds, refuse_after, refuse_count;

void kernel_refuse(unsigned kinds, unsigned after, unsigned count)
{
    refused_kinds = kinds;
    refuse_after = after;
    refuse_count = count;
}

void kernel_relent(void)
{
    refuse_count = 0;
}

static bool refuses(unsigned kind)
{
    if (refuse_count == 0 || (refused_kinds & kind) == 0)
        return false;
    if (refuse_after > 0) {
        refuse_after--;
        return false;
    }
    refuse_count--;
    kernel_refusals++;
    return true;
}

/* The linker's names for what is called (__wrap) and what was meant (__real). NOLINTBEGIN */
void *__real_tm_os_map(size_t bytes);
bool __real_tm_os_map_at(void *address, size_t bytes);
void *__real_tm_os_map_aligned(size_t bytes, size_t alignment);
void *__real_tm_os_probe(size_t bytes);
bool __real_tm_os_unmap(void *address, size_t bytes);
bool __real_tm_os_purge(void *address, size_t bytes);
void *__real_tm_os_remap(void *address, size_t old_bytes, size_t new_bytes);
bool __real_tm_os_guard(void *address, size_t bytes, bool always);
void *__real_tm_os_map_apart(size_t bytes);

void *__wrap_tm_os_map(size_t bytes);
bool __wrap_tm_os_map_at(void *address, size_t bytes);
void *__wrap_tm_os_map_aligned(size_t bytes, size_t alignment);
void *__wrap_tm_os_probe(size_t bytes);
bool __wrap_tm_os_unmap(void *address, size_t bytes);
bool __wrap_tm_os_purge(void *address, size_t bytes);
void *__wrap_tm_os_remap(void *address, size_t old_bytes, size_t new_bytes);
bool __wrap_tm_os_guard(void *address, size_t bytes, bool always);
void *__wrap_tm_os_map_apart(size_t bytes);

void *__wrap_tm_os_map(size_t bytes)
{
    return refuses(KERNEL_MAP) ? NULL : __real_tm_os_map(bytes);
}

bool __wrap_tm_os_map_at(void *address, size_t bytes)
{
    return !refuses(KERNEL_MAP) && __real_tm_os_map_at(address, bytes);
}

void *__wrap_tm_os_map_aligned(size_t bytes, size_t alignment)
{
    return refuses(KERNEL_MAP) ? NULL : __real_tm_os_map_aligned(bytes, alignment);
}

void *__wrap_tm_os_probe(size_t bytes)
{
    return refuses(KERNEL_MAP) ? NULL : __real_tm_os_probe(bytes);
}

bool __wrap_tm_os_unmap(void *address, size_t bytes)
{
    if (!refuses(KERNEL_UNMAP))
        return __real_tm_os_unmap(address, bytes);
    __real_tm_os_purge(address, bytes);
    return false;
}

bool __wrap_tm_os_purge(void *address, size_t bytes)
{
    return !refuses(KERNEL_PURGE) && __real_tm_os_purge(address, bytes);
}

void *__wrap_tm_os_remap(void *address, size_t old_bytes, size_t new_bytes)
{
    return refuses(KERNEL_REMAP) ? NULL : __real_tm_os_remap(address, old_bytes, new_bytes);
}

bool __wrap_tm_os_guard(void *address, size_t bytes, bool always)
{
    return !refuses(KERNEL_GUARD) && __real_tm_os_guard(address, bytes, always);
}

void *__wrap_tm_os_map_apart(size_t bytes)
{
    return refuses(KERNEL_MAP) ? NULL : __real_tm_os_map_apart(bytes);
}
/* NOLINTEND */

/* It starts at an hour, as a clock that starts at 0 would hide sums that wrap. */
static uint64_t now_ms = UINT64_C(3600) * 1000;

void kernel_clock_pass(uint64_t milliseconds)
{
    now_ms += milliseconds;
}

int fuzz_clock_gettime(clockid_t clock, struct timespec *now);

int fuzz_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(now_ms / 1000);
    now->tv_nsec = (long)(now_ms % 1000) * 1000000;
    return 0;
}
