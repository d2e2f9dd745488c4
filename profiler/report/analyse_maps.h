/* analyse_maps.h: the resident memory that is not the allocator's, sorted by what it is, from the
 * snapshot's MAPS. What lies in the allocator's own arenas, spans and metadata is taken off each
 * mapping by address, because the kernel merges neighbouring mappings and shows them as one.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_MAPS_H
#define TIDEMARK_REPORT_ANALYSE_MAPS_H

#include "profiler/report/analyse_heap.h"

enum tm_map_kind {
    TM_MAP_ANONYMOUS, /* private memory of the program: its own mmap, another allocator, a runtime
                       */
    TM_MAP_CODE_MADE, /* the same, executable: a JIT compiler's */
    TM_MAP_BRK,       /* [heap] */
    TM_MAP_STACK,     /* [stack], and private memory right above a guard */
    TM_MAP_CODE,      /* pages of programs and libraries as they are in the file */
    TM_MAP_DATA,      /* pages of them that were written to, and their .bss */
    TM_MAP_FILE,      /* other files, mapped privately */
    TM_MAP_SHARED,    /* shared memory and files mapped shared */
    TM_MAP_KERNEL,    /* [vdso] and the like */
    TM_MAP_KINDS,
};

/* A mapping, or what is left of it without the allocator's part. */
struct tm_other_map {
    const struct tm_snapshot_map *map;
    enum tm_map_kind kind;
    uint64_t rss_bytes;
};

struct tm_maps {
    uint64_t rss_bytes[TM_MAP_KINDS];
    uint64_t total_bytes;        /* Rss of all mappings, the allocator's included */
    uint64_t swap_bytes;         /* Swap of all mappings */
    uint64_t library_bytes;      /* of libtidemark.so: code, data and .bss; part of rss_bytes */
    uint64_t overcount_bytes;    /* by which the allocator's figures exceed the Rss of the mappings
                                    they lie in */
    uint64_t contradictions;     /* mappings that overlap or hold more than their size */
    struct tm_other_map *others; /* largest first */
    size_t other_count;
};

/* False when memory runs out; then nothing is left to free. */
bool tm_maps_analyse(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                     struct tm_maps *maps);
void tm_maps_free(struct tm_maps *maps);

#endif
