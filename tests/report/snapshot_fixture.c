/* snapshot_fixture.c: see snapshot_fixture.h. */
#include "tests/report/snapshot_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PAGE = TM_CENSUS_PAGE, ARENA = TM_CENSUS_ARENA };

void fixture_raw(struct fixture *fixture, const void *bytes, size_t count)
{
    if (fixture->size + count > fixture->room) {
        fixture->room = (fixture->size + count) * 2;
        fixture->bytes = realloc(fixture->bytes, fixture->room);
        if (!fixture->bytes)
            abort();
    }
    if (count > 0)
        memcpy(fixture->bytes + fixture->size, bytes, count);
    fixture->size += count;
}

void fixture_start(struct fixture *fixture, uint32_t flags)
{
    struct tm_snapshot_header header = {
        .version = TM_SNAPSHOT_VERSION, .header_bytes = sizeof header, .flags = flags};
    memcpy(header.magic, TM_SNAPSHOT_MAGIC, sizeof header.magic);
    *fixture = (struct fixture){.bytes = NULL};
    fixture_raw(fixture, &header, sizeof header);
}

void fixture_section(struct fixture *fixture, uint32_t tag, uint32_t record_bytes,
                     const void *payload, size_t bytes)
{
    static const char padding[8];
    struct tm_snapshot_section section = {tag, record_bytes, bytes};
    fixture_raw(fixture, &section, sizeof section);
    fixture_raw(fixture, payload, bytes);
    fixture_raw(fixture, padding, (8 - bytes % 8) % 8);
    fixture->sections++;
}

void fixture_end(struct fixture *fixture)
{
    struct tm_snapshot_end end = {
        .crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), fixture->bytes, fixture->size),
        .sections = fixture->sections};
    fixture_section(fixture, TM_TAG_END, sizeof end, &end, sizeof end);
}

void fixture_free(struct fixture *fixture)
{
    free(fixture->bytes);
    *fixture = (struct fixture){.bytes = NULL};
}

struct tm_snapshot_process fixture_process(void)
{
    return (struct tm_snapshot_process){
        .pid = 4242,
        .parent = 1,
        .threads = 3,
        .page_bytes = PAGE,
        .arena_bytes = ARENA,
        .mask_page_bytes = PAGE,
        .realtime_ns = UINT64_C(1750000000000000000),
        .since_start_ns = UINT64_C(10000000000),
        .rss_bytes = 1500000,
        .peak_rss_bytes = 2 << 20,
        .number = 1,
        .pause_ns = 1500000,
        .walk_ns = 9000000,
    };
}

