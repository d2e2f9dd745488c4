/* threads.c: short-lived threads. Each one allocates a few hundred blocks of mixed sizes, frees
 * most of them, leaves a few behind and exits; so many run at a time. What is left behind goes into
 * a table of all threads and is freed, long after, by a later thread that needs the slot. Thread
 * start and exit (building a heap, giving its blocks to somebody) is what this measures.
 */
#include "bench.h"

#include <stdatomic.h>

enum { BLOCKS = 300, LEFT = 6, TABLE = 32768 };

static uint64_t threads = 4;
static uint64_t count = 15000;
static _Atomic(void *) *left;

/* Mostly small; each twentieth up to 16 KiB. */
static size_t some_size(struct bench_random *random)
{
    return bench_below(random, 20) == 0 ? bench_log_between(random, 512, 16 * 1024)
                                        : bench_small(random);
}

static void *live_shortly(void *argument)
{
    struct bench_random random = {.state = (uintptr_t)argument << 20};
    void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = bench_alloc(some_size(&random));
    for (unsigned i = 0; i < LEFT; i++) {
        void **block = &blocks[i * (BLOCKS / LEFT)];
        *block = atomic_exchange(&left[bench_below(&random, TABLE)], *block);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i])
            bench_free(blocks[i]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "threads",
                                            .help = "threads at a time",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {.name = "count",
                                            .help = "threads in all",
                                            .number = &count,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {0}};
    bench_start(argc, argv, "Short-lived threads that leave some blocks behind.", options);
    count = bench_scaled(count);
    left = bench_table(TABLE * sizeof *left);
    pthread_t *ids = bench_table(threads * sizeof *ids);
    double start = bench_now();
    for (uint64_t i = 0; i < count; i++) {
        if (i >= threads)
            pthread_join(ids[i % threads], NULL);
        ids[i % threads] = bench_spawn(live_shortly, (void *)(uintptr_t)i);
    }
    for (uint64_t i = 0; i < threads && i < count; i++)
        pthread_join(ids[i], NULL);
    double seconds = bench_now() - start;
    for (unsigned i = 0; i < TABLE; i++) {
        if (left[i])
            bench_free(left[i]);
    }
    return bench_finish(count * BLOCKS, seconds);
}
