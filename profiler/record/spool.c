/* spool.c: see spool.h. Doubles by mremap, which moves pages and copies nothing. */
#include "profiler/record/spool.h"

#include "profiler/record/sys.h"

#include <string.h>
#include <sys/mman.h>

static const size_t FIRST_BYTES = 64 * 1024;

static int grow(struct tm_spool *spool, size_t wanted)
{
    size_t capacity = spool->capacity != 0 ? spool->capacity : FIRST_BYTES;
    while (capacity < wanted)
        capacity *= 2;
    long base = spool->base == NULL ? tm_sys6(SYS_mmap, 0, (long)capacity, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : tm_sys4(SYS_mremap, (long)spool->base, (long)spool->capacity,
                                              (long)capacity, MREMAP_MAYMOVE);
    if (base < 0 && base > -4096)
        return (int)-base;
    spool->base = (char *)base;
    spool->capacity = capacity;
    return 0;
}

void tm_spool_add(struct tm_spool *spool, const void *record, size_t bytes)
{
    if (spool->error == 0 && spool->used + bytes > spool->capacity)
        spool->error = grow(spool, spool->used + bytes);
    if (spool->error != 0)
        return;
    memcpy(spool->base + spool->used, record, bytes);
    spool->used += bytes;
}

void tm_spool_free(struct tm_spool *spool)
{
    if (spool->base != NULL)
        tm_sys3(SYS_munmap, (long)spool->base, (long)spool->capacity, 0);
    *spool = (struct tm_spool){NULL, 0, 0, 0};
}
