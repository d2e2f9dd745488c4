/* sites_fixture.c: see sites_fixture.h. */
#include "tests/report/sites_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = TM_CENSUS_PAGE, POOL_PAGES = 4, BASE = 0x10000000 };
static const uint64_t second = 1000000000;

void sites_add_pool(struct sites_parts *parts, uint16_t size_class, uint16_t identity,
                    const uint16_t live[4])
{
    struct tm_snapshot_pool *pool = &parts->pools[parts->pool_count];
    *pool = (struct tm_snapshot_pool){
        .base = BASE + parts->pool_count * POOL_PAGES * PAGE,
        .size_class = size_class,
        .pages = POOL_PAGES,
        .first_page = (uint32_t)parts->page_count,
        .identity = identity,
    };
    for (int i = 0; i < POOL_PAGES; i++) {
        uint16_t bytes = (uint16_t)(live[i] * parts->classes[size_class].block_bytes);
        parts->pages[parts->page_count++] = (struct tm_snapshot_page){live[i], bytes};
        pool->live = (uint16_t)(pool->live + live[i]);
    }
    parts->pool_count++;
}

static void add_frame(struct sites_parts *parts, uint64_t address, uint32_t parent)
{
    parts->frames[parts->frame_count++] = (struct tm_snapshot_frame){address, parent, 0};
}

static void add_site(struct sites_parts *parts, uint32_t number, uint32_t frame, uint64_t blocks,
                     uint64_t bytes, uint64_t requested)
{
    struct tm_snapshot_site *site = &parts->sites[parts->site_count++];
    *site = (struct tm_snapshot_site){
        .number = number,
        .frame = frame,
        .samples = blocks * 2,
        .allocated_blocks = blocks * 2 * TM_BLOCK_UNITS,
        .allocated_bytes = bytes * 2,
        .allocated_requested = requested * 2,
        .live_samples = blocks,
        .live_blocks = blocks * TM_BLOCK_UNITS,
        .live_bytes = bytes,
        .live_requested = requested,
        .peak_blocks = blocks * 3 * TM_BLOCK_UNITS,
        .peak_bytes = bytes * 3,
        .oldest_ns = 2 * second,
        .youngest_ns = 5 * second,
    };
    site->ended_blocks[2] = blocks * TM_BLOCK_UNITS;
    site->size_samples[1] = (uint32_t)blocks * 2;
}

static void add_set(struct sites_parts *parts, uint16_t size_class, uint32_t held, uint32_t pages,
                    uint32_t a, uint32_t b)
{
    struct tm_snapshot_set *set = &parts->sets[parts->set_count++];
    *set = (struct tm_snapshot_set){.first_member = (uint32_t)parts->member_count,
                                    .members = a == b ? 1 : 2,
                                    .size_class = size_class,
                                    .pages = pages,
                                    .resident_bytes = pages * (uint64_t)PAGE,
                                    .held_bytes = held};
    parts->members[parts->member_count++] = a;
    if (a != b)
        parts->members[parts->member_count++] = b;
}

/* Sites: 1 and 4 are the same stack under two numbers, A: operator new from a vector from
 * cache_insert:120 from main; 2 is B, parse_request from main; 3 is C, log_line from main.
 * Unknown: ?. Pages with a live block are resident. Live blocks, free bytes, charges:
 *   pool 0, 64 B:   page 0: A A              3968: A 3968
 *                   page 1: A(1) A(4)        3968: 1984 to site 1, 1984 to site 4
 *                   page 2: A B B B          3840: A 960, B 2880
 *                   page 3: B C              3968: B 1984, C 1984
 *   pool 1, 1024 B: page 0: C                3072: C 3072
 *                   page 1: C ?              2048: C 1024, ? 1024
 *                   page 2: C C C C          0
 *                   page 3: none             (cached)
 * Pinned 20864 = A 8896 + B 4864 + C 6080 + ? 1024.
 * Sole: A pages 0 and 1: 7936 held, 8192 resident. B none. C pages 0 and 2 of pool 1: 3072, 8192.
 * C has a span of 20480 bytes, 12288 resident. Plan: C 20480 (3072 held), A +8192 (11008), B, which
 * completes two pages, +8192 (18816): 36864 in all, everything but the page with ?.
 * Live: A 5 blocks, 320 B (300 requested); B 4, 256 (200); C 1 * 64 + 6 * 1024 + 20480 = 26688
 * (26000). With ? of 1024 B that is all: 28288 live bytes, 26500 requested, rounding 764.
 */
