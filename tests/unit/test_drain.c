/* Pages of pools that drain: those without a live block go back by themselves, and those that go
 * come back as zero, also where blocks reach from page to page. What is resident is asked of the
 * kernel. */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "allocator/cache.h"
#include "allocator/layout.h"
#include "allocator/sizeclass.h"
#include "allocator/tidemark_alloc.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/filled.h"
#include "tests/unit/look.h"

#define MIB ((size_t)1024 * 1024)

/* Frees all but `kept` of a thousand, in random order. */
static void free_at_random(size_t count, unsigned kept, unsigned seed)
{
    static uint32_t order[MOST];
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)rand_r(&seed) % (i + 1);
        uint32_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    for (size_t i = 0; i < count - count * kept / 1000; i++) {
        tm_free(blocks[order[i]]);
        blocks[order[i]] = NULL;
    }
}

/* Nothing is in use, and no bonus for what bounced is left. */
static int start_afresh(void **state)
{
    (void)state;
    look_at_small_pages();
    free_all(MOST);
    tm_trim();
    fake_clock_pass(10000);
    tm_free(tm_malloc(1)); /* a slow path, which sees that */
    tm_trim();
    fake_clock_pass(10000);
    assert_int_equal(look_around().live, 0);
    return 0;
}

/* Free pages of pools that may be resident: the heap's part of the budget, or 32 pages, and those
 * of the pool that feeds the bin. Pages of blocks larger than a page are counted by the blocks that
 * start in them, about. */
static size_t most_empty_pages(size_t size)
{
    size_t pages = tm_cache_budget() / TM_PAGE / 2;
    pages = (pages < 32 ? 32 : pages) + tm_cache_bonus() / TM_PAGE;
    return pages * (size > TM_PAGE ? 2 : 1) + 2 * TM_SLOT_PAGES;
}

static void free_pages_are_purged_or_within_the_budget(void **state)
{
    (void)state;
    static const size_t sizes[] = {16,   48,   64,   208,  512,  1024,  1152,
                                   3072, 4096, 5120, 7168, 9216, 12288, 28672};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        start_afresh(state);
        size_t size = sizes[s];
        size_t count = 32 * MIB / size < MOST ? 32 * MIB / size : MOST;
        fill(size, count);
        free_at_random(count, 50, (unsigned)s + 1);
        struct look look = look_around();
        assert_int_equal(look.live, count * 50 / 1000);
        if (look.empty_resident > most_empty_pages(size))
            fail_msg("size %zu: %lu pages without a live block are resident, and %zu may be", size,
                     look.empty_resident, most_empty_pages(size));
        assert_true(look_counters().cached_bytes <= tm_cache_budget() + tm_cache_bonus());
        check_contents(size, count);
        /* And the rest of them goes when asked. */
        tm_trim();
        look = look_around();
        assert_int_equal(look.empty_resident, 0);
        assert_int_equal(look.empty_behind_live, 0);
        assert_int_equal(look_counters().cached_bytes, 0);
        check_contents(size, count);
        free_all(count);
        tm_trim();
        assert_int_equal(look_counters().pool_bytes, 0);
    }
}

/* What the counters say of pools is what the kernel says: pages that they call clean are not
 * resident. */
