/* live.h: the page of counters that a running library keeps up to date, and `tidemark top` and
 * `tidemark metrics` read.
 *
 * It is shared memory of TM_LIVE_SLOTS slots, of which each process that has the memory uses one:
 * the process that started it the first, children that it forks any that is free. Where one can be
 * had the memory is a memfd of the name TM_LIVE_NAME, sealed against any other writer, with a
 * descriptor of the process from TM_LIVE_DESCRIPTOR up, so that whoever may look at /proc/PID/fd
 * can read it. Where not, it is shared memory without a name. In either case the library's
 * tidemark_status (status.h) tells its address, for whoever may read the memory of the process. It
 * ends with the last of these processes.
 *
 * A slot is written as a whole: `sequence` is odd meanwhile. A reader that finds it even and the
 * same before and after has what was written together. Only 8-byte words change.
 */
#ifndef TIDEMARK_FORMAT_LIVE_H
#define TIDEMARK_FORMAT_LIVE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TM_LIVE_NAME  "tidemark-live"
#define TM_LIVE_MAGIC "TIDELIVE"

enum {
    TM_LIVE_VERSION = 1, /* raised when old readers would misread a slot; fields may be added */
    TM_LIVE_SLOTS = 64,
    TM_LIVE_SLOT_BYTES = 512,
    TM_LIVE_BYTES = TM_LIVE_SLOTS * TM_LIVE_SLOT_BYTES,
    TM_LIVE_DESCRIPTOR = 1000,
};

enum tm_live_flag {
    TM_LIVE_EXACT = 1, /* live_pool_bytes and drained_bytes come from all pools, not from some */
};

/* Bytes unless told; zero-filled to TM_LIVE_SLOT_BYTES. Times are CLOCK_MONOTONIC in ns. */
struct tm_live {
    uint64_t owner;      /* tells the process that has the slot from all others; 0: nobody has it */
    uint64_t sequence;   /* odd: it is being written */
    char magic[8];       /* TM_LIVE_MAGIC */
    uint32_t version;    /* TM_LIVE_VERSION */
    uint32_t bytes;      /* of this struct */
    int32_t pid;         /* as the process sees itself in its pid namespace */
    uint32_t flags;      /* enum tm_live_flag */
    uint64_t start_ns;   /* when the process began, or was forked */
    uint64_t written_ns; /* when this was written: when the process last moved pages, about */
    /* The allocator's own counters, exact. */
    uint64_t pool_bytes;     /* in pools, without pages untouched since they were fresh or purged */
    uint64_t span_bytes;     /* in large blocks inside arenas */
    uint64_t mapping_bytes;  /* in large blocks with a mapping of their own */
    uint64_t cached_bytes;   /* free pages of arenas and freed mappings that are kept for reuse */
    uint64_t arena_bytes;    /* address space of arenas */
    uint64_t metadata_bytes; /* address space of the allocator's own descriptors */
    uint64_t purged_bytes;   /* given back by madvise since the start, cumulative */
    uint64_t unmapped_bytes; /* given back by munmap since the start, cumulative */
    uint64_t purge_calls;    /* calls of madvise that gave pages back: a count, cumulative */
    uint64_t taken_bytes; /* of pools and large blocks taken since the start, cumulative: what the
                             program allocates in pools that have room already is not in it */
    uint64_t heaps;       /* heaps of running threads: a count */
    /* What pools have in them, from a look at some of them (TM_LIVE_EXACT: at all) when this was
     * written; blocks in threads' bins count as live. */
    uint64_t live_pool_bytes;
    uint64_t drained_bytes; /* pages of pools with no live block */
    uint64_t pools_looked;  /* a count */
    /* Where call sites are recorded. */
    uint64_t sites;           /* enum tm_snapshot_sites: whether they are */
    uint64_t recorded_bytes;  /* allocated while they were recorded, cumulative; under
                                 TM_SITES_SAMPLE an estimate */
    uint64_t recorded_blocks; /* the same: a count */
    uint64_t snapshots;       /* written since the start: a count */
};

static_assert(offsetof(struct tm_live, sequence) == 8, "the writer stores it apart from the rest");
static_assert(offsetof(struct tm_live, magic) == 16, "what the writer copies begins there");
static_assert(offsetof(struct tm_live, pool_bytes) == 56, "counters begin there");
static_assert(offsetof(struct tm_live, live_pool_bytes) == 144, "estimates begin there");
static_assert(sizeof(struct tm_live) == 200, "a version is one layout");
static_assert(sizeof(struct tm_live) <= TM_LIVE_SLOT_BYTES, "it fits a slot");
static_assert(4096 % TM_LIVE_SLOT_BYTES == 0, "no slot lies on two pages");

#endif