struct sites_parts sites_hand_made(void)
{
    struct sites_parts parts = {
        .process = fixture_process(),
        .classes = {{64, 16384, 256, 0}, {1024, 16384, 16, 0}, {2048, 16384, 8, 0}},
        .spans = {{0x10040000, 5 * PAGE, 3 * PAGE, TM_CENSUS_SPAN_PAGES, 0}},
        .metadata = {{0x10080000, 65536, 8192, "chunk heads"},
                     {0x30000000, 65536, 20480, "sites"},
                     {0x31000000, 65536, 4096, "recorder"}},
        .has_recording = true,
        .recording = {.sites = TM_SITES_ALL,
                      .ever = 1U << TM_SITES_ALL,
                      .rate_bytes = 512 * 1024,
                      .identity_one_in = 1,
                      .identity_groups = 1,
                      .memory_bytes = 20480,
                      .peak_bytes = 81792,
                      .peak_ns = 4 * second,
                      .frame_limit = 1000,
                      .site_limit = 100,
                      .depth_limit = 64},
        .exe = "/usr/bin/service",
    };
    static const uint16_t small[4] = {2, 2, 4, 2};
    static const uint16_t large[4] = {1, 2, 4, 0};
    sites_add_pool(&parts, 0, TM_IDENTITY_CHOSEN, small);
    sites_add_pool(&parts, 1, TM_IDENTITY_CHOSEN, large);
    add_frame(&parts, 0, 0);
    add_frame(&parts, 0x3001, 0); /* 1: main */
    add_frame(&parts, 0x2001, 1);
    add_frame(&parts, 0x1002, 2);
    add_frame(&parts, 0x1001, 3); /* 4: A */
    add_frame(&parts, 0x2003, 1); /* 5: B */
    add_frame(&parts, 0x2004, 1); /* 6: C */
    add_frame(&parts, 0x3001, 0); /* 7: main once more, and what it called */
    add_frame(&parts, 0x2001, 7);
    add_frame(&parts, 0x1002, 8);
    add_frame(&parts, 0x1001, 9); /* 10: A again */
    add_site(&parts, 1, 4, 4, 256, 240);
    add_site(&parts, 2, 5, 4, 256, 200);
    add_site(&parts, 3, 6, 8, 26688, 26000);
    add_site(&parts, 4, 10, 1, 64, 60);
    parts.sites[2].span_bytes = 5 * PAGE;
    parts.sites[2].span_resident_bytes = 3 * PAGE;
    /* All of B were born where the peak is (4 s of 10: part 6), half of A. */
    parts.sites[0].born_blocks[0] = 2 * TM_BLOCK_UNITS;
    parts.sites[0].born_blocks[7] = 2 * TM_BLOCK_UNITS;
    parts.sites[1].born_blocks[6] = 4 * TM_BLOCK_UNITS;
    parts.sites[0].temporary_blocks = TM_BLOCK_UNITS;
    for (unsigned i = 0; i < TM_LIFETIMES; i++)
        parts.recording.lifetime_ns[i] =
            i == TM_LIFETIMES - 1 ? UINT64_MAX : second << (i * 2) >> 4;
    parts.recording.frame_count = (uint32_t)parts.frame_count;
    parts.recording.site_count = (uint32_t)parts.site_count;
    static const struct tm_snapshot_held held[] = {{1, 0, 0, 3968 + 1984 + 960, 3, 4},
                                                   {4, 0, 0, 1984, 1, 1},
                                                   {2, 0, 0, 2880 + 1984, 2, 4},
                                                   {3, 0, 0, 1984, 1, 1},
                                                   {3, 1, 0, 4096, 2, 2},
                                                   {0, 1, 0, 1024, 1, 1}};
    memcpy(parts.held, held, sizeof held);
    parts.held_count = sizeof held / sizeof held[0];
    add_set(&parts, 0, 3968, 1, 1, 1);
    add_set(&parts, 0, 3968, 1, 1, 4);
    add_set(&parts, 0, 3840, 1, 1, 2);
    add_set(&parts, 0, 3968, 1, 2, 3);
    add_set(&parts, 1, 3072, 2, 3, 3);
    add_set(&parts, 1, 2048, 1, 0, 3);
    return parts;
}

/* The same two pools, of which one page each was chosen, and more behind them:
 *   64 B:   page 2 of pool 0 was chosen: A 960, B 2880. A pool that was passed has pages with 1, 1,
 * 0 and 0 live: pinned 8064. So a byte stands for (15744 + 8064) / 3840 = 6.2, a page for 6 1024 B:
 * page 0 of pool 1 was chosen: C 3072, of 5120: a byte stands for 5/3, a page for 3. An older pool
 * has a page with 1 live: pinned 3072 2048 B: passed, one page with 1 live: pinned 2048, in a class
 * of which none was chosen Pinned 34048 = A 5952 + B 17856 + C 5120 + older 3072 + unchosen 2048.
 * Sole: C 5120 held, 12288 resident. Plan: C 24576 with its span, then A and B, which hold 6 pages
 * together: 49152.
 */