static void the_counters_tell_what_is_resident(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 1152, 5120, 9216};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        start_afresh(state);
        size_t count = 8 * MIB / sizes[s];
        assert_true(count <= MOST);
        fill(sizes[s], count);
        size_t resident = 0;
        for (int round = 0; round < 4; round++) {
            free_at_random(count, 30, (unsigned)round);
            tm_trim();
            for (size_t i = 0; i < count; i++)
                if (blocks[i] == NULL && i % 7 == 0) {
                    blocks[i] = tm_malloc(sizes[s]);
                    memset(blocks[i], mark(i), sizes[s]);
                }
        }
        free_at_random(count, 30, 9);
        tm_trim();
        /* Every page that a live block touches. */
        static unsigned char seen[MOST];
        memset(seen, 0, sizeof seen);
        uintptr_t low = UINTPTR_MAX;
        for (size_t i = 0; i < count; i++)
            if (blocks[i] != NULL && (uintptr_t)blocks[i] < low)
                low = (uintptr_t)blocks[i];
        for (size_t i = 0; i < count; i++)
            if (blocks[i] != NULL)
                for (uintptr_t page = (uintptr_t)blocks[i] / TM_PAGE;
                     page <= ((uintptr_t)blocks[i] + sizes[s] - 1) / TM_PAGE; page++) {
                    size_t number = page - low / TM_PAGE;
                    assert_true(number < MOST);
                    resident += seen[number] == 0;
                    seen[number] = 1;
                }
        struct look look = look_around();
        assert_int_equal(look_counters().pool_bytes, resident * TM_PAGE);
        assert_int_equal(look.empty_resident, 0);
        assert_int_equal(look.empty_behind_live, 0);
        free_all(count);
    }
}

/* ---- blocks that reach into the next page ---- */

/* A free block's tail lies on a page that was purged. Handed out, it makes that page resident
 * again: the next purge must take it, and who gets the page's own blocks must not find the old
 * bytes. Returns how many such there were. */
static size_t straddle(const struct tm_class *class)
{
    size_t size = class->block_size, count = (size_t) class->capacity * 4, tails = 0;
    assert_true(count <= MOST);
    for (int parity = 0; parity < 2; parity++) {
        fill(size, count);
        /* Of each two pages all blocks that start in one go, and of the other all but the first. */
        for (size_t i = 0; i < count; i++) {
            uintptr_t start = (uintptr_t)blocks[i];
            bool first = start % TM_PAGE < size;
            bool reaches = (start + size - 1) / TM_PAGE != start / TM_PAGE;
            if (start / TM_PAGE % 2 == (unsigned)parity && first && (!reaches || size > TM_PAGE))
                continue;
            tails += reaches;
            tm_free(blocks[i]);
            blocks[i] = NULL;
        }
        tm_trim();
        assert_int_equal(look_around().empty_resident, 0);
        check_contents(size, count);
        /* Some are handed out again, filled and freed: their pages are dirty once more. */
        for (size_t part = 2; part <= 4; part++) {
            static unsigned char *again[MOST];
            size_t taken = 0;
            for (size_t i = 0; i < count / part; i++)
                if (blocks[i] == NULL) {
                    again[taken] = tm_calloc(1, size);
                    if (!all_bytes(again[taken], 0, size))
                        fail_msg(
                            "size %zu: calloc of a block that lies on purged pages is not zero",
                            size);
                    memset(again[taken++], 0xee, size);
                }
            check_contents(size, count);
            for (size_t i = 0; i < taken; i++)
                tm_free(again[i]);
            if (part == 3)
                continue; /* what is taken next was not purged since */
            tm_trim();
            assert_int_equal(look_around().empty_resident, 0);
        }
        check_contents(size, count);
        free_all(count);
        tm_trim();
        assert_int_equal(look_counters().pool_bytes, 0);
    }
    return tails;
}

static void straddling_blocks_of_every_class(void **state)
{
    start_afresh(state);
    size_t tails = 0;
    for (const struct tm_class *class = tm_classes; class < tm_classes + TM_CLASSES; class ++)
        tails += straddle(class);
    assert_true(tails > 1000); /* or the test tests nothing */
}

/* ---- calloc ---- */

/* Sparse survivors hold the pools, so that pages go one by one, by the budget and by a trim. */
static void calloc_is_zero_after_a_purge_in_every_class(void **state)
{
    start_afresh(state);
    uint64_t purged = look_counters().purged_bytes;
    for (const struct tm_class *class = tm_classes; class < tm_classes + TM_CLASSES; class ++) {
        size_t size = class->block_size;
        size_t count = MIB / size < 2000 ? MIB / size : 2000;
        fill(size, count);
        for (unsigned round = 0; round < 4; round++) {
            free_at_random(count, 60, round + 1);
            if (round % 2 != 0)
                tm_trim();
            check_contents(size, count);
            for (size_t i = 0; i < count; i++) {
                if (blocks[i] != NULL)
                    continue;
                blocks[i] = tm_calloc(1, size);
                if (!all_bytes(blocks[i], 0, size))
                    fail_msg("size %zu, round %u: calloc is not zero", size, round);
                memset(blocks[i], mark(i), size);
            }
            check_contents(size, count);
        }
        free_all(count);
    }
    assert_true(look_counters().purged_bytes - purged > 20 * MIB);
}

