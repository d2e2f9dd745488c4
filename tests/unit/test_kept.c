/* Mappings of freed large blocks: kept once they were seen to come back, and no longer than that
 * pays (kept.h). The clock is the test's own. The policy is tested with addresses that nobody
 * touches, the rest through the door. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "allocator/cache.h"
#include "allocator/kept.h"
#include "allocator/large.h"
#include "allocator/layout.h"
#include "allocator/tidemark_alloc.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/look.h"

#define MIB ((size_t)1024 * 1024)

static size_t kept_bytes(void)
{
    return atomic_load_explicit(&tm_kept_bytes, memory_order_relaxed);
}

/* Nothing is kept, and nothing earned. */
static int start_afresh(void **state)
{
    (void)state;
    look_at_small_pages();
    tm_trim();
    fake_clock_pass(10000);
    size_t have;
    assert_null(tm_kept_expired(false, &have));
    assert_int_equal(kept_bytes(), 0);
    return 0;
}

/* Makes it look as if so much had gone and come back. */
static void earn(size_t bytes)
{
    size_t have;
    assert_false(tm_kept_put((void *)MIB, bytes));
    assert_null(tm_kept_take(bytes, &have));
}

/* Takes out the addresses that the test put in, or the next trim would unmap them. */
static size_t take_all(void)
{
    size_t have, count = 0;
    while (tm_kept_expired(true, &have) != NULL)
        count++;
    return count;
}

static void *place(size_t number)
{
    return (void *)(number * 1024 * MIB);
}

/* ---- the policy ---- */

static void nothing_is_kept_before_a_bounce(void **state)
{
    (void)state;
    size_t have;
    for (size_t i = 1; i < 10; i++)
        assert_false(tm_kept_put(place(i), 16 * MIB));
    assert_int_equal(kept_bytes(), 0);
    fake_clock_pass(2500);
    /* Taken so late that it is another phase of the program. */
    assert_null(tm_kept_take(16 * MIB, &have));
    assert_false(tm_kept_put(place(1), 16 * MIB));
}

static void as_much_is_kept_as_came_back(void **state)
{
    (void)state;
    earn(30 * MIB);
    assert_true(tm_kept_put(place(1), 20 * MIB));
    assert_false(tm_kept_put(place(2), 11 * MIB));
    assert_true(tm_kept_put(place(3), 10 * MIB));
    assert_false(tm_kept_put(place(4), TM_PAGE));
    assert_int_equal(kept_bytes(), 30 * MIB);
    assert_int_equal(take_all(), 2);
    assert_int_equal(kept_bytes(), 0);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    enum { PLACES = 32 };
    earn(1024 * MIB);
    for (size_t i = 1; i <= PLACES; i++)
        assert_true(tm_kept_put(place(i), MIB));
    assert_false(tm_kept_put(place(PLACES + 1), MIB));
    assert_int_equal(take_all(), PLACES);
}

static void the_nearest_size_is_taken(void **state)
{
    (void)state;
    size_t have = 0;
    earn(200 * MIB);
    assert_true(tm_kept_put(place(1), 40 * MIB));
    assert_true(tm_kept_put(place(2), 10 * MIB));
    assert_true(tm_kept_put(place(3), 20 * MIB));
    assert_true(tm_kept_put(place(4), 12 * MIB));
    assert_ptr_equal(tm_kept_take(15 * MIB, &have),
                     place(3)); /* the smallest that is large enough */
    assert_int_equal(have, 20 * MIB);
    assert_ptr_equal(tm_kept_take(12 * MIB, &have), place(4)); /* the very size */
    assert_int_equal(have, 12 * MIB);
    assert_ptr_equal(tm_kept_take(50 * MIB, &have), place(1)); /* else the largest */
    assert_int_equal(have, 40 * MIB);
    assert_ptr_equal(tm_kept_take(50 * MIB, &have), place(2));
    assert_int_equal(have, 10 * MIB);
    assert_null(tm_kept_take(10 * MIB, &have));
    assert_int_equal(kept_bytes(), 0);
}

