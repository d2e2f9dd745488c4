/* large.c: blocks of 5 to 25 MiB, some of them live, a random one replaced in each step, and each
 * page of a new block written to once. Allocators differ in whether they map and unmap for each
 * block or keep large memory for reuse: the one costs page faults, the other residence.
 *
 * After the description of malloc-large (L. Stolyarov) in the mimalloc benchmark suite.
 */
#include "bench.h"

enum { LEAST = 5 * 1024 * 1024, MOST = 25 * 1024 * 1024 };

static uint64_t live = 20;
static uint64_t operations = 350;
static uint64_t threads = 1;

static void work(struct bench_thread *thread)
{
    void **slots = (void **)thread->context + thread->index * live;
    thread->operations = bench_share(thread, operations);
    for (uint64_t i = 0; i < thread->operations; i++) {
        void **slot = &slots[bench_below(&thread->random, (uint32_t)live)];
        if (*slot)
            bench_free(*slot);
        *slot = bench_alloc(bench_between(&thread->random, LEAST, MOST));
    }
    for (uint64_t i = 0; i < live; i++) {
        if (slots[i])
            bench_free(slots[i]);
    }
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "live",
                                            .help = "blocks that each thread holds",
                                            .number = &live,
                                            .least = 1,
                                            .most = 1 << 20},
                                           {.name = "threads",
                                            .help = "threads that share the operations",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {.name = "operations",
                                            .help = "blocks allocated and freed in all",
                                            .number = &operations,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {0}};
    bench_start(argc, argv, "Blocks of 5 to 25 MiB, each page touched once.", options);
    operations = bench_scaled(operations);
    struct bench_run run =
        bench_threads(threads, work, bench_table(threads * live * sizeof(void *)));
    return bench_finish(run.operations, run.seconds);
}
