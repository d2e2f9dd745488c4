/* cache_thrash.c: active false sharing. Each thread allocates, writes and frees small blocks of its
 * own. An allocator that serves two threads from one cache line makes them write to it in turn.
 *
 * After E. Berger, K. McKinley, R. Blumofe and P. Wilson, "Hoard: A Scalable Memory Allocator for
 * Multithreaded Applications", ASPLOS 2000, section 5.
 */
#include "cacheline.h"

static void work(struct bench_thread *thread)
{
    thread->operations = bench_share(thread, operations);
    write_blocks(thread->operations);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv, "Active false sharing of cache lines.", options);
    operations = bench_scaled(operations);
    struct bench_run run = bench_threads(threads, work, NULL);
    bench_count("writes", operations * writes, "count");
    return bench_finish(run.operations, run.seconds);
}
