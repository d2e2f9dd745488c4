/* threads.c: threads that come and go, destructors of thread keys, blocks that one thread makes and
 * another frees. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

static void finish(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

static void work(unsigned salt)
{
    unsigned char *blocks[40];
    for (unsigned i = 0; i < 40; i++) {
        blocks[i] = opaque(malloc(10 + i * 37));
        CHECK(blocks[i] != NULL);
        fill(blocks[i], 10 + i * 37, salt + i);
    }
    for (unsigned i = 0; i < 40; i++) {
        CHECK(intact(blocks[i], 10 + i * 37, salt + i) == 10 + i * 37);
        free(blocks[i]);
    }
}

/* Key destructors. */

static pthread_key_t key;
static _Atomic unsigned destructor_runs;

static void destroy_once(void *value)
{
    atomic_fetch_add(&destructor_runs, 1);
    CHECK(intact(value, 100, 1) == 100);
    free(value);
    work(2);
}

static void *set_key(void *argument)
{
    void *value = opaque(malloc(100));
    fill(value, 100, 1);
    CHECK(pthread_setspecific(key, value) == 0);
    work(3);
    return NULL;
}

static void key_destructors(void)
{
    CHECK(pthread_key_create(&key, destroy_once) == 0);
    for (unsigned i = 0; i < 200; i++)
        finish(start(set_key, NULL));
    CHECK(destructor_runs == 200);
}

/* Registers itself anew until the C library gives up (PTHREAD_DESTRUCTOR_ITERATIONS rounds), so
 * that frees and allocations come after every destructor of the allocator's own. The last value is
 * left for another thread. */
static void *_Atomic left_over;

static void destroy_again(void *value)
{
    atomic_fetch_add(&destructor_runs, 1);
    CHECK(intact(value, 500, 1) == 500);
    void *next = opaque(malloc(500));
    CHECK(next != NULL);
    fill(next, 500, 1);
    free(value);
    work(4);
    CHECK(pthread_setspecific(key, next) == 0);
    left_over = next;
}

static void *set_key_again(void *argument)
{
    void *value = opaque(malloc(500));
    fill(value, 500, 1);
    CHECK(pthread_setspecific(key, value) == 0);
    return NULL;
}

static void key_destructors_that_register_again(void)
{
    /* Many keys, so that some run before and some after the allocator's own key, if it has one. */
    pthread_key_t others[20];
    CHECK(pthread_key_create(&key, destroy_again) == 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK(pthread_key_create(&others[i], destroy_once) == 0);
    for (unsigned i = 0; i < 200; i++) {
        finish(start(set_key_again, NULL));
        CHECK(intact(left_over, 500, 1) == 500);
        free(left_over);
    }
    CHECK(destructor_runs >= 200 * 4);
}

/* A thread's first allocation happens in a destructor: nothing of its heap existed before. */
static void *only_set_key(void *value)
{
    CHECK(pthread_setspecific(key, value) == 0);
    return NULL;
}

static void first_allocation_in_a_destructor(void)
{
    CHECK(pthread_key_create(&key, destroy_once) == 0);
    for (unsigned i = 0; i < 200; i++) {
        void *value = opaque(malloc(100));
        fill(value, 100, 1);
        finish(start(only_set_key, value));
    }
    CHECK(destructor_runs == 200);
}

/* Blocks that outlive the thread that made them. */
static void *make_blocks(void *argument)
{
    unsigned char **blocks = argument;
    for (unsigned i = 0; i < 1000; i++) {
        blocks[i] = opaque(malloc(20 + i));
        CHECK(blocks[i] != NULL);
        fill(blocks[i], 20 + i, i);
    }
    return NULL;
}

static void blocks_outlive_their_thread(void)
{
    static unsigned char *blocks[1000];
    for (unsigned round = 0; round < 50; round++) {
        finish(start(make_blocks, blocks));
        for (unsigned i = 0; i < 1000; i++) {
            CHECK(malloc_usable_size(blocks[i]) >= 20 + i);
            CHECK(intact(blocks[i], 20 + i, i) == 20 + i);
            if (i % 2 == 0)
                blocks[i] = opaque(realloc(blocks[i], 3 * (20 + i)));
            CHECK(intact(blocks[i], 20 + i, i) == 20 + i);
            free(blocks[i]);
        }
    }
}

static void *short_life(void *argument)
{
    void *small = opaque(malloc(64)), *middle = opaque(malloc(5000));
    CHECK(small != NULL && middle != NULL);
    memset(small, 1, 64);
    memset(middle, 1, 5000);
    free(small);
    free(middle);
    return NULL;
}

static void short_threads(unsigned count)
{
    for (unsigned i = 0; i < 500; i++)
        finish(start(short_life, NULL));
    size_t before = resident_bytes();
    if (before == 0)
        skip("/proc/self/statm cannot be read");
    for (unsigned i = 0; i < count; i += 4) {
        pthread_t threads[4];
        for (unsigned j = 0; j < 4; j++)
            threads[j] = start(short_life, NULL);
        for (unsigned j = 0; j < 4; j++)
            finish(threads[j]);
    }
    size_t after = resident_bytes();
    if (after > before + 2 * MIB)
        fail("RSS grew from %zu KiB to %zu KiB over %u short threads", before / KIB, after / KIB,
             count);
}

static void a_hundred_thousand_short_threads(void)
{
    short_threads(100000);
}

/* Each thread leaves a block behind that the main thread frees later: their heaps must find an
 * heir. */
static void *leave_a_block(void *argument)
{
    void *ptr = opaque(malloc(200));
    CHECK(ptr != NULL);
    memset(ptr, 1, 200);
    free(opaque(malloc(2000)));
    return ptr;
}

static void threads_that_leave_blocks(void)
{
    enum { BLOCKS = 2000, ROUNDS = 10 };
    static void *left[BLOCKS];
    size_t first = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BLOCKS; i++)
            CHECK(pthread_join(start(leave_a_block, NULL), &left[i]) == 0);
        for (unsigned i = 0; i < BLOCKS; i++)
            free(left[i]);
        if (round == 0)
            first = resident_bytes();
    }
    if (first == 0)
        skip("/proc/self/statm cannot be read");
    if (resident_bytes() > first + 4 * MIB)
        fail("RSS %zu KiB after the first round, %zu KiB after %u", first / KIB,
             resident_bytes() / KIB, ROUNDS);
}