static void add_identity(struct fixture *fixture)
{
    struct tm_snapshot_process process = fixture_process();
    fixture_section(fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    fixture_section(fixture, TM_TAG_COMMAND, 1, "/usr/bin/service\0--port\08080", 28);
    FIXTURE_TEXT(fixture, TM_TAG_EXE, "/usr/bin/service");
    FIXTURE_TEXT(fixture, TM_TAG_CONFIG, "timeline=100ms\nsignal=USR2\n");
    FIXTURE_TEXT(fixture, TM_TAG_VERSION, "0.1.0");
    FIXTURE_TEXT(fixture, TM_TAG_STATUS, "VmRSS:\t10240 kB\n");
    FIXTURE_TEXT(fixture, TM_TAG_ROLLUP, "Rss: 10240 kB\n");
}

static void add_counters_and_timeline(struct fixture *fixture)
{
    static const struct tm_snapshot_counter counters[] = {
        {"pool_bytes", 81920}, {"span_bytes", 24576}, {"recorder_timeline_bytes", 65536}};
    static const struct tm_snapshot_moment moments[] = {
        {0, 1 << 20, 0, 0, 0, 0},
        {UINT64_C(4000000000), 6 << 20, 1 << 20, 1 << 20, 0, 0},
        {UINT64_C(9000000000), 1 << 20, 0, 0, 1 << 20, 6 << 20},
    };
    FIXTURE_ARRAY(fixture, TM_TAG_COUNTERS, counters);
    FIXTURE_ARRAY(fixture, TM_TAG_TIMELINE, moments);
}

/* The heap of the hand-made snapshot. Pages are of 4096 bytes.
 *
 * Arena A at 0x10000000, pools, pages 0-19 in pools, 20-63 free, of these 20 and 21 resident:
 *   pool 0, class 0 (64 B, 16 KiB, 256 blocks), pages 0-3, 10 live:
 *     page 0: 4 blocks 256 B; page 1: 6 blocks 384 B; page 2: none; page 3: none, not resident
 *       live 640, pinned 3840 + 3712 = 7552, cached 4096
 *   pool 1, class 1 (3072 B, 64 KiB, 21 blocks: a tail of 1024 B), pages 4-19, all live, no page
 * figures: 16 pages resident, live 64512, pinned 1024 free: pages 20 and 21 resident: cached in
 * arenas 8192 Arena B at 0x10040000, page runs: pages 0-5 a span with 20480 bytes resident, 6-63
 * free, none resident. Arena C at 0x10080000, metadata: 8192 bytes resident. A mapping of its own
 * at 0x20001000: 1 MiB, all resident. One that was freed and is kept at 0x28000000: 16 MiB, 49152
 * resident. Metadata "tables" at 0x30000000: 64 KiB, 4096 resident.
 */
static void add_hand_made_heap(struct fixture *fixture)
{
    static const struct tm_snapshot_class classes[] = {{64, 16384, 256, 0}, {3072, 65536, 21, 0}};
    /* Not in address order on purpose: the reader sorts. */
    static const struct tm_snapshot_arena arenas[] = {
        {0x10040000, ~UINT64_C(0x3f), 0, UINT64_C(0x1f), TM_CENSUS_ARENA_SPANS, 0},
        {0x10000000, ~UINT64_C(0xfffff), UINT64_C(3) << 20, UINT64_C(0x3ffff7),
         TM_CENSUS_ARENA_POOLS, 0},
        {0x10080000, 0, 0, 3, TM_CENSUS_ARENA_META, 0},
    };
    static const struct tm_snapshot_pool pools[] = {
        {0x10000000, 0, 4, 10, 100, 3, 0xc, 7, 0, 0, 0},
        {0x10004000, 1, 16, 21, 0, 0, 0, 7, TM_NO_PAGES, 0, 0},
    };
    static const struct tm_snapshot_page pages[] = {{4, 256}, {6, 384}, {0, 0}, {0, 0}};
    static const struct tm_snapshot_span spans[] = {
        {0x10040000, 6 * PAGE, 5 * PAGE, TM_CENSUS_SPAN_PAGES, 0},
        {0x20001000, 1 << 20, 1 << 20, TM_CENSUS_SPAN_MAPPING, 0},
        {0x28000000, 16 << 20, 12 * PAGE, TM_CENSUS_SPAN_CACHED, 0},
    };
    static const struct tm_snapshot_metadata metadata[] = {{0x10080000, ARENA, 8192, "chunk heads"},
                                                           {0x30000000, 65536, 4096, "tables"}};
    FIXTURE_ARRAY(fixture, TM_TAG_CLASSES, classes);
    FIXTURE_ARRAY(fixture, TM_TAG_ARENAS, arenas);
    FIXTURE_ARRAY(fixture, TM_TAG_POOLS, pools);
    FIXTURE_ARRAY(fixture, TM_TAG_PAGES, pages);
    FIXTURE_ARRAY(fixture, TM_TAG_SPANS, spans);
    FIXTURE_ARRAY(fixture, TM_TAG_METADATA, metadata);
}

/* Resident bytes of the three arenas: 21 pages (pages 0-2 and 4-21), 5 of the span, 2 of metadata.
 */
enum { ARENAS_RSS = (21 + 5 + 2) * PAGE };

/* The mappings of the hand-made snapshot; what is left of each without the allocator's part:
 *   program: r--p 8192 code, r-xp 40960 code, rw-p 8192 of which 4096 written: data 4096, code 4096
 *   .bss behind it: 4096 data. [heap]: 12288. Arenas, merged by the kernel with 128 KiB of someone
 *   else's above: 65536 anonymous. JIT: 16384. Guard and stack of a thread: 20480. [stack]: 12288.
 *   The mapping with its 4 KiB before it: 4096 more than the span: anonymous. The one that is kept,
 * and tables: nothing. A file: 32768. Shared memory: 131072. vdso: 4096.
 */
static const struct {
    uint64_t start, bytes, rss, anonymous;
    uint32_t permissions;
    const char *path;
} hand_made_maps[] = {
    {0x400000, 0x2000, 8192, 0, 1, "/usr/bin/service"},
    {0x402000, 0xa000, 40960, 0, 5, "/usr/bin/service"},
    {0x40c000, 0x2000, 8192, 4096, 3, "/usr/bin/service"},
    {0x40e000, 0x1000, 4096, 4096, 3, ""},
    {0x900000, 0x21000, 12288, 12288, 3, "[heap]"},
    {0x10000000, 0xe0000, ARENAS_RSS + 65536, 0, 3, ""},
    {0x18000000, 0x4000, 16384, 16384, 7, ""},
    {0x19000000, 0x1000, 0, 0, 0, ""},
    {0x19001000, 0x800000, 20480, 20480, 3, ""},
    {0x20000000, 0x101000, 0x101000, 0, 3, ""},
    {0x28000000, 0x1000000, 12 * PAGE, 12 * PAGE, 3, ""},
    {0x30000000, 0x10000, 4096, 4096, 3, ""},
    {0x7f0000000000, 0x8000, 32768, 0, 1, "/usr/lib/locale/locale-archive"},
    {0x7f0000100000, 0x40000, 131072, 0, 11, "/dev/shm/ring"},
    {0x7ffc00000000, 0x21000, 12288, 12288, 3, "[stack]"},
    {0x7ffd00000000, 0x1000, 4096, 0, 5, "[vdso]"},
};

enum { HAND_MADE_MAPS = sizeof hand_made_maps / sizeof hand_made_maps[0] };

static void add_hand_made_maps(struct fixture *fixture)
{
    struct tm_snapshot_map maps[HAND_MADE_MAPS] = {0};
    char strings[1024] = "";
    size_t used = 1;
    for (int i = 0; i < HAND_MADE_MAPS; i++) {
        const char *path = hand_made_maps[i].path;
        maps[i].start = hand_made_maps[i].start;
        maps[i].end = hand_made_maps[i].start + hand_made_maps[i].bytes;
        maps[i].rss_bytes = hand_made_maps[i].rss;
        maps[i].anonymous_bytes = hand_made_maps[i].anonymous;
        maps[i].permissions = hand_made_maps[i].permissions;
        if (!*path)
            continue;
        maps[i].path = (uint32_t)used;
        memcpy(strings + used, path, strlen(path) + 1);
        used += strlen(path) + 1;
    }
    fixture_section(fixture, TM_TAG_STRINGS, 1, strings, used);
    FIXTURE_ARRAY(fixture, TM_TAG_MAPS, maps);
}

void fixture_hand_made(struct fixture *fixture)
{
    fixture_start(fixture, 0);
    add_identity(fixture);
    add_hand_made_maps(fixture);
    add_hand_made_heap(fixture);
    add_counters_and_timeline(fixture);
    fixture_end(fixture);
}

void fixture_hostile(struct fixture *fixture)
{
    static const char evil[] =
        "/\033[2J\033]0;owned\007\xff\xfe\xc3\x28\x9b\x31m\xe2\x80\xae\xed\xa0\x80\"\\\n\t\x7f";
    struct tm_snapshot_process process = fixture_process();
    struct tm_snapshot_map maps[] = {
        {.start = 0x1000, .end = 0x3000, .rss_bytes = 8192, .permissions = 5, .path = 1}};
    struct tm_snapshot_metadata metadata[] = {{0x30000000, 65536, 4096, "\033[31mred\xff\""}};
    struct tm_snapshot_counter counters[] = {{"\033]52;c;\xff\007\"", 7}};
    char strings[sizeof evil + 1] = "";
    memcpy(strings + 1, evil, sizeof evil);
    fixture_start(fixture, TM_SNAPSHOT_IN_PROCESS);
    fixture_section(fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    fixture_section(fixture, TM_TAG_COMMAND, 1, evil, sizeof evil);
    fixture_section(fixture, TM_TAG_EXE, 1, evil, sizeof evil);
    fixture_section(fixture, TM_TAG_CONFIG, 1, evil, sizeof evil);
    fixture_section(fixture, TM_TAG_VERSION, 1, evil, sizeof evil);
    fixture_section(fixture, TM_TAG_ENVIRON, 1, evil, sizeof evil);
    fixture_section(fixture, TM_TAG_STRINGS, 1, strings, sizeof strings);
    FIXTURE_ARRAY(fixture, TM_TAG_MAPS, maps);
    FIXTURE_ARRAY(fixture, TM_TAG_METADATA, metadata);
    FIXTURE_ARRAY(fixture, TM_TAG_COUNTERS, counters);
    fixture_end(fixture);
}

uint64_t fixture_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Random bits of which three in four are set. */
static uint64_t dense_mask(uint64_t *state)
{
    uint64_t bits = fixture_next(state);
    return bits | fixture_next(state);
}

/* Fills one arena with pools of 4 or 16 pages, free runs, and pages in no pool, in random order. */
static void add_random_arena(struct tm_snapshot_arena *arena, struct fixture *pools,
                             struct fixture *pages, uint64_t *state)
{
    for (unsigned at = 0; at < 64;) {
        uint64_t dice = fixture_next(state);
        unsigned length = dice % 2 ? 16 : 4;
        uint64_t mask = (UINT64_C(1) << length) - 1;
        if (at + length > 64)
            length = 64 - at;
        if (dice >> 8 & 1) {
            arena->free_mask |= mask << at;
            at += length;
            continue;
        }
        if (length != 4 && length != 16) {
            at += length; /* neither free nor in a pool */
            continue;
        }
        struct tm_snapshot_pool pool = {
            .base = arena->base + (uint64_t)at * PAGE,
            .size_class = length == 16,
            .pages = (uint16_t)length,
            .first_page = (uint32_t)(pages->size / sizeof(struct tm_snapshot_page)),
        };
        for (unsigned i = 0; i < length; i++) {
            uint64_t draw = fixture_next(state);
            struct tm_snapshot_page page = {0, 0};
            if (draw % 4 == 0) {
                page.live_blocks = (uint16_t)(1 + draw / 4 % 64);
                page.live_bytes = (uint16_t)(page.live_blocks * 64);
                pool.live = (uint16_t)(pool.live + page.live_blocks);
            }
            fixture_raw(pages, &page, sizeof page);
        }
        if (dice >> 16 & 1) { /* a pool without a live block */
            memset(pages->bytes + pages->size - length * sizeof(struct tm_snapshot_page), 0,
                   length * sizeof(struct tm_snapshot_page));
            pool.live = 0;
        }
        fixture_raw(pools, &pool, sizeof pool);
        at += length;
    }
}

void fixture_random(struct fixture *fixture, uint64_t seed, size_t arenas)
{
    static const struct tm_snapshot_class classes[] = {{64, 16384, 256, 0}, {64, 65536, 1024, 0}};
    struct fixture arena_bytes = {.bytes = NULL};
    struct fixture pools = {.bytes = NULL};
    struct fixture pages = {.bytes = NULL};
    uint64_t base = UINT64_C(0x7f0000000000);
    for (size_t i = 0; i < arenas; i++) {
        uint64_t dice = fixture_next(&seed);
        /* Now and then a gap, so that a unit of 2 MiB is not whole. */
        base += dice % 16 == 0 ? 2 * ARENA : ARENA;
        struct tm_snapshot_arena arena = {.base = base, .kind = TM_CENSUS_ARENA_POOLS};
        arena.resident_mask = dice >> 8 & 1 ? ~UINT64_C(0) : dense_mask(&seed);
        if (dice >> 9 & 3)
            arena.free_mask = ~UINT64_C(0); /* most are empty, so that wide units happen */
        else
            add_random_arena(&arena, &pools, &pages, &seed);
        if (arena.free_mask == ~UINT64_C(0))
            arena.kind = TM_CENSUS_ARENA_EMPTY;
        fixture_raw(&arena_bytes, &arena, sizeof arena);
    }
    fixture_start(fixture, 0);
    add_identity(fixture);
    FIXTURE_ARRAY(fixture, TM_TAG_CLASSES, classes);
    fixture_section(fixture, TM_TAG_ARENAS, sizeof(struct tm_snapshot_arena), arena_bytes.bytes,
                    arena_bytes.size);
    fixture_section(fixture, TM_TAG_POOLS, sizeof(struct tm_snapshot_pool), pools.bytes,
                    pools.size);
    fixture_section(fixture, TM_TAG_PAGES, sizeof(struct tm_snapshot_page), pages.bytes,
                    pages.size);
    add_counters_and_timeline(fixture);
    fixture_end(fixture);
    fixture_free(&arena_bytes);
    fixture_free(&pools);
    fixture_free(&pages);
}
