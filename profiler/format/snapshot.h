/* snapshot.h: the snapshot file as both sides see it: the writer inside the target process and the
 * reader in the command. README.md beside this file describes it for a stranger. Everything is
 * little-endian, every record is a multiple of 8 bytes, every section says how long its records
 * are, so that a later version may append fields to a record and add sections; a reader takes the
 * fields that it knows and skips the rest.
 */
#ifndef TIDEMARK_FORMAT_SNAPSHOT_H
#define TIDEMARK_FORMAT_SNAPSHOT_H

#include <assert.h>
#include <stdint.h>

#define TM_SNAPSHOT_MAGIC "TIDEMARK"
enum { TM_SNAPSHOT_VERSION = 1 };

/* The file starts with this. */
struct tm_snapshot_header {
    char magic[8];    /* TM_SNAPSHOT_MAGIC, no terminating NUL */
    uint32_t version; /* TM_SNAPSHOT_VERSION; raised only when old readers would misread the file */
    uint32_t header_bytes; /* size of this header; the first section starts there */
    uint32_t flags;        /* enum tm_snapshot_flag */
    uint32_t reserved;     /* 0 */
};

enum tm_snapshot_flag {
    TM_SNAPSHOT_IN_PROCESS =
        1, /* no frozen copy could be made: figures of pools may be off by what ran meanwhile */
    TM_SNAPSHOT_NO_HEAP = 2, /* the heap could not be walked: no ARENAS, POOLS, SPANS */
};

/* Then sections, each headed by this and padded to 8 bytes. The last is END. */
struct tm_snapshot_section {
    uint32_t tag;          /* enum tm_snapshot_tag */
    uint32_t record_bytes; /* size of one record, or 1 for text */
    uint64_t bytes;        /* of the payload that follows, without padding */
};

#define TM_TAG(a, b, c, d)                                                                         \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
enum tm_snapshot_tag {
    TM_TAG_PROCESS = TM_TAG('P', 'R', 'O', 'C'), /* one tm_snapshot_process */
    TM_TAG_COMMAND = TM_TAG('C', 'M', 'D', 'L'), /* /proc/self/cmdline as it is (NUL-separated) */
    TM_TAG_EXE = TM_TAG('E', 'X', 'E', ' '),     /* path of the executable, text */
    TM_TAG_CONFIG = TM_TAG('C', 'O', 'N', 'F'),  /* lines key=value: the configuration in force */
    TM_TAG_VERSION = TM_TAG('V', 'E', 'R', 'S'), /* version of the library, text */
    TM_TAG_ENVIRON =
        TM_TAG('E', 'N', 'V', ' '), /* lines NAME=value of a few telling variables (PYTHONMALLOC) */
    TM_TAG_STATUS = TM_TAG('S', 'T', 'A', 'T'),  /* /proc/PID/status as text */
    TM_TAG_ROLLUP = TM_TAG('R', 'O', 'L', 'L'),  /* /proc/PID/smaps_rollup as text */
    TM_TAG_STRINGS = TM_TAG('S', 'T', 'R', 'S'), /* NUL-terminated strings, referred to by offset */
    TM_TAG_MAPS = TM_TAG('M', 'A', 'P', 'S'),    /* tm_snapshot_map, in address order */
    TM_TAG_COUNTERS = TM_TAG('C', 'N', 'T', 'R'), /* tm_snapshot_counter */
    TM_TAG_CLASSES = TM_TAG('C', 'L', 'S', 'S'),  /* tm_snapshot_class, index = size class */
    TM_TAG_ARENAS = TM_TAG('A', 'R', 'E', 'N'),   /* tm_snapshot_arena */
    TM_TAG_POOLS = TM_TAG('P', 'O', 'O', 'L'),    /* tm_snapshot_pool */
    TM_TAG_PAGES = TM_TAG('P', 'A', 'G', 'E'),    /* tm_snapshot_page, referred to by pools */
    TM_TAG_SPANS = TM_TAG('S', 'P', 'A', 'N'),    /* tm_snapshot_span */
    TM_TAG_METADATA = TM_TAG('M', 'E', 'T', 'A'), /* tm_snapshot_metadata */
    TM_TAG_TIMELINE = TM_TAG('T', 'I', 'M', 'E'), /* tm_snapshot_moment, oldest first */
    /* These only where call sites were recorded: */
    TM_TAG_RECORDING = TM_TAG('R', 'E', 'C', 'O'), /* one tm_snapshot_recording */
    TM_TAG_FRAMES = TM_TAG('F', 'R', 'A', 'M'), /* tm_snapshot_frame, index = number of the frame */
    TM_TAG_SITES = TM_TAG('S', 'I', 'T', 'E'),  /* tm_snapshot_site, by number */
    TM_TAG_HELD = TM_TAG('H', 'E', 'L', 'D'),   /* tm_snapshot_held */
    TM_TAG_SETS = TM_TAG('S', 'E', 'T', 'S'),   /* tm_snapshot_set */
    TM_TAG_MEMBERS =
        TM_TAG('M', 'E', 'M', 'B'), /* uint32_t: numbers of sites, referred to by SETS */
    TM_TAG_PAGE_SETS = TM_TAG('P', 'S', 'E', 'T'), /* tm_snapshot_page_set */
    TM_TAG_END = TM_TAG('E', 'N', 'D', '!'),       /* one tm_snapshot_end; nothing follows */
};

