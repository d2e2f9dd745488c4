/* scale.c: whether cost grows as work grows. So many bytes are made live in small blocks of 200
 * bytes in the mean; then random blocks are replaced, a number of times that does not depend on how
 * many there are; then all is freed. Time per operation, resident bytes per live byte and the
 * number of mappings should not depend on the amount that is live or on the number of threads.
 *
 * A block costs eight bytes of the workload's own table, and is checked by what stands in it. Wall
 * time per operation is that of all threads together: with as many threads as cores it goes down,
 * processor time per operation does not.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static uint64_t live = 100 * 1024 * 1024;
static uint64_t threads = 1;
static uint64_t operations = 5 * 1000 * 1000;

struct instant {
    double wall, cpu;
};

static struct {
    void **blocks;
    uint64_t count;
    struct instant start, filled, replacing, replaced, draining, drained;
    uint64_t rss, mappings;
    uint64_t bytes[BENCH_MOST_THREADS]; /* live in the end, of each thread */
} state;

/* Lines of /proc/self/maps. */
static uint64_t count_mappings(void)
{
    static char buffer[64 * 1024];
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        bench_fail("cannot open /proc/self/maps: %s; mount /proc", strerrordesc_np(errno));
    uint64_t lines = 0;
    for (ssize_t length; (length = read(file, buffer, sizeof buffer)) > 0;) {
        for (ssize_t i = 0; i < length; i++)
            lines += buffer[i] == '\n';
    }
    close(file);
    return lines;
}

/* All threads come together; thread 0 notes when. */
static void note(struct bench_thread *thread, struct instant *instant)
{
    bench_meet(thread);
    if (thread->index == 0)
        *instant = (struct instant){.wall = bench_now(), .cpu = bench_cpu()};
}

static void work(struct bench_thread *thread)
{
    void **blocks = state.blocks + bench_share_start(thread, state.count);
    uint64_t count = bench_share(thread, state.count);
    uint64_t replaced = bench_share(thread, operations);
    uint64_t bytes = 0;
    note(thread, &state.start);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = bench_small(&thread->random);
        bytes += size;
        blocks[i] = bench_alloc(size);
    }
    note(thread, &state.filled);
    bench_meet(thread);
    note(thread, &state.replacing);
    for (uint64_t i = 0; i < replaced && count > 0; i++) {
        void **slot = &blocks[bench_below(&thread->random, (uint32_t)count)];
        size_t size = bench_small(&thread->random);
        bytes += size - bench_free(*slot);
        *slot = bench_alloc(size);
    }
    note(thread, &state.replaced);
    state.bytes[thread->index] = bytes;
    bench_meet(thread);
    if (thread->index == 0) {
        state.rss = bench_rss();
        state.mappings = count_mappings();
    }
    note(thread, &state.draining);
    for (uint64_t i = 0; i < count; i++)
        bytes -= bench_free(blocks[i]);
    note(thread, &state.drained);
    if (bytes != 0)
        bench_fail("the blocks of thread %u had %zd bytes more or less than were allocated",
                   thread->index, (ssize_t)bytes);
    thread->operations = count + replaced;
}

static void per_operation(const char *wall, const char *cpu, struct instant from, struct instant to,
                          uint64_t count)
{
    bench_figure(wall, (to.wall - from.wall) * 1e9 / (double)count, "ns");
    bench_figure(cpu, (to.cpu - from.cpu) * 1e9 / (double)count, "ns");
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "live",
         .help = "bytes that are live, in the mean",
         .number = &live,
         .least = 64 * 1024,
         .most = (uint64_t)512 << 30},
        {.name = "threads",
         .help = "threads that share the bytes and the replacements",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {.name = "operations",
         .help = "blocks replaced; the live bytes are not scaled",
         .number = &operations,
         .least = 1,
         .most = UINT32_MAX},
        {0}};
    bench_start(argc, argv, "Cost per operation and per byte as more is live.", options);
    operations = bench_scaled(operations);
    state.count = live / BENCH_SMALL_MEAN;
    uint64_t rss_start = bench_rss();
    size_t table = state.count * sizeof *state.blocks;
    state.blocks = bench_table(table);
    struct bench_run run = bench_threads(threads, work, NULL);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < threads; i++)
        bytes += state.bytes[i];
    per_operation("fill", "fill_cpu", state.start, state.filled, state.count);
    per_operation("replace", "replace_cpu", state.replacing, state.replaced, operations);
    per_operation("drain", "drain_cpu", state.draining, state.drained, state.count);
    bench_count("live", bytes, "B");
    bench_count("rss_start", rss_start, "B");
    bench_count("rss", state.rss, "B");
    bench_figure("rss_per_live",
                 ((double)state.rss - (double)rss_start - (double)table) / (double)bytes, "ratio");
    bench_count("mappings", state.mappings, "count");
    return bench_finish(run.operations, run.seconds);
}