static void what_is_not_taken_expires(void **state)
{
    (void)state;
    size_t have = 0;
    earn(30 * MIB);
    assert_true(tm_kept_put(place(1), 20 * MIB));
    assert_null(tm_kept_expired(false, &have));
    fake_clock_pass(1001); /* the second in which it came */
    assert_null(tm_kept_expired(false, &have));
    fake_clock_pass(1001); /* a second in which nobody took it */
    assert_ptr_equal(tm_kept_expired(false, &have), place(1));
    assert_int_equal(have, 20 * MIB);
    assert_null(tm_kept_expired(false, &have));
    assert_int_equal(kept_bytes(), 0);
}

static void what_is_taken_in_turns_is_kept(void **state)
{
    (void)state;
    size_t have = 0;
    earn(30 * MIB);
    for (int i = 0; i < 100; i++) {
        assert_true(tm_kept_put(place(1), 20 * MIB));
        assert_null(tm_kept_expired(false, &have));
        fake_clock_pass(150);
        assert_ptr_equal(tm_kept_take(20 * MIB, &have), place(1));
        fake_clock_pass(150);
    }
    assert_int_equal(kept_bytes(), 0);
}

static void idleness_ends_it(void **state)
{
    (void)state;
    size_t have;
    earn(30 * MIB);
    assert_true(tm_kept_put(place(1), 20 * MIB));
    fake_clock_pass(2001);
    assert_ptr_equal(tm_kept_expired(false, &have), place(1));
    assert_false(tm_kept_put(place(1), 20 * MIB));
}

/* ---- through the door ---- */

/* Allocates and frees so that a mapping of the size is kept; its pages are resident and full of
 * `value`. */
static char *keep_one(size_t bytes, int value)
{
    char *block = NULL;
    for (int i = 0; i < 2; i++) {
        block = tm_malloc(bytes);
        assert_non_null(block);
        memset(block, value, bytes);
        tm_free(block);
    }
    assert_true(kept_bytes() >= bytes);
    return block;
}

static void a_block_is_given_back_once_and_then_kept(void **state)
{
    (void)state;
    char *first = tm_malloc(16 * MIB);
    memset(first, 1, 16 * MIB);
    tm_free(first);
    assert_int_equal(kept_bytes(), 0);
    assert_int_equal(look_resident(first, 16 * MIB), 0);
    char *second = tm_malloc(16 * MIB);
    memset(second, 2, 16 * MIB);
    tm_free(second);
    assert_int_equal(kept_bytes(), 16 * MIB);
    char *third = tm_malloc(16 * MIB);
    assert_ptr_equal(third, second);
    assert_int_equal(kept_bytes(), 0);
    assert_int_equal(look_resident(third, 16 * MIB),
                     16 * MIB / TM_PAGE); /* no fault is left to take */
    tm_free(third);
}

static void a_kept_one_is_cut_to_size_or_grown(void **state)
{
    (void)state;
    char *kept = keep_one(40 * MIB, 3);
    char *smaller = tm_malloc(24 * MIB + 1);
    assert_ptr_equal(smaller, kept);
    assert_int_equal(tm_usable_size(smaller), 24 * MIB + TM_PAGE);
    assert_int_equal(look_resident(kept + 24 * MIB + TM_PAGE, 16 * MIB - TM_PAGE), 0);
    tm_free(smaller);
    assert_int_equal(kept_bytes(), 24 * MIB + TM_PAGE);
    char *larger = tm_malloc(32 * MIB);
    assert_int_equal(tm_usable_size(larger), 32 * MIB);
    assert_int_equal(look_resident(larger, 32 * MIB), 24 * MIB / TM_PAGE + 1);
    memset(larger, 1, 32 * MIB);
    tm_free(larger);
}

static void calloc_is_zero_though_dirty_ones_are_kept(void **state)
{
    (void)state;
    keep_one(16 * MIB, 0xff);
    char *block = tm_calloc(1, 16 * MIB);
    assert_true(all_bytes(block, 0, 16 * MIB));
    char *smaller = tm_calloc(4, 3 * MIB);
    assert_true(all_bytes(smaller, 0, 12 * MIB));
    tm_free(smaller);
    tm_free(block);
}

