/* test_in_flight.c: a sample whose pool changes hands while the recorder is told of it. Samples lie
 * in pools that are no thread's (allocator/thread.c); such a pool may fill, come back in part and
 * be another thread's, which then frees all neighbours, before the first thread has its answer. The
 * sample's end is told none the less.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>

#include "allocator/heap.h"
#include "allocator/hooks.h"
#include "allocator/sample.h"
#include "allocator/tidemark_alloc.h"

enum { SIZE = 960, SAMPLES = 100, BLOCKS = 4000 };
static const uint64_t VALUE = TM_CELL_COUNTED | 256;

static sem_t in_hook, go_on;
static _Thread_local bool waits;
static const void *in_flight;
static unsigned ended_blocks;

static uint64_t told(const void *block, size_t requested, size_t usable, unsigned why,
                     const struct tm_caller *caller)
{
    (void)requested, (void)usable, (void)why, (void)caller;
    if (waits) {
        in_flight = block;
        sem_post(&in_hook);
        sem_wait(&go_on);
    }
    return VALUE;
}

static void ended(const void *block, size_t usable, uint64_t cell)
{
    (void)block, (void)usable;
    ended_blocks += cell == VALUE;
}

static void *take_one(void *nothing)
{
    (void)nothing;
    waits = true;
    return tm_malloc(SIZE);
}

/* Frees those of the pool, but for the first of each page where some are to stay. */
static void free_in(const struct tm_pool *pool, void **blocks, unsigned count, bool some_stay)
{
    bool stays[TM_SLOT_PAGES] = {false};
    stays[tm_pool_page(in_flight)] = true;
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i] == NULL || tm_pool_slot(blocks[i]) != pool)
            continue;
        bool *stay = &stays[tm_pool_page(blocks[i])];
        if (some_stay && (!*stay || tm_pool_page(blocks[i]) == tm_pool_page(in_flight))) {
            *stay = true;
            continue;
        }
        tm_free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void pool_changes_hands(void **nothing)
{
    static void *samples[SAMPLES], *blocks[BLOCKS];
    void *block;
    pthread_t other;
    unsigned count = 0, few = 8;
    (void)nothing;
    sem_init(&in_hook, 0, 0);
    sem_init(&go_on, 0, 0);
    tm_sample_seed(1);
    atomic_store(&tm_hook_record, told);
    atomic_store(&tm_hook_forget, ended);
    tm_free(tm_malloc(SIZE));
    tm_sample_set(TM_SAMPLE_SOME, 1, 0); /* every block is one */
    tm_sample_follow_now();
    while (count < few)
        samples[count++] = tm_malloc(SIZE);
    assert_int_equal(pthread_create(&other, NULL, take_one, NULL), 0);
    sem_wait(&in_hook);
    const struct tm_pool *pool = tm_pool_slot(in_flight);
    while (count < SAMPLES)
        samples[count++] = tm_malloc(SIZE);
    tm_sample_set(TM_SAMPLE_SOME, UINT64_C(1) << 60, 0); /* none is */
    tm_free(tm_malloc(SIZE));
    free_in(pool, samples, count, true);
    count = 0;
    while (tm_pool_owner(pool) != tm_thread_self() && count < BLOCKS)
        blocks[count++] = tm_malloc(SIZE);
    assert_int_equal(tm_pool_owner(pool), tm_thread_self());
    free_in(pool, samples, SAMPLES, false);
    free_in(pool, blocks, count, false);
    sem_post(&go_on);
    assert_int_equal(pthread_join(other, &block), 0);
    assert_ptr_equal(block, in_flight);
    ended_blocks = 0;
    tm_free(block);
    assert_int_equal(ended_blocks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pool_changes_hands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