struct tm_snapshot_process {
    int32_t pid;              /* in the process's own pid namespace */
    int32_t parent;           /* its parent */
    uint32_t threads;         /* number of threads */
    uint32_t page_bytes;      /* the kernel's page */
    uint32_t arena_bytes;     /* 256 KiB */
    uint32_t mask_page_bytes; /* page of all masks and counts in this file: 4096 */
    uint64_t realtime_ns;     /* when the copy was made, CLOCK_REALTIME */
    uint64_t since_start_ns;  /* nanoseconds from the library's start to the copy */
    uint64_t rss_bytes;       /* VmRSS as /proc/PID/statm had it at that time; 0: not readable */
    uint64_t peak_rss_bytes;  /* VmHWM; 0: not readable */
    uint64_t number;          /* the snapshot's number in this process, from 1 (%n) */
    uint64_t pause_ns;        /* how long the copying call took */
    uint64_t walk_ns;         /* how long the walk took in the copy, which paused nothing */
    uint64_t inconsistencies; /* operations found cut in half and stepped over */
};

struct tm_snapshot_map {
    uint64_t start, end;      /* addresses */
    uint64_t offset;          /* in the file, bytes */
    uint64_t inode;           /* 0: anonymous */
    uint64_t rss_bytes;       /* Rss of /proc/PID/smaps */
    uint64_t pss_bytes;       /* Pss */
    uint64_t anonymous_bytes; /* Anonymous */
    uint64_t swap_bytes;      /* Swap */
    uint64_t huge_bytes;      /* AnonHugePages */
    uint32_t permissions;     /* bit 0 r, 1 w, 2 x, 3 shared */
    uint32_t path;            /* offset in STRINGS; what the maps line ends with, "" if nothing */
    uint32_t build_id; /* offset in STRINGS of the build id in hex, on the file's first mapping; ""
                          if unknown */
    uint32_t reserved; /* 0 */
};

struct tm_snapshot_counter {
    char name[24];  /* NUL-padded; the names of struct tm_census_counters and of the recorder's own
                       cost ("recorder_…") */
    uint64_t value; /* bytes unless the name's description in README.md says otherwise */
};

struct tm_snapshot_class {
    uint32_t block_bytes; /* size of a block */
    uint32_t pool_bytes;  /* size of a pool */
    uint32_t capacity;    /* blocks of a pool */
    uint32_t reserved;    /* 0 */
};

struct tm_snapshot_arena {
    uint64_t base;       /* address, a multiple of arena_bytes */
    uint64_t free_mask;  /* bit i: page i is in no pool and no span */
    uint64_t dirty_mask; /* bit i: page i is free and the allocator holds it for maybe resident */
    uint64_t resident_mask; /* bit i: page i is resident (pagemap, else mincore; all ones where
                               neither can be read) */
    uint32_t kind;          /* enum tm_census_arena_kind */
    uint32_t reserved;      /* 0 */
};

/* In address order. Its arena is the one whose range it lies in. */
struct tm_snapshot_pool {
    uint64_t base;        /* address */
    uint16_t size_class;  /* index in CLASSES */
    uint16_t pages;       /* of mask_page_bytes: up to 16 */
    uint16_t live;        /* live blocks */
    uint16_t binned;      /* free blocks in the owner's bin */
    uint16_t remote;      /* free blocks handed back by other threads, not yet collected */
    uint16_t uncarved;    /* bit i: no block that starts in page i was handed out since the page was
                             last fresh or purged */
    uint32_t heap;        /* owner's id; 0: ownerless */
    uint32_t first_page;  /* index in PAGES of page 0; TM_NO_PAGES: all blocks live, or all free */
    uint16_t identity;    /* enum tm_snapshot_identity */
    uint16_t chosen_page; /* TM_IDENTITY_CHOSEN: which page; else 0 */
};
#define TM_NO_PAGES UINT32_MAX

struct tm_snapshot_page {
    uint16_t live_blocks; /* live blocks that overlap the page */
    uint16_t live_bytes;  /* bytes of the page in live blocks, <= mask_page_bytes */
};

