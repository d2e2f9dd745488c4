/* frag.c: how much of a peak goes back. Blocks worth 400 MiB are allocated and most are freed: all,
 * or all but one in twenty, either single blocks at random or whole runs of blocks that were
 * allocated one after the other. Then the process is idle, or allocates and frees one small block
 * each millisecond, and its RSS is read a while later.
 *
 * The page floor beside it is what the survivors' own pages amount to: an allocator that moves
 * nothing, and had placed the blocks as this one did, cannot be below. Nothing is allocated between
 * the frees and the reading. Threads have their share each and stay alive, blocked, meanwhile;
 * thread 0 is the main thread, which ticks.
 */
#include "bench.h"

#include <time.h>

enum { SMALL, WIDE };
enum { ALL, RUNS, RANDOM };
enum { IDLE, TICK };
enum { KEPT_ONE_IN = 20 };

static uint64_t bytes = 400 * 1024 * 1024;
static uint64_t run_length = 1000;
static uint64_t threads = 1;
static double seconds = 2;
static unsigned sizes = SMALL;
static unsigned freed = RANDOM;
static unsigned after = IDLE;

/* A thread's blocks; after the frees, the survivors alone. */
struct part {
    _Alignas(128) void **blocks;
    uint64_t count;
    uint64_t live; /* requested bytes */
};

static struct part parts[BENCH_MOST_THREADS];
static double fill_and_free_seconds;
static uint64_t rss_peak;
static uint64_t rss_after;

static uint64_t mean_size(void)
{
    /* WIDE: 12 octaves from 16 bytes, each with 1.5 times its base in the mean: 1.5 * 16 * 4095
     * / 12. */
    return sizes == SMALL ? (16 + 512) / 2 : 8190;
}

static size_t some_size(struct bench_random *random)
{
    return sizes == SMALL ? bench_between(random, 16, 512)
                          : bench_log_between(random, 16, 64 * 1024);
}

static void fill(struct bench_thread *thread, struct part *part)
{
    for (uint64_t i = 0; i < part->count; i++) {
        size_t size = some_size(&thread->random);
        part->live += size;
        part->blocks[i] = bench_alloc(size);
    }
    thread->operations = part->count;
}

static void free_most(struct bench_thread *thread, struct part *part)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < part->count; i++) {
        int keep = (freed == RUNS && i / run_length % KEPT_ONE_IN == 0) ||
                   (freed == RANDOM && bench_below(&thread->random, KEPT_ONE_IN) == 0);
        if (keep)
            part->blocks[kept++] = part->blocks[i];
        else
            part->live -= bench_free(part->blocks[i]);
    }
    part->count = kept;
}

static void pause_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static void wait_idle_or_ticking(void)
{
    if (after == IDLE) {
        pause_ms((uint64_t)(seconds * 1000));
        return;
    }
    for (double end = bench_now() + seconds; bench_now() < end;) {
        bench_free(bench_alloc(64));
        pause_ms(1);
    }
}

static void work(struct bench_thread *thread)
{
    struct part *part = &parts[thread->index];
    double start = bench_now();
    fill(thread, part);
    bench_meet(thread);
    if (thread->index == 0)
        rss_peak = bench_rss();
    bench_meet(thread);
    free_most(thread, part);
    bench_meet(thread);
    if (thread->index == 0) {
        fill_and_free_seconds = bench_now() - start;
        wait_idle_or_ticking();
        rss_after = bench_rss();
    }
    bench_meet(thread);
}

/* --- After the measurement ------------------------------------------------------------------ */

/* Shell sort, as it needs no memory. Gaps: M. Ciura, "Best increments for the average case of
 * Shellsort", FCT 2001, continued by 2.25. */
static void sort(void **blocks, uint64_t count)
{
    static const uint64_t gaps[] = {9000000, 4000000, 1750000, 780000, 344000, 153000, 68000,
                                    30000,   13000,   5900,    2600,   1150,   510,    230,
                                    102,     45,      20,      9,      4,      1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        for (uint64_t i = gaps[g]; i < count; i++) {
            void *block = blocks[i];
            uint64_t j = i;
            for (; j >= gaps[g] && blocks[j - gaps[g]] > block; j -= gaps[g])
                blocks[j] = blocks[j - gaps[g]];
            blocks[j] = block;
        }
    }
}

/* Checks the blocks and gives the bytes of the pages that they lie on. */
static uint64_t page_floor(void **blocks, uint64_t count)
{
    uint64_t pages = 0;
    uintptr_t next = 0; /* the first page that is not counted */
    sort(blocks, count);
    for (uint64_t i = 0; i < count; i++) {
        uintptr_t start = (uintptr_t)blocks[i];
        uintptr_t last = (start + bench_check(blocks[i]) - 1) / BENCH_PAGE;
        uintptr_t first = start / BENCH_PAGE > next ? start / BENCH_PAGE : next;
        if (last >= first) {
            pages += last - first + 1;
            next = last + 1;
        }
    }
    return pages * BENCH_PAGE;
}

/* Brings the parts' survivors together at the start of the table. */
static uint64_t collect(void **table)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < threads; i++) {
        memmove(table + count, parts[i].blocks, parts[i].count * sizeof *table);
        count += parts[i].count;
    }
    return count;
}

static int show(void **table, uint64_t rss_start, uint64_t operations)
{
    uint64_t live = 0;
    uint64_t count = collect(table);
    for (uint64_t i = 0; i < threads; i++)
        live += parts[i].live;
    uint64_t floor = page_floor(table, count);
    uint64_t survived = 0;
    for (uint64_t i = 0; i < count; i++)
        survived += bench_free(table[i]);
    if (survived != live)
        bench_fail("%zu bytes were not freed, but the survivors have %zu", (size_t)live,
                   (size_t)survived);
    bench_count("rss_start", rss_start, "B");
    bench_count("rss_peak", rss_peak, "B");
    bench_count("rss_after", rss_after, "B");
    bench_count("live", live, "B");
    bench_count("survivors", count, "count");
    bench_count("page_floor", floor, "B");
    return bench_finish(operations, fill_and_free_seconds);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "bytes",
         .help = "allocated, in the mean",
         .number = &bytes,
         .least = 1,
         .most = (uint64_t)1 << 36},
        {.name = "sizes",
         .help = "small: 16 B to 512 B, uniform; wide: 16 B to 64 KiB, log-uniform",
         .choice = &sizes,
         .choices = "small|wide"},
        {.name = "free",
         .help = "all, or all but one in twenty: in runs, or at random",
         .choice = &freed,
         .choices = "all|runs|random"},
        {.name = "run",
         .help = "blocks of a run",
         .number = &run_length,
         .least = 1,
         .most = UINT32_MAX},
        {.name = "threads",
         .help = "threads that share the bytes",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {.name = "after",
         .help = "what the main thread does between the frees and the reading of RSS",
         .choice = &after,
         .choices = "idle|tick"},
        {.name = "seconds", .help = "between the frees and the reading", .real = &seconds},
        {0}};
    bench_start(argc, argv, "Allocates, frees most, waits, and tells what is still resident.",
                options);
    uint64_t rss_start = bench_rss();
    uint64_t total = bench_scaled(bytes) / mean_size() + 1;
    void **table = bench_table(total * sizeof *table);
    for (uint64_t i = 0; i < threads; i++) {
        struct bench_thread thread = {.index = (unsigned)i, .count = (unsigned)threads};
        parts[i].blocks = table + bench_share_start(&thread, total);
        parts[i].count = bench_share(&thread, total);
    }
    return show(table, rss_start, bench_threads(threads, work, NULL).operations);
}
