/* The allocator through its door: what each call promises, and that pages go back. One thread. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocator/census.h"
#include "allocator/layout.h"
#include "allocator/tidemark_alloc.h"

#define MIB ((size_t)1024 * 1024)

static uint64_t in_use(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    return now.pool_bytes + now.span_bytes + now.mapping_bytes;
}

static uint64_t cached(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    return now.cached_bytes;
}

static bool all_bytes(const char *bytes, char value, size_t size)
{
    return size == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Sizes around every border that the allocator has. */
static const size_t borders[] = {
    0,      1,      15,      16,      17,      128,     129,      1024,
    1025,   4096,   4097,    32767,   32768,   32769,   65536,    262143,
    262144, 262145, 1048576, 8388607, 8388608, 8388609, 20000000,
};
enum { BORDERS = sizeof borders / sizeof borders[0] };

static void every_size_is_aligned_and_writable(void **state)
{
    (void)state;
    for (int i = 0; i < BORDERS; i++) {
        char *block = tm_malloc(borders[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(tm_usable_size(block) >= borders[i]);
        memset(block, 0xa5, tm_usable_size(block));
        tm_free(block);
    }
}

static void calloc_is_zero_after_dirty_reuse(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < BORDERS; i++) {
            char *block = tm_calloc(1, borders[i]);
            assert_non_null(block);
            assert_true(all_bytes(block, 0, borders[i]));
            memset(block, 0xff, tm_usable_size(block));
            tm_free(block);
        }
}

/* Purged pages come back as zero, and what reaches into them from a neighbour is not. */
static void calloc_is_zero_after_purging(void **state)
{
    (void)state;
    static const size_t sizes[] = {48, 208, 1152, 3072, 5120, 9216, 28672};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        enum { COUNT = 400 };
        char *blocks[COUNT];
        unsigned seed = 7;
        for (int round = 0; round < 6; round++) {
            for (int i = 0; i < COUNT; i++) {
                blocks[i] = tm_calloc(1, sizes[s]);
                assert_non_null(blocks[i]);
                if (!all_bytes(blocks[i], 0, sizes[s]))
                    fail_msg("size %zu round %d block %d is not zero", sizes[s], round, i);
                memset(blocks[i], 0xee, sizes[s]);
            }
            /* Leave a sparse few, so that pools are purged page by page. */
            for (int i = 0; i < COUNT; i++)
                if (rand_r(&seed) % 8 != 0) {
                    tm_free(blocks[i]);
                    blocks[i] = NULL;
                }
            tm_trim();
            for (int i = 0; i < COUNT; i++)
                if (blocks[i] != NULL) {
                    assert_true(all_bytes(blocks[i], (char)0xee, sizes[s]));
                    if (round % 2 == 0) {
                        tm_free(blocks[i]);
                        blocks[i] = NULL;
                    }
                }
            for (int i = 0; i < COUNT; i++)
                tm_free(blocks[i]);
        }
    }
}

static void alignment_up_to_a_gigabyte(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 1024 * MIB; alignment *= 2)
        for (size_t size = 1; size <= 300000; size = size * 7 + 5) {
            char *block = tm_aligned(alignment, size);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignment, 0);
            assert_true(tm_usable_size(block) >= size);
            block[0] = block[size - 1] = 1;
            tm_free(block);
        }
}

static void what_cannot_be_met_is_null_and_enomem(void **state)
{
    (void)state;
    const size_t too_large[] = {SIZE_MAX, SIZE_MAX - 15, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX,
                                (size_t)1 << 47};
    for (size_t i = 0; i < sizeof too_large / sizeof too_large[0]; i++) {
        errno = 0;
        assert_null(tm_malloc(too_large[i]));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(tm_calloc(too_large[i], 1));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(tm_aligned(64, too_large[i]));
        assert_int_equal(errno, ENOMEM);
    }
    errno = 0;
    assert_null(tm_calloc((size_t)1 << 40, (size_t)1 << 40));
    assert_int_equal(errno, ENOMEM);
    char *block = tm_malloc(100);
    strcpy(block, "kept");
    assert_null(tm_realloc(block, SIZE_MAX));
    assert_string_equal(block, "kept");
    tm_free(block);
}

static void realloc_keeps_contents_on_every_way(void **state)
{
    (void)state;
    for (int from = 1; from < BORDERS; from++)
        for (int to = 1; to < BORDERS; to++) {
            size_t small = borders[from] < borders[to] ? borders[from] : borders[to];
            char *block = tm_malloc(borders[from]);
            memset(block, 0x3c, borders[from]);
            block = tm_realloc(block, borders[to]);
            assert_non_null(block);
            assert_true(all_bytes(block, 0x3c, small));
            assert_true(tm_usable_size(block) >= borders[to]);
            memset(block, 1, borders[to]);
            tm_free(block);
        }
}

static void realloc_up_to_the_usable_size_stays(void **state)
{
    (void)state;
    for (int i = 1; i < BORDERS; i++) {
        char *block = tm_malloc(borders[i]);
        assert_ptr_equal(tm_realloc(block, tm_usable_size(block)), block);
        tm_free(block);
    }
}