struct tm_snapshot_span {
    uint64_t base;           /* address */
    uint64_t bytes;          /* usable */
    uint64_t resident_bytes; /* of them resident */
    uint32_t kind;           /* enum tm_census_span_kind */
    uint32_t reserved;       /* 0 */
};

struct tm_snapshot_metadata {
    uint64_t base;           /* address */
    uint64_t bytes;          /* address space */
    uint64_t resident_bytes; /* of them resident */
    char what[24]; /* NUL-padded: "chunk heads", "heaps", "tables", "recorder", "library data" */
};

struct tm_snapshot_moment {
    uint64_t since_start_ns;                        /* when */
    uint64_t pool_bytes, span_bytes, mapping_bytes; /* in use: as the counters of these names */
    uint64_t cached_bytes;                          /* as the counter of this name */
    uint64_t purged_bytes; /* given back by purging or unmapping, cumulative since start */
};

/* ---- call sites ----
 *
 * A site is one stack that allocates. What is recorded is either every allocation, or a Poisson
 * sample of them: one of `bytes` usable bytes is recorded with the probability
 * p = 1 - exp(-bytes / rate_bytes), and counts for 1 / p blocks. Figures of sites are such sums,
 * and a variance is the sum of (1 - p) / p^2, times the square of what is summed: 0 where
 * everything is recorded.
 *
 * Which sites hold a page is known from the site of every block on it. With sites=all that is known
 * of all pages. While samples are taken it is recorded of some pages only: each pool that is empty
 * and about to be used is chosen with the probability 1 / identity_one_in, and in it one of its
 * pages, each with the same probability. A chosen pool is put into one of identity_groups groups at
 * random. So what HELD and SETS tell of chosen pages is to be scaled up by what POOLS tells of all
 * pages of pools that could have been chosen, and how far the groups differ tells the error. */

enum tm_snapshot_identity {
    TM_IDENTITY_NONE =
        0, /* the pool was taken before sites were recorded, or while they were not */
    TM_IDENTITY_PASSED = 1, /* it could have been chosen, and was not */
    TM_IDENTITY_CHOSEN =
        2, /* the site of every block that reaches into page chosen_page of it is recorded */
};

enum tm_snapshot_sites { TM_SITES_OFF = 0, TM_SITES_SAMPLE = 1, TM_SITES_ALL = 2 };

enum {
    TM_LIFETIMES = 8,    /* steps of a site's lifetimes */
    TM_BIRTHS = 16,      /* equal parts of the time since recording began */
    TM_SIZE_STEPS = 16,  /* requested sizes: step i is up to 16 << i bytes, the last any */
    TM_SET_MEMBERS = 64, /* the most sites of a set that is listed */
};
#define TM_SITE_UNKNOWN 0u         /* number of the site of blocks that are not recorded */
#define TM_SET_MANY     UINT32_MAX /* members of a set of more sites than are listed */
#define TM_BLOCK_UNITS  1024u /* sums of blocks are in 1/1024 block: estimates have fractions */

struct tm_snapshot_recording {
    uint32_t sites; /* enum tm_snapshot_sites: in force when the snapshot was taken */
    uint32_t ever;  /* bit 1: samples were taken, bit 2: everything was recorded, at some time */
    uint64_t rate_bytes;      /* mean bytes between samples */
    uint32_t identity_one_in; /* see above; 1 with sites=all, 0: no page is chosen */
    uint32_t identity_groups; /* see above; 1 with sites=all */
    uint64_t since_ns;        /* when recording began, on the clock of the timeline */
    uint64_t until_ns;        /* when it was stopped; 0: it goes on */
    uint64_t
        memory_bytes;    /* resident bytes of the recorder's tables; also in METADATA as "sites" */
    uint64_t peak_bytes; /* live bytes of all sites at their highest, */
    uint64_t peak_ns;    /* and when; 0: never */
    uint64_t missed;     /* allocations that were to be recorded and were not */
    uint64_t truncated;  /* of the stacks, those with more frames than are recorded */
    uint64_t shortened;  /* stacks of which the table was too full to take more than the caller */
    uint32_t frame_count, frame_limit; /* of the table */
    uint32_t site_count, site_limit;   /* of the table */
    uint32_t depth_limit;              /* frames of a stack that are recorded */
    uint32_t by_thread;                /* 1: sites are kept apart by thread */
    uint64_t
        lifetime_ns[TM_LIFETIMES]; /* upper ends of the steps of lifetimes; the last UINT64_MAX */
};

enum tm_snapshot_frame_flag {
    TM_FRAME_TRUNCATED = 1, /* stands for frames that are not recorded; address is 0 */
    TM_FRAME_THREAD = 2,    /* stands for a thread; address is its id */
    TM_FRAME_EXACT = 4, /* address is that of the instruction; else it is the one behind a call */
};