static void an_aligned_block_is_aligned_though_others_are_kept(void **state)
{
    (void)state;
    keep_one(48 * MIB, 0xff);
    char *block = tm_aligned(16 * MIB, 16 * MIB);
    assert_int_equal((uintptr_t)block % (16 * MIB), 0);
    tm_free(block);
}

static void trim_gives_them_back(void **state)
{
    (void)state;
    char *kept = keep_one(16 * MIB, 1);
    assert_int_equal(look_resident(kept, 16 * MIB), 16 * MIB / TM_PAGE);
    uint64_t unmapped = look_counters().unmapped_bytes;
    assert_true(tm_trim());
    assert_int_equal(kept_bytes(), 0);
    assert_int_equal(look_resident(kept, 16 * MIB), 0);
    assert_true(look_counters().unmapped_bytes - unmapped >= 16 * MIB);
}

/* A program that goes on with small blocks only. */
static void small_requests_let_them_expire(void **state)
{
    (void)state;
    char *kept = keep_one(16 * MIB, 1);
    for (int second = 0; second < 3; second++) {
        fake_clock_pass(1001);
        enum { COUNT = 20000 };
        static void *blocks[COUNT];
        for (int i = 0; i < COUNT; i++)
            blocks[i] = tm_malloc(64);
        for (int i = 0; i < COUNT; i++)
            tm_free(blocks[i]);
    }
    assert_int_equal(kept_bytes(), 0);
    assert_int_equal(look_resident(kept, 16 * MIB), 0);
}

static void the_census_lists_them_as_cached_and_not_as_live(void **state)
{
    (void)state;
    struct look before = look_around();
    struct tm_census_counters start = look_counters();
    assert_int_equal(before.kept_count, 0);
    keep_one(16 * MIB, 1);
    struct look during = look_around();
    struct tm_census_counters now = look_counters();
    assert_int_equal(during.kept_count, 1);
    assert_int_equal(during.kept, 16 * MIB);
    assert_int_equal(during.mappings, before.mappings);
    assert_int_equal(now.cached_bytes - start.cached_bytes, 16 * MIB);
    assert_int_equal(now.mapping_bytes, start.mapping_bytes);
    char *live = tm_malloc(16 * MIB);
    struct look after = look_around();
    assert_int_equal(after.kept_count, 0);
    assert_int_equal(after.mappings, before.mappings + 16 * MIB);
    assert_int_equal(look_counters().mapping_bytes, start.mapping_bytes + 16 * MIB);
    assert_int_equal(look_counters().cached_bytes, start.cached_bytes);
    tm_free(live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_kept_before_a_bounce, start_afresh),
        cmocka_unit_test_setup(as_much_is_kept_as_came_back, start_afresh),
        cmocka_unit_test_setup(the_table_is_bounded, start_afresh),
        cmocka_unit_test_setup(the_nearest_size_is_taken, start_afresh),
        cmocka_unit_test_setup(what_is_not_taken_expires, start_afresh),
        cmocka_unit_test_setup(what_is_taken_in_turns_is_kept, start_afresh),
        cmocka_unit_test_setup(idleness_ends_it, start_afresh),
        cmocka_unit_test_setup(a_block_is_given_back_once_and_then_kept, start_afresh),
        cmocka_unit_test_setup(a_kept_one_is_cut_to_size_or_grown, start_afresh),
        cmocka_unit_test_setup(calloc_is_zero_though_dirty_ones_are_kept, start_afresh),
        cmocka_unit_test_setup(an_aligned_block_is_aligned_though_others_are_kept, start_afresh),
        cmocka_unit_test_setup(trim_gives_them_back, start_afresh),
        cmocka_unit_test_setup(small_requests_let_them_expire, start_afresh),
        cmocka_unit_test_setup(the_census_lists_them_as_cached_and_not_as_live, start_afresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
