/* refill.c: memory that is filled and emptied over and over, as by a service that handles one large
 * job after another. All threads allocate until the whole amount is live, wait for each other, free
 * everything, wait again. An allocator that gives memory back at each low tide pays for it here
 * with page faults and system calls; one that gives nothing back pays in what it holds.
 */
#include "bench.h"

enum order { SAME, REVERSE, RANDOM, ALL };

static uint64_t bytes = 200 * 1024 * 1024;
static uint64_t rounds = 6;
static uint64_t threads = 1;
static unsigned order = ALL;

static inline void swap(void **a, void **b)
{
    void *kept = *a;
    *a = *b;
    *b = kept;
}

static uint64_t empty(struct bench_thread *thread, void **blocks, uint64_t count, enum order how)
{
    uint64_t freed = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (how == REVERSE)
            freed += bench_free(blocks[count - 1 - i]);
        else {
            if (how == RANDOM)
                swap(&blocks[i], &blocks[i + bench_below(&thread->random, (uint32_t)(count - i))]);
            freed += bench_free(blocks[i]);
        }
    }
    return freed;
}

static void work(struct bench_thread *thread)
{
    uint64_t total = bytes / ((16 + 512) / 2);
    uint64_t count = bench_share(thread, total);
    void **blocks = (void **)thread->context + bench_share_start(thread, total);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t filled = 0;
        for (uint64_t i = 0; i < count; i++) {
            size_t size = bench_between(&thread->random, 16, 512);
            filled += size;
            blocks[i] = bench_alloc(size);
        }
        bench_meet(thread);
        uint64_t freed = empty(thread, blocks, count, order == ALL ? round % ALL : order);
        if (freed != filled)
            bench_fail("%zu bytes were allocated, but blocks of %zu bytes came back",
                       (size_t)filled, (size_t)freed);
        bench_meet(thread);
    }
    thread->operations = rounds * count;
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "bytes",
         .help = "that are live when all is full",
         .number = &bytes,
         .least = 264,
         .most = (uint64_t)1 << 40},
        {.name = "rounds",
         .help = "of filling and emptying",
         .number = &rounds,
         .least = 1,
         .most = 1 << 20},
        {.name = "order",
         .help = "of the frees: that of the allocations, the reverse, random, or each in turn",
         .choice = &order,
         .choices = "same|reverse|random|all"},
        {.name = "threads",
         .help = "threads that share the bytes",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {0}};
    bench_start(argc, argv, "200 MiB in small blocks, filled and emptied over and over.", options);
    rounds = bench_scaled(rounds);
    void **blocks = bench_table((bytes / ((16 + 512) / 2)) * sizeof *blocks);
    struct bench_run run = bench_threads(threads, work, blocks);
    return bench_finish(run.operations, run.seconds);
}