/* A lone growing span finds its neighbours free. */
static void spans_grow_in_place(void **state)
{
    (void)state;
    char *run = tm_malloc(40 * 1024);
    assert_ptr_equal(tm_realloc(run, 200 * 1024), run);
    tm_free(run);
    char *arenas = tm_malloc(300 * 1024);
    assert_ptr_equal(tm_realloc(arenas, 900 * 1024), arenas);
    tm_free(arenas);
}

/* Pages that were purged and taken again within a second earn a larger budget: let that be over. */
static void let_the_budget_settle(void)
{
    tm_trim();
    nanosleep(&(struct timespec){2, 200000000}, NULL);
}

static void a_freed_peak_goes_back(void **state)
{
    (void)state;
    let_the_budget_settle();
    enum { COUNT = 100000 };
    static char *blocks[COUNT];
    uint64_t before = in_use();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = tm_malloc(16 + (size_t)i % 497);
        blocks[i][0] = 1;
    }
    assert_true(in_use() > before + 20 * MIB);
    for (int i = 0; i < COUNT; i++)
        tm_free(blocks[i]);
    /* What stays in pools: for each of the 24 classes one that feeds the bin, and one empty.
     * Cached: the budget. */
    assert_true(in_use() <= before + 2 * 24 * TM_SLOT);
    assert_true(cached() <= MIB);
    tm_trim();
    assert_int_equal(cached(), 0);
}

/* One block of each page survives; then one of every fourth page. */
static void free_pages_inside_pools_go_back(void **state)
{
    (void)state;
    let_the_budget_settle();
    enum { SIZE = 256, COUNT = 64 * 1024 };
    static char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        blocks[i] = tm_malloc(SIZE);
    struct tm_census_counters start, end;
    tm_census_counters(&start);
    for (int i = 0; i < COUNT; i++)
        if ((uintptr_t)blocks[i] / TM_PAGE % 4 != 0 || (uintptr_t)blocks[i] % TM_PAGE != 0) {
            tm_free(blocks[i]);
            blocks[i] = NULL;
        }
    tm_census_counters(&end);
    /* Three pages of four hold nothing: 12 of 16 MiB, less what may be cached. */
    assert_true(end.purged_bytes - start.purged_bytes >= 10 * MIB);
    for (int i = 0; i < COUNT; i++)
        tm_free(blocks[i]);
}

static void null_has_no_usable_size(void **state)
{
    (void)state;
    assert_int_equal(tm_usable_size(NULL), 0);
}

struct sums {
    uint64_t live, pools, spans;
};

static void sum_pool(const struct tm_census_pool *pool, void *context)
{
    struct sums *sums = context;
    uint64_t in_pages = 0;
    for (unsigned page = 0; page < pool->pages; page++)
        in_pages += pool->live_bytes[page];
    /* Every live byte is in exactly one page. */
    assert_int_equal(in_pages,
                     (uint64_t)pool->live * tm_census_class_at(pool->size_class).block_bytes);
    sums->live += in_pages;
    sums->pools++;
}

static void sum_span(const struct tm_census_span *span, void *context)
{
    struct sums *sums = context;
    if (span->kind != TM_CENSUS_SPAN_CACHED)
        sums->spans += span->bytes;
}

static struct sums census(void)
{
    struct sums sums = {0};
    struct tm_census_visitor visitor = {.pool = sum_pool, .span = sum_span};
    assert_int_equal(tm_census_walk(&visitor, &sums), 0);
    return sums;
}

static void the_census_counts_every_live_block(void **state)
{
    (void)state;
    struct sums before = census();
    enum { COUNT = 5000 };
    static char *blocks[COUNT];
    uint64_t small = 0, large = 0;
    unsigned seed = 3;
    for (int i = 0; i < COUNT; i++) {
        size_t size = rand_r(&seed) % 50 == 0 ? 33000u + (size_t)rand_r(&seed) % 3000000
                                              : (size_t)rand_r(&seed) % 20000;
        blocks[i] = tm_malloc(size);
        if (size <= TM_SMALL_MAX)
            small += tm_usable_size(blocks[i]);
        else
            large += tm_usable_size(blocks[i]);
    }
    struct sums during = census();
    assert_int_equal(during.live - before.live, small);
    assert_int_equal(during.spans - before.spans, large);
    for (int i = 0; i < COUNT; i += 2) {
        if (tm_usable_size(blocks[i]) <= TM_SMALL_MAX)
            small -= tm_usable_size(blocks[i]);
        tm_free(blocks[i]);
    }
    assert_int_equal(census().live - before.live, small);
    for (int i = 1; i < COUNT; i += 2)
        tm_free(blocks[i]);
    assert_int_equal(census().live, before.live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_grow_in_place), /* first: while there is room */
        cmocka_unit_test(every_size_is_aligned_and_writable),
        cmocka_unit_test(calloc_is_zero_after_dirty_reuse),
        cmocka_unit_test(calloc_is_zero_after_purging),
        cmocka_unit_test(alignment_up_to_a_gigabyte),
        cmocka_unit_test(what_cannot_be_met_is_null_and_enomem),
        cmocka_unit_test(realloc_keeps_contents_on_every_way),
        cmocka_unit_test(realloc_up_to_the_usable_size_stays),
        cmocka_unit_test(a_freed_peak_goes_back),
        cmocka_unit_test(free_pages_inside_pools_go_back),
        cmocka_unit_test(null_has_no_usable_size),
        cmocka_unit_test(the_census_counts_every_live_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
