/* Blocks of 1 KiB and more stay warm: what is freed is the next to be handed out, from whichever
 * pool it is, and yet no bin keeps pages after a peak. The threads take turns, so every run is the
 * same. */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "allocator/layout.h"
#include "allocator/sizeclass.h"
#include "allocator/tidemark_alloc.h"
#include "tests/unit/look.h"

enum { MANY = 4000, MOST_BYTES = 12 * 1024 * 1024 };

static char *blocks[MANY];

/* So many blocks of the size, for a phase that is long but not larger than the machine likes. */
static size_t phase_length(size_t size)
{
    size_t count = MOST_BYTES / size;
    return count < MANY ? count : MANY;
}

static void fill(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = tm_malloc(size);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xd1, size);
    }
}

static void empty(size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        tm_free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* Trims; returns the bytes in pools. */
static uint64_t trimmed(void)
{
    tm_trim();
    return look_counters().pool_bytes;
}

/* The most free blocks that a bin of the class may hold: what it takes at once, once more until
 * that is noticed, and what a refill brings, which is up to four pages. */
static uint64_t bin_bound(const struct tm_class *class)
{
    return 2u * class->warm + (4 * TM_PAGE + class->block_size - 1) / class->block_size;
}

static const struct tm_class *first_warm(void)
{
    const struct tm_class *class = tm_classes;
    while (class->warm == 0)
        class ++;
    return class;
}

static void the_warm_classes_are_those_from_1_kib(void **state)
{
    (void)state;
    assert_int_equal(first_warm()->block_size, 1024);
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++)
        assert_true(class->warm != 0);
}

static void the_block_freed_last_is_handed_out_next(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        char *hold = tm_malloc(class->block_size);
        for (int i = 0; i < 200; i++) {
            char *block = tm_malloc(class->block_size);
            block[0] = 1;
            tm_free(block);
            char *again = tm_malloc(class->block_size);
            if (again != block)
                fail_msg("size %u, turn %d: %p was freed and %p handed out", class->block_size, i,
                         (void *)block, (void *)again);
            tm_free(again);
        }
        tm_free(hold);
    }
}

/* From full pools too, to which nobody's bin belongs: the last freed first, as far as a bin takes
 * them. */
static void blocks_of_full_pools_are_warm_too(void **state)
{
    (void)state;
    enum { SIZE = 2048, COUNT = 500, WARM = 8 };
    fill(SIZE, COUNT);
    char *order[WARM];
    for (size_t i = 0; i < WARM; i++) {
        order[i] = blocks[i * 37];
        tm_free(order[i]);
    }
    for (size_t i = WARM; i-- > 0;)
        assert_ptr_equal(tm_malloc(SIZE), order[i]);
    empty(0, COUNT);
}

static void calloc_of_a_warm_block_is_zero(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        /* Fresh, so that the bin's blocks are zero; then a dirty one goes on top of them. */
        char *first = tm_calloc(1, class->block_size);
        char *second = tm_calloc(1, class->block_size);
        assert_true(all_bytes(first, 0, class->block_size));
        assert_true(all_bytes(second, 0, class->block_size));
        memset(first, 0xee, class->block_size);
        memset(second, 0xee, class->block_size);
        tm_free(first);
        char *third = tm_calloc(1, class->block_size);
        assert_true(all_bytes(third, 0, class->block_size));
        memset(third, 0xee, class->block_size);
        tm_free(second);
        char *fourth = tm_calloc(1, class->block_size);
        char *fifth = tm_calloc(1, class->block_size);
        assert_true(all_bytes(fourth, 0, class->block_size));
        assert_true(all_bytes(fifth, 0, class->block_size));
        tm_free(third);
        tm_free(fourth);
        tm_free(fifth);
    }
}

/* ---- after a peak ---- */

static void a_phase_that_frees_thousands_leaves_no_bin(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        trimmed();
        size_t count = phase_length(class->block_size);
        struct look before = look_around();
        fill(class->block_size, count);
        empty(0, count);
        struct look after = look_around();
        assert_int_equal(after.live, before.live);
        if (after.binned - before.binned > bin_bound(class))
            fail_msg("size %u: %zu blocks were freed, and %lu of them stay in the bin",
                     class->block_size, count, after.binned - before.binned);
        /* In pools: one that feeds the bin, and one that is empty. */
        assert_true(after.pools - before.pools <= 2);
    }
    assert_int_equal(trimmed(), 0);
    assert_int_equal(look_around().pools, 0);
    assert_int_equal(look_counters().cached_bytes, 0);
}

/* The phase frees more than it takes, at random. How far a bin grew is seen late then, as a malloc
 * may take the block by which that is told: it may grow for some rounds. */