struct tm_snapshot_frame {
    uint64_t address;
    uint32_t parent; /* number of the frame that called this one, smaller than its own; 0: none */
    uint32_t flags;  /* enum tm_snapshot_frame_flag */
};

struct tm_snapshot_site {
    uint32_t number;  /* of the site, from 1 */
    uint32_t frame;   /* the innermost frame: who called malloc; 0: unknown */
    uint64_t samples; /* recorded allocations since recording began */
    uint64_t allocated_blocks,
        allocated_bytes;          /* estimated from them; units of TM_BLOCK_UNITS; usable bytes */
    uint64_t allocated_requested; /* requested bytes */
    double allocated_bytes_variance;
    uint64_t temporary_blocks; /* of them freed by the thread that allocated them before it recorded
                                  another */
    uint64_t ended_blocks[TM_LIFETIMES];              /* freed ones by lifetime */
    uint64_t live_samples;                            /* recorded blocks that are live */
    uint64_t live_blocks, live_bytes, live_requested; /* estimated from them */
    double live_blocks_variance, live_bytes_variance;
    uint64_t span_bytes, span_resident_bytes; /* the part of live_bytes in spans; of it resident */
    uint64_t peak_blocks, peak_bytes; /* live when the live bytes of all sites were highest */
    uint64_t
        born_blocks[TM_BIRTHS]; /* live blocks by birth: part i of the time from since_ns to now */
    uint64_t oldest_ns, youngest_ns; /* births of the oldest and youngest live one recorded, on the
                                        clock of the timeline; 0: none is live */
    uint32_t size_samples[TM_SIZE_STEPS]; /* recorded allocations by requested size */
};

/* What the survivors of a site hold, in pools of a size class: of each resident, chosen page with
 * live and free bytes, each live block that reaches into it is charged the same part of the free
 * bytes; remainders go to the first ones, so that the sum is exact. */
struct tm_snapshot_held {
    uint32_t site;        /* its number; TM_SITE_UNKNOWN */
    uint16_t size_class;  /* index in CLASSES */
    uint16_t group;       /* below identity_groups */
    uint64_t share_bytes; /* charged to it */
    uint32_t pages;       /* on so many pages */
    uint32_t blocks;      /* by so many blocks, one for each page that it reaches into */
};

/* Resident pages, in pools of a size class whose every block is identified, whose live blocks are
 * of exactly these sites. */
struct tm_snapshot_set {
    uint32_t first_member;   /* index in MEMBERS */
    uint32_t members;        /* how many, sorted; TM_SET_MANY: not listed */
    uint16_t size_class;     /* index in CLASSES */
    uint16_t group;          /* below identity_groups */
    uint32_t pages;          /* how many pages */
    uint64_t resident_bytes; /* of these pages */
    uint64_t held_bytes;     /* of them free */
};

/* Which set of SETS a page belongs to; of the pages of PAGES with free bytes whose every block is
 * identified. */
struct tm_snapshot_page_set {
    uint32_t page; /* index in PAGES */
    uint32_t set;  /* index in SETS */
};

struct tm_snapshot_end {
    uint32_t crc;      /* CRC-32 (zlib's) of every byte before this section's header */
    uint32_t sections; /* how many sections came before this one */
};

static_assert(sizeof(struct tm_snapshot_header) == 24, "file format");
static_assert(sizeof(struct tm_snapshot_section) == 16, "file format");
static_assert(sizeof(struct tm_snapshot_process) == 88, "file format");
static_assert(sizeof(struct tm_snapshot_map) == 88, "file format");
static_assert(sizeof(struct tm_snapshot_counter) == 32, "file format");
static_assert(sizeof(struct tm_snapshot_class) == 16, "file format");
static_assert(sizeof(struct tm_snapshot_arena) == 40, "file format");
static_assert(sizeof(struct tm_snapshot_pool) == 32, "file format");
static_assert(sizeof(struct tm_snapshot_page) == 4, "file format");
static_assert(sizeof(struct tm_snapshot_span) == 32, "file format");
static_assert(sizeof(struct tm_snapshot_metadata) == 48, "file format");
static_assert(sizeof(struct tm_snapshot_moment) == 48, "file format");
static_assert(sizeof(struct tm_snapshot_recording) == 176, "file format");
static_assert(sizeof(struct tm_snapshot_frame) == 16, "file format");
static_assert(sizeof(struct tm_snapshot_site) == 408, "file format");
static_assert(sizeof(struct tm_snapshot_held) == 24, "file format");
static_assert(sizeof(struct tm_snapshot_set) == 32, "file format");
static_assert(sizeof(struct tm_snapshot_page_set) == 8, "file format");
static_assert(sizeof(struct tm_snapshot_end) == 8, "file format");

#endif