struct sites_parts sites_sampled(void)
{
    struct sites_parts parts = sites_hand_made();
    static const uint16_t two[4] = {1, 1, 0, 0};
    static const uint16_t one[4] = {1, 0, 0, 0};
    sites_add_pool(&parts, 0, TM_IDENTITY_PASSED, two);
    sites_add_pool(&parts, 1, TM_IDENTITY_NONE, one);
    sites_add_pool(&parts, 2, TM_IDENTITY_PASSED, one);
    parts.pools[0].chosen_page = 2;
    parts.recording.sites = TM_SITES_SAMPLE;
    parts.recording.ever = 1U << TM_SITES_SAMPLE;
    parts.recording.rate_bytes = 1000;
    parts.recording.identity_one_in = 2;
    parts.recording.identity_groups = 2;
    static const struct tm_snapshot_held held[] = {
        {1, 0, 1, 960, 1, 1}, {2, 0, 1, 2880, 1, 3}, {3, 1, 0, 3072, 1, 1}};
    memcpy(parts.held, held, sizeof held);
    parts.held_count = sizeof held / sizeof held[0];
    parts.set_count = parts.member_count = 0;
    add_set(&parts, 0, 3840, 1, 1, 2);
    add_set(&parts, 1, 3072, 1, 3, 3);
    parts.sets[0].group = 1;
    for (size_t i = 0; i < parts.site_count; i++) {
        parts.sites[i].live_bytes_variance = 1000.0 * (double)parts.sites[i].live_bytes;
        parts.sites[i].live_blocks_variance = 16;
        parts.sites[i].allocated_bytes_variance = 2000.0 * (double)parts.sites[i].live_bytes;
    }
    return parts;
}

void fixture_sites(struct fixture *fixture, const struct sites_parts *parts)
{
    /* Of the pages without a live block only the one of pool 1 is resident. */
    uint64_t resident = UINT64_C(1) << 7;
    for (size_t i = 0; i < parts->page_count && i < 32; i++)
        resident |= (uint64_t)(parts->pages[i].live_blocks > 0) << i;
    struct tm_snapshot_arena arenas[] = {
        {BASE, ~UINT64_C(0) << parts->pool_count * POOL_PAGES, 0, resident, TM_CENSUS_ARENA_POOLS,
         0},
        {0x10040000, ~UINT64_C(0x1f), 0, 7, TM_CENSUS_ARENA_SPANS, 0},
        {0x10080000, 0, 0, 3, TM_CENSUS_ARENA_META, 0},
    };
    struct tm_snapshot_map map = {.start = BASE, .end = BASE + (1 << 20), .permissions = 3};
    map.rss_bytes = ((uint64_t)__builtin_popcountll(resident) + 3 + 2) * PAGE;
    fixture_start(fixture, 0);
    fixture_section(fixture, TM_TAG_PROCESS, sizeof parts->process, &parts->process,
                    sizeof parts->process);
    FIXTURE_TEXT(fixture, TM_TAG_EXE, parts->exe);
    fixture_section(fixture, TM_TAG_MAPS, sizeof map, &map, sizeof map);
    FIXTURE_ARRAY(fixture, TM_TAG_CLASSES, parts->classes);
    FIXTURE_ARRAY(fixture, TM_TAG_ARENAS, arenas);
    fixture_section(fixture, TM_TAG_POOLS, sizeof parts->pools[0], parts->pools,
                    parts->pool_count * sizeof parts->pools[0]);
    fixture_section(fixture, TM_TAG_PAGES, sizeof parts->pages[0], parts->pages,
                    parts->page_count * sizeof parts->pages[0]);
    FIXTURE_ARRAY(fixture, TM_TAG_SPANS, parts->spans);
    FIXTURE_ARRAY(fixture, TM_TAG_METADATA, parts->metadata);
    if (parts->has_recording)
        fixture_section(fixture, TM_TAG_RECORDING, sizeof parts->recording, &parts->recording,
                        sizeof parts->recording);
    fixture_section(fixture, TM_TAG_FRAMES, sizeof parts->frames[0], parts->frames,
                    parts->frame_count * sizeof parts->frames[0]);
    fixture_section(fixture, TM_TAG_SITES, sizeof parts->sites[0], parts->sites,
                    parts->site_count * sizeof parts->sites[0]);
    fixture_section(fixture, TM_TAG_HELD, sizeof parts->held[0], parts->held,
                    parts->held_count * sizeof parts->held[0]);
    fixture_section(fixture, TM_TAG_SETS, sizeof parts->sets[0], parts->sets,
                    parts->set_count * sizeof parts->sets[0]);
    fixture_section(fixture, TM_TAG_MEMBERS, sizeof parts->members[0], parts->members,
                    parts->member_count * sizeof parts->members[0]);
    fixture_end(fixture);
}