static void a_phase_that_also_takes_leaves_no_bin(void **state)
{
    (void)state;
    unsigned seed = 11;
    for (unsigned of_ten = 1; of_ten <= 4; of_ten++)
        for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES;
             class += 5) {
            assert_int_equal(trimmed(), 0);
            size_t count = phase_length(class->block_size);
            fill(class->block_size, count);
            static char *taken[MANY];
            size_t takes = 0;
            for (size_t i = 0; i < count;) {
                if ((unsigned)rand_r(&seed) % 10 < of_ten && takes < MANY)
                    taken[takes++] = tm_malloc(class->block_size);
                else
                    tm_free(blocks[i++]);
            }
            struct look look = look_around();
            assert_int_equal(look.live, takes);
            if (look.binned > 16u * class->warm)
                fail_msg("size %u: %zu were freed, %zu taken; %lu stay in the bin",
                         class->block_size, count, takes, look.binned);
            for (size_t i = 0; i < takes; i++)
                tm_free(taken[i]);
        }
    assert_int_equal(trimmed(), 0);
}

/* A malloc just before each look at the bin, so that none sees it grow. */
static void a_malloc_before_each_look_does_not_hide_growth(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        for (unsigned first = 0; first <= 2u * class->warm; first++) {
            assert_int_equal(trimmed(), 0);
            size_t count = phase_length(class->block_size) / 4;
            fill(class->block_size, count);
            static char *taken[MANY];
            size_t takes = 0;
            empty(0, first);
            for (size_t i = first; i < count; i += class->warm) {
                taken[takes++] = tm_malloc(class->block_size);
                empty(i, i + class->warm < count ? i + class->warm : count);
            }
            struct look look = look_around();
            if (look.live != takes || look.binned > class->capacity + 4u * class->warm)
                fail_msg(
                    "size %u, %u before: of %zu freed %lu stay in the bin; %lu live and %zu should",
                    class->block_size, first, count, look.binned, look.live, takes);
            for (size_t i = 0; i < takes; i++)
                tm_free(taken[i]);
        }
    }
    assert_int_equal(trimmed(), 0);
}

/* The pool that feeds the bin is gone, and there is room in the bin all the same. */
static void trim_empties_a_bin_without_a_pool(void **state)
{
    (void)state;
    enum { SIZE = 4096, COUNT = 2 * 16 + 1, FEW = 6 };
    assert_int_equal(trimmed(), 0);
    fill(SIZE, COUNT);
    empty(COUNT - 1, COUNT);
    assert_int_equal(trimmed(), (COUNT - 1) * SIZE);
    empty(0, FEW);
    assert_int_equal(trimmed(), (COUNT - 1 - FEW) * SIZE);
    empty(FEW, COUNT);
}

/* A malloc now and then opens the bin again: most blocks go through it. Its pools go as they get
 * empty. */
static void pools_go_that_drain_through_a_bin(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        assert_int_equal(trimmed(), 0);
        size_t count = phase_length(class->block_size);
        fill(class->block_size, count);
        for (size_t i = 0; i < count; i++) {
            tm_free(blocks[i]);
            if (i % (class->warm * 3u / 2) == 0)
                tm_free(tm_malloc(class->block_size));
        }
        struct look look = look_around();
        assert_int_equal(look.live, 0);
        if (look.pools > 4)
            fail_msg("size %u: nothing lives, and there are %lu pools", class->block_size,
                     look.pools);
    }
    assert_int_equal(trimmed(), 0);
}

/* One of each page survives: no page can go, but each byte of the others is counted free. */
static void survivors_are_all_that_lives(void **state)
{
    (void)state;
    enum { SIZE = 1024, COUNT = 4000 };
    assert_int_equal(trimmed(), 0);
    fill(SIZE, COUNT);
    uint64_t survivors = 0;
    for (size_t i = 0; i < COUNT; i++)
        if ((uintptr_t)blocks[i] % TM_PAGE != 0)
            tm_free(blocks[i]);
        else
            blocks[survivors++] = blocks[i];
    assert_int_equal(look_around().live, survivors);
    for (uint64_t i = 0; i < survivors; i++)
        assert_true(all_bytes(blocks[i], 0xd1, SIZE));
    assert_true(trimmed() <= survivors * TM_PAGE);
    for (uint64_t i = 0; i < survivors; i++)
        tm_free(blocks[i]);
    assert_int_equal(trimmed(), 0);
}

/* ---- the census ---- */

static void what_waits_in_a_bin_is_free(void **state)
{
    (void)state;
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        trimmed();
        size_t count = class->capacity * 3u;
        struct look before = look_around();
        fill(class->block_size, count);
        assert_int_equal(look_around().live - before.live, count);
        for (size_t i = 0; i < count; i++) {
            tm_free(blocks[i]);
            struct look look = look_around();
            assert_int_equal(look.live - before.live, count - i - 1);
            assert_int_equal(look.live_bytes - before.live_bytes,
                             (count - i - 1) * class->block_size);
            if (i == 0 && class->warm > 1)
                assert_true(look.binned > before.binned);
        }
    }
}

