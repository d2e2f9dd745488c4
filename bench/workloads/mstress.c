/* mstress.c: phases of a server with mixed lifetimes. In each phase threads start, allocate blocks
 * whose sizes have a long tail, keep some until they exit, free others at random, and swap blocks
 * with each other through a shared array. Between phases all threads end; what lies in the shared
 * array outlives them, half of it is freed by the main thread. The threads' loads differ.
 *
 * After the description of mstress (D. Leijen) in the mimalloc benchmark suite.
 */
#include "bench.h"

#include <stdatomic.h>

enum { SWAPS = 1000, MOST_LIVE = 20000, MOST_RETAINED = 10000 };

static uint64_t threads = 4;
static uint64_t phases = 10;
static uint64_t operations = 12 * 1000 * 1000;

struct shared {
    _Atomic(void *) swaps[SWAPS];
    void **blocks; /* MOST_LIVE + MOST_RETAINED of each thread */
};

/* 16 bytes … 512 KiB; each doubling is half as likely. One block in 100 is of any size up to 64
 * KiB.
 */
static size_t some_size(struct bench_random *random)
{
    uint64_t bits = bench_next(random);
    if (bits % 100 == 0)
        return bench_between(random, 16, 64 * 1024);
    unsigned octave = (unsigned)__builtin_ctzll((bits >> 32) | (1u << 14));
    size_t base = (size_t)16 << octave;
    return base + bench_below(random, (uint32_t)base);
}

static void phase(struct bench_thread *thread)
{
    struct shared *shared = thread->context;
    struct bench_random *random = &thread->random;
    void **live = shared->blocks + (size_t)thread->index * (MOST_LIVE + MOST_RETAINED);
    void **retained = live + MOST_LIVE;
    uint32_t lives = 0;
    uint32_t retains = 0;
    /* Loads 1, 2, 3 and 4 in turn, 2.5 in the mean. */
    uint64_t count = operations / phases / threads * 2 * (thread->index % 4 + 1) / 5 + 1;
    for (uint64_t i = 0; i < count; i++) {
        void *block = bench_alloc(some_size(random));
        uint32_t chance = bench_below(random, 100);
        if (chance < 10 && retains < MOST_RETAINED)
            retained[retains++] = block;
        else if (lives < MOST_LIVE)
            live[lives++] = block;
        else
            bench_free(block);
        if (chance % 3 != 0 && lives > 0) {
            uint32_t victim = bench_below(random, lives);
            bench_free(live[victim]);
            live[victim] = live[--lives];
        }
        if (chance >= 75 && lives > 0) {
            void *other =
                atomic_exchange(&shared->swaps[bench_below(random, SWAPS)], live[lives - 1]);
            if (other)
                live[lives - 1] = other;
            else
                lives--;
        }
    }
    while (lives > 0)
        bench_free(live[--lives]);
    while (retains > 0)
        bench_free(retained[--retains]);
    thread->operations = count;
}

/* Frees what lies in the shared array, or each second one. */
static void clear(struct shared *shared, unsigned step)
{
    for (unsigned i = 0; i < SWAPS; i += step) {
        void *block = atomic_exchange(&shared->swaps[i], NULL);
        if (block)
            bench_free(block);
    }
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "threads",
                                            .help = "threads of a phase",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {.name = "phases",
                                            .help = "after each of them all threads end",
                                            .number = &phases,
                                            .least = 1,
                                            .most = 1 << 20},
                                           {.name = "operations",
                                            .help = "blocks allocated and freed in all, about",
                                            .number = &operations,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {0}};
    bench_start(argc, argv, "Phases of threads with mixed lifetimes that swap blocks.", options);
    operations = bench_scaled(operations);
    struct shared *shared = bench_table(sizeof *shared);
    shared->blocks = bench_table(threads * (MOST_LIVE + MOST_RETAINED) * sizeof(void *));
    uint64_t done = 0;
    double start = bench_now();
    for (uint64_t i = 0; i < phases; i++) {
        done += bench_threads(threads, phase, shared).operations;
        clear(shared, 2);
    }
    double seconds = bench_now() - start;
    clear(shared, 1);
    return bench_finish(done, seconds);
}
