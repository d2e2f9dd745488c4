/* Blocks that go from thread to thread: nothing that is free stays out of reach of those who could
 * give it back. The threads take turns, so every run is the same. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "allocator/census.h"
#include "allocator/layout.h"
#include "allocator/tidemark_alloc.h"

#define MIB ((size_t)1024 * 1024)

enum { SIZE = 64, COUNT = 512 * 1024 }; /* 32 MiB */

static char *blocks[COUNT];

struct turn {
    size_t first, step;
};

static void free_some(struct turn turn)
{
    for (size_t i = turn.first; i < COUNT; i += turn.step) {
        tm_free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void *freeing_thread(void *context)
{
    free_some(*(struct turn *)context);
    tm_thread_exit();
    return NULL;
}

static void free_in_a_thread(size_t first, size_t step)
{
    struct turn turn = {first, step};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, freeing_thread, &turn), 0);
    pthread_join(thread, NULL);
}

static struct tm_census_counters counters(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    return now;
}

static uint64_t fill(void)
{
    /* A bonus for pages that bounced, earned by the test before, is over by then. */
    tm_trim();
    nanosleep(&(struct timespec){2, 200000000}, NULL);
    uint64_t before = counters().pool_bytes;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = tm_malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    return before;
}

static void all_freed_by_another_thread_goes_back(void **state)
{
    (void)state;
    uint64_t before = fill();
    free_in_a_thread(0, 1);
    /* But for the pool that feeds the owner's bin, and the budget. */
    assert_true(counters().pool_bytes <= before + 2 * TM_SLOT);
    assert_true(counters().cached_bytes <= 2 * MIB);
}

/* The owner's last frees find what others handed back before. */
static void freed_in_turns_goes_back(void **state)
{
    (void)state;
    uint64_t before = fill();
    free_some((struct turn){0, 3});
    free_in_a_thread(1, 3);
    free_some((struct turn){2, 3});
    assert_true(counters().pool_bytes <= before + 2 * TM_SLOT);
    assert_true(counters().cached_bytes <= 2 * MIB);
}

/* The owner does not free again, but trims. */
static void trim_finds_what_others_handed_back(void **state)
{
    (void)state;
    uint64_t before = fill();
    free_some((struct turn){0, 2});
    free_in_a_thread(1, 2);
    tm_trim();
    assert_true(counters().pool_bytes <= before + 64 * 1024);
    assert_int_equal(counters().cached_bytes, 0);
}

/* One block of every four pages survives: three pages of four go back, though the freeing thread
 * owns none of the pools. */
static void free_pages_of_shared_pools_go_back(void **state)
{
    (void)state;
    fill();
    uint64_t purged = counters().purged_bytes;
    char *survivors[COUNT / 256];
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++)
        if ((uintptr_t)blocks[i] % (4 * TM_PAGE) == 0) {
            survivors[count++] = blocks[i];
            blocks[i] = NULL;
        }
    free_in_a_thread(0, 1);
    assert_true(counters().purged_bytes - purged >= 20 * MIB);
    for (size_t i = 0; i < count; i++)
        tm_free(survivors[i]);
}

static void *short_thread(void *context)
{
    (void)context;
    char *all[100];
    for (size_t i = 0; i < 100; i++) {
        all[i] = tm_malloc(16 + 40 * i);
        memset(all[i], 1, 16 + 40 * i);
    }
    for (size_t i = 0; i < 100; i++)
        tm_free(all[i]);
    tm_thread_exit();
    return NULL;
}

static void ended_threads_leave_nothing(void **state)
{
    (void)state;
    struct tm_census_counters before = counters();
    for (int i = 0; i < 3000; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, short_thread, NULL), 0);
        pthread_join(thread, NULL);
    }
    assert_true(counters().pool_bytes <= before.pool_bytes + 64 * 1024);
    assert_true(counters().metadata_bytes <= before.metadata_bytes + 64 * 1024);
    assert_int_equal(counters().heaps, before.heaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_freed_by_another_thread_goes_back),
        cmocka_unit_test(freed_in_turns_goes_back),
        cmocka_unit_test(trim_finds_what_others_handed_back),
        cmocka_unit_test(free_pages_of_shared_pools_go_back),
        cmocka_unit_test(ended_threads_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
