/* cache_thrash.c: active false sharing. Each thread allocates, writes and frees small blocks of its
 * own. An allocator that serves two threads from one cache line makes them write to it in turn.
 *
 * After E. Berger, K. McKinley, R. Blumofe and P. Wilson, "Hoard: A Scalable Memory Allocator for
 * Multithreaded Applications", ASPLOS 2000, section 5.
 */
#include "cacheline.h"

static uint64_t threads = 2;
static uint64_t writes = 100;
static uint64_t operations = 20 * 1000 * 1000;

static void work(struct bench_thread *thread)
{
    thread->operations = bench_share(thread, operations);
    write_blocks(thread->operations, writes);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "threads",
                                            .help = "threads that share the operations",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {.name = "writes",
                                            .help = "to each block",
                                            .number = &writes,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {.name = "operations",
                                            .help = "blocks allocated and freed in all",
                                            .number = &operations,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {0}};
    bench_start(argc, argv, "Active false sharing of cache lines.", options);
    operations = bench_scaled(operations);
    struct bench_run run = bench_threads(threads, work, NULL);
    bench_count("writes", operations * writes, "count");
    return bench_finish(run.operations, run.seconds);
}
