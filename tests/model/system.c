/* system.c: what stands for allocator/os.c in the models: memory of the model's, waiting by the
 * model's schedule, and the fence in all threads. All chunks lie in one place that is mapped from
 * its start on. A function that os.c gets is one more here: the linker says so.
 */
#include "allocator/os.h"

#include "allocator/layout.h"
#include "tests/model/model.h"
#include "tests/model/system.h"

#include <stdio.h>

enum { CHUNKS = 2 };

bool system_has_membarrier = true;
struct tm_os_counters tm_os_counters;
static char *chunks, *chunks_end; /* the place; how far it is mapped */

void *tm_os_map(size_t bytes)
{
    return model_map(bytes, TM_PAGE);
}

void *tm_os_probe(size_t bytes)
{
    if (chunks == NULL)
        chunks = chunks_end = model_map(CHUNKS * TM_CHUNK, TM_CHUNK);
    return bytes <= CHUNKS * TM_CHUNK ? chunks : NULL;
}

bool tm_os_map_at(void *address, size_t bytes)
{
    char *start = address;
    if (chunks == NULL || start < chunks_end || start + bytes > chunks + CHUNKS * TM_CHUNK)
        return false;
    chunks_end = start + bytes;
    return true;
}

void *tm_os_map_aligned(size_t bytes, size_t alignment)
{
    return model_map(bytes, alignment);
}

bool tm_os_unmap(void *address, size_t bytes)
{
    model_zero(address, bytes);
    if ((char *)address + bytes == chunks_end)
        chunks_end = address;
    return true;
}

bool tm_os_purge(void *address, size_t bytes)
{
    model_zero(address, bytes);
    return true;
}

bool tm_os_purge_refused(void)
{
    return false;
}

void *tm_os_remap(void *address, size_t old_bytes, size_t new_bytes)
{
    (void)address, (void)old_bytes, (void)new_bytes;
    return NULL;
}

bool tm_os_guard(void *address, size_t bytes, bool always)
{
    (void)address, (void)bytes, (void)always;
    return false;
}

size_t tm_os_page(void)
{
    return TM_PAGE;
}

void *tm_os_map_apart(size_t bytes)
{
    return tm_os_map(bytes);
}

void tm_os_unmap_apart(void *address, size_t bytes)
{
    model_zero(address, bytes);
}

void tm_os_wait(_Atomic int *word, int value)
{
    model_wait(word, value);
}

void tm_os_wait_at_most(_Atomic int *word, int value, long nanoseconds)
{
    (void)word, (void)value, (void)nanoseconds;
    model_sleep();
}

void tm_os_wake(_Atomic int *word, int count)
{
    model_wake(word, count);
}

bool tm_os_barrier_register(void)
{
    return system_has_membarrier;
}

void tm_os_barrier(void)
{
    if (system_has_membarrier)
        model_barrier();
}

uint64_t tm_os_block_signals(void)
{
    return 0;
}

void tm_os_set_signals(uint64_t mask)
{
    (void)mask;
}

void tm_os_abort(void)
{
    model_fail("the allocator stops the program");
}

void tm_os_message(const char *text, size_t length)
{
    model_fail("the allocator says: %.*s", (int)length, text);
}
