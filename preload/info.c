/* info.c: glibc's questions to malloc: mallinfo, malloc_stats, malloc_info, mallopt, malloc_trim.
 * Answered from the allocator's counters, which cost nothing to keep; the whole story is in a
 * snapshot.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "allocator/census.h"
#include "allocator/tidemark_alloc.h"
#include "preload/export.h"

struct mallinfo __libc_mallinfo(void);
int __libc_mallopt(int parameter, int value);

/* As mallinfo(3) names things: arena and hblkhd are bytes from the OS, uordblks those in use,
 * fordblks those that are free and may be resident. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    struct mallinfo2 info = {0};
    info.arena = now.mapped_bytes;
    info.hblkhd = now.mapping_bytes;
    info.uordblks = now.pool_bytes + now.span_bytes;
    info.fordblks = now.cached_bytes;
    info.keepcost = now.cached_bytes;
    return info;
}

static int clamp(size_t value)
{
    return value > INT_MAX ? INT_MAX : (int)value;
}

/* The old form, whose fields are too small for today: what does not fit is INT_MAX. */
EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 now = mallinfo2();
    struct mallinfo info = {0};
    info.arena = clamp(now.arena);
    info.hblkhd = clamp(now.hblkhd);
    info.uordblks = clamp(now.uordblks);
    info.fordblks = clamp(now.fordblks);
    info.keepcost = clamp(now.keepcost);
    return info;
}

EXPORT __attribute__((alias("mallinfo"))) struct mallinfo __libc_mallinfo(void);

/* Accepts every parameter and changes nothing: glibc's tunables have no counterpart here. */
EXPORT int mallopt(int parameter, int value)
{
    (void)parameter, (void)value;
    return 1;
}

ALIAS_OF(mallopt) int __libc_mallopt(int parameter, int value);

EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    return tm_trim();
}

EXPORT void malloc_stats(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    fprintf(stderr,
            "tidemark: in pools %" PRIu64 " bytes, in spans %" PRIu64
            ", in mappings of their own %" PRIu64 ", cached %" PRIu64 ", given back so far %" PRIu64
            "\n",
            now.pool_bytes, now.span_bytes, now.mapping_bytes, now.cached_bytes,
            now.purged_bytes + now.unmapped_bytes);
}

EXPORT int malloc_info(int options, FILE *out)
{
    if (options != 0)
        return EINVAL;
    struct tm_census_counters now;
    tm_census_counters(&now);
    fprintf(out, "<malloc version=\"tidemark-" TIDEMARK_VERSION "\">\n");
    fprintf(out, "<total type=\"pools\" size=\"%" PRIu64 "\"/>\n", now.pool_bytes);
    fprintf(out, "<total type=\"spans\" size=\"%" PRIu64 "\"/>\n", now.span_bytes);
    fprintf(out, "<total type=\"mmap\" size=\"%" PRIu64 "\"/>\n", now.mapping_bytes);
    fprintf(out, "<total type=\"cached\" size=\"%" PRIu64 "\"/>\n", now.cached_bytes);
    fprintf(out, "<system type=\"current\" size=\"%" PRIu64 "\"/>\n",
            now.mapped_bytes + now.mapping_bytes);
    fprintf(out, "</malloc>\n");
    return ferror(out) ? -1 : 0;
}