/* A ring of threads: each frees what its neighbour made, and checks it before. */
enum { RING = 4, MAIL = 64, ROUNDS = 30000 };
static void *_Atomic mail[RING][MAIL];

static void *ring_member(void *argument)
{
    size_t self = (size_t)argument, next = (self + 1) % RING;
    uint64_t random = 77 + self;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t size = 16 + next_random(&random) % (i % 100 == 0 ? 200000 : 800);
        unsigned char *ptr = opaque(malloc(size));
        CHECK(ptr != NULL);
        memcpy(ptr, &size, sizeof size);
        ptr[size - 1] = pattern(size, 1);
        unsigned char *old = atomic_exchange(&mail[next][i % MAIL], ptr);
        if (old == NULL)
            old = atomic_exchange(&mail[self][i % MAIL], NULL);
        if (old == NULL)
            continue;
        memcpy(&size, old, sizeof size);
        if (size > sizeof size)
            CHECK(old[size - 1] == pattern(size, 1));
        free(old);
    }
    return NULL;
}

static void ring_of_frees(void)
{
    pthread_t threads[RING];
    for (size_t i = 0; i < RING; i++)
        threads[i] = start(ring_member, (void *)i);
    for (size_t i = 0; i < RING; i++)
        finish(threads[i]);
    for (size_t i = 0; i < RING; i++)
        for (size_t j = 0; j < MAIL; j++)
            free(mail[i][j]);
}

/* One thread only allocates, the other only frees: what comes back must serve again. */
enum { CONVEYOR = 1024 };
static void *_Atomic conveyor[CONVEYOR];
static const unsigned conveyed = 2000000;

static void *produce(void *argument)
{
    for (unsigned i = 0; i < conveyed; i++) {
        void *ptr = opaque(malloc(100 + i % 300));
        CHECK(ptr != NULL);
        memset(ptr, 1, 100);
        while (atomic_load_explicit(&conveyor[i % CONVEYOR], memory_order_acquire) != NULL)
            sched_yield();
        atomic_store_explicit(&conveyor[i % CONVEYOR], ptr, memory_order_release);
    }
    return NULL;
}

static void producer_and_consumer(void)
{
    pthread_t producer = start(produce, NULL);
    size_t early = 0;
    for (unsigned i = 0; i < conveyed; i++) {
        void *ptr;
        while ((ptr = atomic_load_explicit(&conveyor[i % CONVEYOR], memory_order_acquire)) == NULL)
            sched_yield();
        free(ptr);
        atomic_store_explicit(&conveyor[i % CONVEYOR], NULL, memory_order_release);
        if (i == conveyed / 10)
            early = resident_bytes();
    }
    finish(producer);
    if (resident_bytes() > early + 8 * MIB)
        fail("RSS %zu KiB after a tenth, %zu KiB at the end: about %u blocks are live at most",
             early / KIB, resident_bytes() / KIB, CONVEYOR);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"key_destructors", key_destructors},
        {"key_destructors_that_register_again", key_destructors_that_register_again},
        {"first_allocation_in_a_destructor", first_allocation_in_a_destructor},
        {"blocks_outlive_their_thread", blocks_outlive_their_thread},
        {"a_hundred_thousand_short_threads", a_hundred_thousand_short_threads},
        {"threads_that_leave_blocks", threads_that_leave_blocks},
        {"ring_of_frees", ring_of_frees},
        {"producer_and_consumer", producer_and_consumer},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
