/* churn.c: four threads replace blocks all the time, their own and each other's, and in the middle
 * of that snapshots are asked for. Of each site the number of live blocks is known at any instant
 * but for one block a thread: churn_test.py has the same numbers.
 */
#include "tests/sites/program.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { THREADS = 4, SLOTS = 2000, SPANS = 20, SNAPSHOTS = 6 };

static atomic_bool over;
static atomic_uint ready, rounds;
static _Atomic(void *) shared[SLOTS];

static void *at_small(void)
{
    return malloc(100);
}

static void *at_warm(void)
{
    return malloc(3000);
}

static void *at_span(void)
{
    return malloc(100000);
}

static void *at_shared(void)
{
    return malloc(250);
}

static void *at_resized(void *block, size_t size)
{
    return realloc(block, size);
}

static unsigned dice(uint64_t *state, unsigned below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((*state >> 33) % below);
}

static void replace(void **slot, void *(*site)(void))
{
    free(*slot);
    *slot = site();
}

static void *churn(void *number)
{
    void *small[SLOTS], *warm[SLOTS], *span[SPANS], *resized[SPANS];
    uint64_t state = (uint64_t)(uintptr_t)number;
    for (int i = 0; i < SLOTS; i++) {
        small[i] = at_small();
        warm[i] = at_warm();
    }
    for (int i = 0; i < SPANS; i++) {
        span[i] = at_span();
        resized[i] = at_resized(NULL, 5000);
    }
    ready++;
    for (unsigned turn = 0; !over; turn++) {
        if (turn % 1000 == 0)
            rounds++;
        replace(&small[dice(&state, SLOTS)], at_small);
        replace(&warm[dice(&state, SLOTS)], at_warm);
        if (turn % 16 == 0)
            replace(&span[dice(&state, SPANS)], at_span);
        unsigned i = dice(&state, SPANS);
        if (turn % 8 == 0)
            resized[i] = at_resized(resized[i], 2000 + dice(&state, 60000));
        free(atomic_exchange(&shared[dice(&state, SLOTS)], at_shared()));
    }
    for (int i = 0; i < SLOTS; i++) {
        free(small[i]);
        free(warm[i]);
    }
    for (int i = 0; i < SPANS; i++) {
        free(span[i]);
        free(resized[i]);
    }
    return NULL;
}

/* Snapshots: six in the middle; after all was given back. */
int main(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < SLOTS; i++)
        shared[i] = at_shared();
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, churn, (void *)i) != 0)
            fail("no thread");
    while (ready < THREADS)
        sleep_ms(1);
    for (int i = 0; i < SNAPSHOTS; i++) {
        for (unsigned end = rounds + 40; rounds < end;)
            sleep_ms(1);
        take_snapshot();
    }
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        free(shared[i]);
    take_snapshot();
    return 0;
}