/* Frames and sites: a tree of calls of random shape. */
static void add_random_sites(struct fixture *fixture, uint64_t *state, uint32_t count)
{
    struct fixture frames = {.bytes = NULL};
    struct fixture sites = {.bytes = NULL};
    struct tm_snapshot_frame frame = {0, 0, 0};
    fixture_raw(&frames, &frame, sizeof frame);
    for (uint32_t i = 1; i <= count; i++) {
        frame = (struct tm_snapshot_frame){0x2000 + fixture_next(state) % 64,
                                           (uint32_t)(fixture_next(state) % i), 0};
        struct tm_snapshot_site site = {.number = i,
                                        .frame = i,
                                        .samples = 3,
                                        .live_samples = 1,
                                        .live_blocks = TM_BLOCK_UNITS,
                                        .live_bytes = fixture_next(state) % 100000};
        site.allocated_bytes = site.live_bytes * 3;
        site.allocated_blocks = 3 * TM_BLOCK_UNITS;
        fixture_raw(&frames, &frame, sizeof frame);
        fixture_raw(&sites, &site, sizeof site);
    }
    fixture_section(fixture, TM_TAG_FRAMES, sizeof frame, frames.bytes, frames.size);
    fixture_section(fixture, TM_TAG_SITES, sizeof(struct tm_snapshot_site), sites.bytes,
                    sites.size);
    fixture_free(&frames);
    fixture_free(&sites);
}

static int by_number(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

void fixture_random_sites(struct fixture *fixture, uint64_t seed, uint32_t sites, uint32_t sets,
                          uint32_t members)
{
    struct sites_parts parts = sites_sampled();
    struct fixture held = {.bytes = NULL};
    struct fixture lists = {.bytes = NULL};
    struct fixture numbers = {.bytes = NULL};
    parts.recording.identity_groups = 16;
    for (uint32_t i = 0; i < sets; i++) {
        struct tm_snapshot_set set = {
            .first_member = (uint32_t)(numbers.size / sizeof(uint32_t)),
            .members = 1 + (uint32_t)(fixture_next(&seed) % members),
            .size_class = (uint16_t)(fixture_next(&seed) % 2),
            .group = (uint16_t)(fixture_next(&seed) % 16),
            .pages = 1,
            .resident_bytes = PAGE,
            .held_bytes = fixture_next(&seed) % PAGE,
        };
        uint32_t list[TM_SET_MEMBERS] = {0};
        for (uint32_t k = 0; k < set.members; k++)
            list[k] = (uint32_t)(fixture_next(&seed) % (sites + 1));
        qsort(list, set.members, sizeof list[0], by_number);
        fixture_raw(&numbers, list, set.members * sizeof list[0]);
        struct tm_snapshot_held charge = {list[0], set.size_class, set.group, set.held_bytes, 1, 1};
        fixture_raw(&lists, &set, sizeof set);
        fixture_raw(&held, &charge, sizeof charge);
    }
    fixture_start(fixture, 0);
    fixture_section(fixture, TM_TAG_PROCESS, sizeof parts.process, &parts.process,
                    sizeof parts.process);
    FIXTURE_ARRAY(fixture, TM_TAG_CLASSES, parts.classes);
    struct tm_snapshot_arena arena = {BASE,         ~UINT64_C(0xfffff),    0,
                                      ~UINT64_C(0), TM_CENSUS_ARENA_POOLS, 0};
    fixture_section(fixture, TM_TAG_ARENAS, sizeof arena, &arena, sizeof arena);
    fixture_section(fixture, TM_TAG_POOLS, sizeof parts.pools[0], parts.pools,
                    parts.pool_count * sizeof parts.pools[0]);
    fixture_section(fixture, TM_TAG_PAGES, sizeof parts.pages[0], parts.pages,
                    parts.page_count * sizeof parts.pages[0]);
    fixture_section(fixture, TM_TAG_RECORDING, sizeof parts.recording, &parts.recording,
                    sizeof parts.recording);
    add_random_sites(fixture, &seed, sites);
    fixture_section(fixture, TM_TAG_HELD, sizeof(struct tm_snapshot_held), held.bytes, held.size);
    fixture_section(fixture, TM_TAG_SETS, sizeof(struct tm_snapshot_set), lists.bytes, lists.size);
    fixture_section(fixture, TM_TAG_MEMBERS, sizeof(uint32_t), numbers.bytes, numbers.size);
    fixture_end(fixture);
    fixture_free(&held);
    fixture_free(&lists);
    fixture_free(&numbers);
}
