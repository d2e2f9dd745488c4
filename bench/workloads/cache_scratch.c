/* cache_scratch.c: passive false sharing. The main thread allocates one small block for each
 * thread, neighbours in memory; each thread frees the block it was given and then allocates,
 * writes and frees blocks of its own. An allocator that reuses the given block for the thread that
 * freed it leaves the threads writing to one cache line.
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
    void **given = thread->context;
    bench_free(given[thread->index]);
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
    bench_start(argc, argv, "Passive false sharing of cache lines.", options);
    operations = bench_scaled(operations);
    void **given = bench_table(threads * sizeof *given);
    for (uint64_t i = 0; i < threads; i++)
        given[i] = bench_alloc(sizeof(uint64_t));
    struct bench_run run = bench_threads(threads, work, given);
    bench_count("writes", operations * writes, "count");
    return bench_finish(run.operations, run.seconds);
}
