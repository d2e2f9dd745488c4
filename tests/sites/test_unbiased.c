/* test_unbiased.c: whatever a program does, each block is a sample with the probability that its
 * size gives it, and a sample's end is told: the sampler's estimates of what was taken and is live
 * are right in the mean, and spread as theory says (sampler.c). Each case does something that could
 * make some blocks samples more often than others.
 */
#include <pthread.h>

#include "tests/sites/sampler.h"

/* Three sizes in turns, filled and emptied. */
static void fill_small(unsigned rounds, unsigned count)
{
    static const size_t sizes[] = {16, 100, 500};
    static void *blocks[60000];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < count; i++)
            blocks[i] = take(i % 3, sizes[i % 3]);
        end_round();
        for (unsigned i = 0; i < count; i++)
            give(i % 3, blocks[i]);
        check_nothing_live();
    }
}

static void small_blocks(void **nothing)
{
    (void)nothing;
    sampler_begin(256, 0);
    fill_small(250, 60000);
    check(0.01, 0.01);
}

static void small_blocks_in_chosen_pools(void **nothing)
{
    (void)nothing;
    sampler_begin(256, 4);
    fill_small(250, 60000);
    check(0.01, 0.01);
}

/* A walk up and down: who takes a block depends on how many there are, so that some sites find
 * theirs in the bins mostly, and others where the bins are empty. */
static void walk(unsigned rounds, unsigned steps, size_t size, unsigned most)
{
    static void *blocks[256];
    static unsigned owner[256];
    unsigned count = 0;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned step = 0; step < steps; step++) {
            bool up = count == 0 || (count < most && dice(2) == 0);
            if (up) {
                owner[count] = count * SITES / most;
                blocks[count] = take(owner[count], size);
                count++;
            } else {
                count--;
                give(owner[count], blocks[count]);
            }
        }
        end_round();
        while (count > 0) {
            count--;
            give(owner[count], blocks[count]);
        }
        check_nothing_live();
    }
}

static void warm_blocks(void **nothing)
{
    static const size_t sizes[] = {1024, 2000, 5000, 20000, 32768};
    (void)nothing;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sampler_begin((double)sizes[i] * 6, 0);
        walk(400, 40000, sizes[i], 48);
        check(0.011, 0);
    }
}

static void cold_blocks(void **nothing)
{
    (void)nothing;
    sampler_begin(640 * 6, 0);
    walk(500, 40000, 640, 240);
    check(0.011, 0);
}

static void warm_blocks_in_chosen_pools(void **nothing)
{
    (void)nothing;
    sampler_begin(2048 * 6, 3);
    walk(500, 40000, 2000, 240);
    check(0.011, 0);
}

/* Who always comes when a bin is empty is a sample as often as the others. */
static void first_of_a_refill(void **nothing)
{
    enum { COUNT = 640, WARM_PAGE = 4 };
    static void *blocks[COUNT];
    (void)nothing;
    sampler_begin(1024 * 6, 0);
    for (unsigned round = 0; round < 8000; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            blocks[i] = take(i % WARM_PAGE, 1024);
        end_round();
        for (unsigned i = 0; i < COUNT; i++)
            give(i % WARM_PAGE, blocks[i]);
        check_nothing_live();
    }
    check(0.01, 0.01);
}

static void spans(void **nothing)
{
    static const size_t sizes[] = {40000, 100000, 300000, 1 << 20, 9 << 20};
    enum { KINDS = sizeof sizes / sizeof sizes[0], EACH = 20 };
    static void *blocks[KINDS * EACH];
    (void)nothing;
    sampler_begin(128 * 1024, 0);
    for (unsigned round = 0; round < 6000; round++) {
        for (unsigned i = 0; i < KINDS * EACH; i++) {
            unsigned kind = i % KINDS;
            blocks[i] = take(kind, sizes[kind]);
            if (kind == KINDS - 1 && i > KINDS) { /* two of them are much */
                give(kind, blocks[i]);
                blocks[i] = NULL;
            }
        }
        end_round();
        for (unsigned i = 0; i < KINDS * EACH; i++)
            if (blocks[i] != NULL)
                give(i % KINDS, blocks[i]);
        check_nothing_live();
    }
    check(0.025, 0.025);
}