/* ---- from thread to thread ---- */

static void in_a_thread(void *(*work)(void *), void *context)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, context), 0);
    pthread_join(thread, NULL);
}

enum { SIZE = 3072, COUNT = 300, FEW = 7 };

/* Takes blocks of the others' pool into its bin, hands them out again, and leaves some in the bin
 * at its end. */
static void *use_what_others_own(void *context)
{
    struct look *look = context;
    char *own = tm_malloc(SIZE);
    char *order[FEW];
    for (size_t i = 0; i < FEW; i++) {
        order[i] = blocks[i * 20];
        tm_free(order[i]);
    }
    *look = look_around();
    for (size_t i = FEW; i-- > 0;) {
        char *block = tm_malloc(SIZE);
        assert_ptr_equal(block, order[i]);
        memset(block, 0x22, SIZE);
    }
    for (size_t i = 0; i < FEW; i++)
        tm_free(order[i]);
    tm_free(own);
    tm_thread_exit();
    return NULL;
}

static void blocks_of_others_pools_come_back(void **state)
{
    (void)state;
    assert_int_equal(trimmed(), 0);
    fill(SIZE, COUNT);
    struct look during;
    in_a_thread(use_what_others_own, &during);
    assert_int_equal(during.live, COUNT - FEW + 1);
    assert_true(during.binned >= FEW);
    /* The thread is gone, and its bin with it. */
    struct look after = look_around();
    assert_int_equal(after.live, COUNT - FEW);
    for (size_t i = 0; i < COUNT; i++)
        if (i % 20 != 0 || i / 20 >= FEW)
            assert_true(all_bytes(blocks[i], 0xd1, SIZE));
    /* Each of them can be handed out again, once. */
    for (size_t i = 0; i < FEW; i++)
        blocks[i * 20] = NULL;
    for (size_t i = 0; i < FEW; i++) {
        char *block = tm_malloc(SIZE);
        for (size_t k = 0; k < COUNT; k++)
            assert_ptr_not_equal(block, blocks[k]);
        memset(block, 0xd1, SIZE);
        blocks[i * 20] = block;
    }
    assert_int_equal(look_around().live, COUNT);
    empty(0, COUNT);
    assert_int_equal(look_around().live, 0);
    assert_int_equal(trimmed(), 0);
}

static void *free_all(void *context)
{
    tm_free(tm_malloc(SIZE)); /* gives it a heap, and its bin room */
    empty(0, *(const size_t *)context);
    tm_thread_exit();
    return NULL;
}

/* The owner's heap goes on with its pools afterwards. */
static void another_thread_frees_all(void **state)
{
    (void)state;
    size_t count = COUNT;
    for (int round = 0; round < 5; round++) {
        fill(SIZE, COUNT);
        in_a_thread(free_all, &count);
        assert_int_equal(look_around().live, 0);
    }
    assert_int_equal(trimmed(), 0);
    assert_int_equal(look_around().pools, 0);
}

static void *warm_up_and_end(void *context)
{
    for (const struct tm_class *class = first_warm(); class < tm_classes + TM_CLASSES; class ++) {
        char *two[2] = {tm_malloc(class->block_size), tm_malloc(class->block_size)};
        two[0][0] = two[1][0] = 1;
        tm_free(two[0]);
        tm_free(two[1]);
    }
    *(struct look *)context = look_around();
    tm_thread_exit();
    return NULL;
}

static void the_end_of_a_thread_hands_its_bins_back(void **state)
{
    (void)state;
    assert_int_equal(trimmed(), 0);
    struct look during;
    in_a_thread(warm_up_and_end, &during);
    assert_true(during.binned > 0);
    assert_int_equal(look_counters().pool_bytes, 0);
    assert_int_equal(look_around().pools, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_warm_classes_are_those_from_1_kib),
        cmocka_unit_test(the_block_freed_last_is_handed_out_next),
        cmocka_unit_test(blocks_of_full_pools_are_warm_too),
        cmocka_unit_test(calloc_of_a_warm_block_is_zero),
        cmocka_unit_test(a_phase_that_frees_thousands_leaves_no_bin),
        cmocka_unit_test(a_phase_that_also_takes_leaves_no_bin),
        cmocka_unit_test(a_malloc_before_each_look_does_not_hide_growth),
        cmocka_unit_test(trim_empties_a_bin_without_a_pool),
        cmocka_unit_test(pools_go_that_drain_through_a_bin),
        cmocka_unit_test(survivors_are_all_that_lives),
        cmocka_unit_test(what_waits_in_a_bin_is_free),
        cmocka_unit_test(blocks_of_others_pools_come_back),
        cmocka_unit_test(another_thread_frees_all),
        cmocka_unit_test(the_end_of_a_thread_hands_its_bins_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