/* ---- what stays free in pools is used again ---- */

/* Every page keeps live blocks, so none goes; a purge has looked at them all. */
static void blocks_that_a_purge_left_are_handed_out_again(void **state)
{
    static const size_t sizes[] = {16, 64, 208, 512, 960};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        start_afresh(state);
        size_t count = 8 * MIB / sizes[s] < MOST ? 8 * MIB / sizes[s] : MOST;
        fill(sizes[s], count);
        uint64_t full = look_counters().pool_bytes;
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < count; i += 2) {
                tm_free(blocks[i]);
                blocks[i] = NULL;
            }
            tm_trim();
            for (size_t i = 0; i < count; i += 2) {
                blocks[i] = tm_malloc(sizes[s]);
                memset(blocks[i], mark(i), sizes[s]);
            }
            check_contents(sizes[s], count);
            assert_true(look_counters().pool_bytes <= full + TM_SLOT);
        }
        free_all(count);
    }
}

/* Frees all but a few, which hold the pools, and allocates again, a tenth of a second each. Returns
 * what was purged. */
static uint64_t one_cycle(size_t size, size_t count)
{
    uint64_t purged = look_counters().purged_bytes;
    for (size_t i = 0; i < count; i++)
        if (i % 251 != 7) {
            tm_free(blocks[i]);
            blocks[i] = NULL;
        }
    fake_clock_pass(100);
    for (size_t i = 0; i < count; i++)
        if (blocks[i] == NULL) {
            blocks[i] = tm_malloc(size);
            memset(blocks[i], mark(i), size);
        }
    fake_clock_pass(100);
    return look_counters().purged_bytes - purged;
}

static void pages_of_pools_that_bounce_stay_for_a_while(void **state)
{
    enum { SIZE = 64, COUNT = 8 * 1024 * 1024 / SIZE };
    static_assert((int)COUNT <= (int)MOST, "there is room");
    start_afresh(state);
    fill(SIZE, COUNT);
    assert_true(one_cycle(SIZE, COUNT) > MIB);
    for (int round = 0; round < 4; round++)
        one_cycle(SIZE, COUNT);
    for (int round = 0; round < 20; round++)
        assert_int_equal(one_cycle(SIZE, COUNT), 0);
    check_contents(SIZE, COUNT);
    assert_true(tm_cache_bonus() >= MIB);
    /* Then the program frees, and does other things. */
    for (size_t i = 0; i < COUNT; i++)
        if (i % 251 != 7) {
            tm_free(blocks[i]);
            blocks[i] = NULL;
        }
    for (int second = 0; second < 4; second++) {
        fake_clock_pass(1001);
        static void *others[2000];
        for (size_t i = 0; i < 2000; i++)
            others[i] = tm_malloc(700);
        for (size_t i = 0; i < 2000; i++)
            tm_free(others[i]);
    }
    assert_true(tm_cache_bonus() < MIB); /* the others bounce a little */
    assert_true(look_around().empty_resident <= most_empty_pages(SIZE));
    check_contents(SIZE, COUNT);
    free_all(COUNT);
}

/* ---- two threads ---- */

struct part {
    size_t count, first, step;
};

/* Blocks 7, 258, … survive, so that no pool goes whole. */
static void free_part(const struct part *part)
{
    for (size_t i = part->first; i < part->count; i += part->step)
        if (blocks[i] != NULL && i % 251 != 7) {
            tm_free(blocks[i]);
            blocks[i] = NULL;
        }
}

static void *other_thread(void *context)
{
    free_part(context);
    tm_thread_exit();
    return NULL;
}