static void growing(void **nothing)
{
    (void)nothing;
    sampler_begin(4096, 0);
    for (unsigned round = 0; round < 3000; round++) {
        void *buffers[8];
        for (unsigned i = 0; i < 8; i++) {
            size_t size = 100 + dice(1000);
            buffers[i] = take(i % 2, size);
            for (unsigned steps = 4 + dice(20); steps > 0; steps--) {
                size += size / 2;
                buffers[i] = regrow(i % 2, buffers[i], size);
            }
            if (dice(2) == 0)
                buffers[i] = regrow(i % 2, buffers[i], size / 3);
        }
        end_round();
        for (unsigned i = 0; i < 8; i++)
            give(i % 2, buffers[i]);
        check_nothing_live();
    }
    check(0.02, 0.02);
}

/* What a bin has is taken out of it again and again. */
static void bins_that_are_emptied(void **nothing)
{
    (void)nothing;
    sampler_begin(512, 0);
    for (unsigned round = 0; round < 2000; round++) {
        void *blocks[40];
        for (unsigned i = 0; i < 40; i++) {
            blocks[i] = take(i % 2, i % 2 == 0 ? 128 : 1024);
            if (i % 5 == 4)
                tm_trim();
        }
        end_round();
        for (unsigned i = 0; i < 40; i++)
            give(i % 2, blocks[i]);
        check_nothing_live();
    }
    check(0.05, 0.05);
}

static void *short_life(void *blocks)
{
    void **place = blocks;
    for (unsigned i = 0; i < 16; i++)
        place[i] = take(i % 2, i % 2 == 0 ? 128 : 1024);
    return NULL;
}

/* Threads that end soon, and leave their blocks to others. */
static void threads_that_end(void **nothing)
{
    (void)nothing;
    sampler_begin(512, 0);
    for (unsigned round = 0; round < 300; round++) {
        void *blocks[20][16];
        for (unsigned i = 0; i < 20; i++) {
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, short_life, blocks[i]), 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
        }
        end_round();
        for (unsigned i = 0; i < 20 * 16; i++)
            give(i % 2, blocks[i / 16][i % 16]);
        check_nothing_live();
    }
    check(0.05, 0.05);
}

static void freed_by_others(void **nothing)
{
    static struct batch batches[3] = {{.site = 0}, {.site = 1}, {.site = 2}};
    (void)nothing;
    sampler_begin(2048, 5);
    for (unsigned round = 0; round < 300; round++) {
        take_batch(&batches[0]);
        in_thread(give_and_take, &batches[0]);
        give_and_take(&batches[1]);
        end_round();
        for (unsigned i = 0; i < BATCH; i++)
            give(2, batches[2].blocks[i]);
        in_thread(take_batch, &batches[0]);
        for (unsigned i = 0; i < BATCH; i++)
            give(0, batches[0].blocks[i]);
        check_nothing_live();
    }
    check(0.01, 0.02);
}

/* Recording begins while the bins are full. */
static void switched_on(void **nothing)
{
    enum { COUNT = 200 };
    (void)nothing;
    sampler_begin(512, 0);
    for (unsigned round = 0; round < 4000; round++) {
        void *blocks[COUNT];
        tm_sample_set(TM_SAMPLE_OFF, 512, 0);
        tm_sample_follow_now();
        for (unsigned i = 0; i < COUNT; i++)
            blocks[i] = tm_malloc(i % 2 == 0 ? 64 : 1024);
        for (unsigned i = 0; i < COUNT; i++)
            tm_free(blocks[i]);
        tm_free(tm_malloc(64));
        tm_sample_set(TM_SAMPLE_SOME, 512, 0);
        tm_sample_follow_now();
        for (unsigned i = 0; i < COUNT; i++)
            blocks[i] = take(i % 2, i % 2 == 0 ? 64 : 1024);
        end_round();
        for (unsigned i = 0; i < COUNT; i++)
            give(i % 2, blocks[i]);
        check_nothing_live();
    }
    check(0.02, 0.02);
}

/* With an argument: the cases that it names, as a pattern. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_blocks),
        cmocka_unit_test(small_blocks_in_chosen_pools),
        cmocka_unit_test(cold_blocks),
        cmocka_unit_test(warm_blocks),
        cmocka_unit_test(warm_blocks_in_chosen_pools),
        cmocka_unit_test(first_of_a_refill),
        cmocka_unit_test(spans),
        cmocka_unit_test(growing),
        cmocka_unit_test(bins_that_are_emptied),
        cmocka_unit_test(threads_that_end),
        cmocka_unit_test(freed_by_others),
        cmocka_unit_test(switched_on),
    };
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    sampler_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
