/* cache_scratch.c: passive false sharing. The main thread allocates one small block for each
 * thread, neighbours in memory; each thread frees the block it was given and then allocates,
 * writes and frees blocks of its own. An allocator that reuses the given block for the thread that
 * freed it leaves the threads writing to one cache line.
 *
 * After E. Berger, K. McKinley, R. Blumofe and P. Wilson, "Hoard: A Scalable Memory Allocator for
 * Multithreaded Applications", ASPLOS 2000, section 5.
 */
#include "cacheline.h"

static void work(struct bench_thread *thread)
{
    void **given = thread->context;
    bench_free(given[thread->index]);
    thread->operations = bench_share(thread, operations);
    write_blocks(thread->operations);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv, "Passive false sharing of cache lines.", options);
    operations = bench_scaled(operations);
    void **given = bench_table(threads * sizeof *given);
    for (uint64_t i = 0; i < threads; i++)
        given[i] = bench_alloc(sizeof(uint64_t));
    struct bench_run run = bench_threads(threads, work, given);
    bench_count("writes", operations * writes, "count");
    return bench_finish(run.operations, run.seconds);
}