static void free_in_a_thread(size_t count, size_t first, size_t step)
{
    struct part part = {count, first, step};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &part), 0);
    pthread_join(thread, NULL);
}

/* What is resident without a live block is within twice the budget, and goes on a trim. */
static void check_empty_pages(const char *when, size_t size, size_t count)
{
    check_contents(size, count);
    struct look look = look_around();
    if (look.empty_resident > 2 * most_empty_pages(size))
        fail_msg("size %zu, %s: %lu pages without a live block are resident", size, when,
                 look.empty_resident);
    tm_trim();
    look = look_around();
    if (look.empty_resident != 0 || look.remote != 0)
        fail_msg("size %zu, %s: after a trim %lu pages without a live block are resident, %lu "
                 "blocks not collected",
                 size, when, look.empty_resident, look.remote);
    check_contents(size, count);
    free_all(count);
    tm_trim();
    assert_int_equal(look_counters().pool_bytes, 0);
}

static const size_t two_thread_sizes[] = {64, 208, 512, 1152, 3072};
enum { TWO_THREAD_SIZES = sizeof two_thread_sizes / sizeof two_thread_sizes[0] };

static size_t two_thread_count(size_t size)
{
    return 16 * MIB / size < MOST ? 16 * MIB / size : MOST;
}

/* The other thread frees one of so many neighbours, the owner the rest: when the owner frees the
 * last of a page, the page has blocks that only wait to be collected. With `owned` the owner has
 * freed some before, and owns the pools again. */
static void the_owners_frees_find_what_others_freed(void **state)
{
    for (size_t s = 0; s < TWO_THREAD_SIZES; s++)
        for (size_t step = 2; step <= 6; step += 2)
            for (int owned = 0; owned < 2; owned++) {
                start_afresh(state);
                size_t size = two_thread_sizes[s], count = two_thread_count(size);
                fill(size, count);
                if (owned != 0)
                    free_part(&(struct part){count, 0, 2 * step});
                free_in_a_thread(count, 1, step);
                for (size_t first = 0; first < step; first++)
                    free_part(&(struct part){count, first, step});
                check_empty_pages(owned != 0 ? "own pools, freed in turns"
                                             : "full pools, freed in turns",
                                  size, count);
            }
}

/* The other thread frees all but the survivors, of pools that are full and nobody's. */
static void the_owners_frees_need_not_come(void **state)
{
    for (size_t s = 0; s < TWO_THREAD_SIZES; s++) {
        start_afresh(state);
        size_t size = two_thread_sizes[s], count = two_thread_count(size);
        fill(size, count);
        free_in_a_thread(count, 0, 1);
        check_empty_pages("full pools, freed by another thread", size, count);
    }
}

/* The same of pools that the owner has back: he goes on with blocks of another size only. */
static void the_owners_frees_of_other_sizes_do(void **state)
{
    for (size_t s = 0; s < TWO_THREAD_SIZES; s++) {
        start_afresh(state);
        size_t size = two_thread_sizes[s], count = two_thread_count(size);
        fill(size, count);
        free_part(&(struct part){count, 0, 9});
        free_in_a_thread(count, 0, 1);
        static void *others[2000];
        for (size_t i = 0; i < 2000; i++)
            others[i] = tm_malloc(800);
        for (size_t i = 0; i < 2000; i++)
            tm_free(others[i]);
        check_empty_pages("own pools, freed by another thread", size, count);
    }
}

/* usage: test_drain [PATTERN]      only the tests whose names match */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_pages_are_purged_or_within_the_budget),
        cmocka_unit_test(the_counters_tell_what_is_resident),
        cmocka_unit_test(straddling_blocks_of_every_class),
        cmocka_unit_test(calloc_is_zero_after_a_purge_in_every_class),
        cmocka_unit_test(blocks_that_a_purge_left_are_handed_out_again),
        cmocka_unit_test(pages_of_pools_that_bounce_stay_for_a_while),
        cmocka_unit_test(the_owners_frees_find_what_others_freed),
        cmocka_unit_test(the_owners_frees_need_not_come),
        cmocka_unit_test(the_owners_frees_of_other_sizes_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
