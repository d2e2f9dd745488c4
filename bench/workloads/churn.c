/* churn.c: what most programs do most of the time: each thread allocates and frees its own small
 * blocks, and as many are live as the window has slots. The pattern says which block dies when a
 * new one is born: a random one, the oldest (fifo), the newest (lifo: the window fills and empties
 * in strides of random length), or the new one itself at once (pair).
 */
#include "bench.h"

enum pattern { RANDOM, FIFO, LIFO, PAIR };

static uint64_t size = 0; /* 0: mixed */
static uint64_t window = 1000;
static uint64_t threads = 1;
static uint64_t operations = 50 * 1000 * 1000;
static unsigned pattern = RANDOM;

static inline void *born(struct bench_thread *thread)
{
    return bench_alloc(size ? size : bench_small(&thread->random));
}

static void replace_random(struct bench_thread *thread, void **slots, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        void **slot = &slots[bench_below(&thread->random, (uint32_t)window)];
        if (*slot)
            bench_free(*slot);
        *slot = born(thread);
    }
}

static void replace_oldest(struct bench_thread *thread, void **slots, uint64_t count)
{
    uint64_t slot = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (slots[slot])
            bench_free(slots[slot]);
        slots[slot] = born(thread);
        slot = slot + 1 == window ? 0 : slot + 1;
    }
}

static void replace_newest(struct bench_thread *thread, void **slots, uint64_t count)
{
    uint64_t depth = 0;
    for (uint64_t done = 0; done < count;) {
        uint64_t up = 1 + bench_below(&thread->random, (uint32_t)window);
        for (; up > 0 && depth < window && done < count; up--, done++)
            slots[depth++] = born(thread);
        for (uint64_t down = bench_below(&thread->random, (uint32_t)depth + 1); down > 0; down--) {
            bench_free(slots[--depth]);
            slots[depth] = NULL;
        }
    }
}

static void pairs(struct bench_thread *thread, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        bench_free(born(thread));
}

static void churn(struct bench_thread *thread)
{
    void **slots = (void **)thread->context + thread->index * window;
    uint64_t count = bench_share(thread, operations);
    switch ((enum pattern)pattern) {
    case RANDOM:
        replace_random(thread, slots, count);
        break;
    case FIFO:
        replace_oldest(thread, slots, count);
        break;
    case LIFO:
        replace_newest(thread, slots, count);
        break;
    case PAIR:
        pairs(thread, count);
        break;
    }
    for (uint64_t i = 0; i < window; i++) {
        if (slots[i])
            bench_free(slots[i]);
    }
    thread->operations = count;
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "size",
                                            .help = "bytes of each block, or 16 to 512 mixed",
                                            .number = &size,
                                            .least = 16,
                                            .most = 1 << 30,
                                            .zero = "mixed"},
                                           {.name = "pattern",
                                            .help = "which block a new one replaces",
                                            .choice = &pattern,
                                            .choices = "random|fifo|lifo|pair"},
                                           {.name = "window",
                                            .help = "blocks that each thread holds",
                                            .number = &window,
                                            .least = 1,
                                            .most = 1 << 28},
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
    bench_start(argc, argv, "Thread-local churn of small blocks.", options);
    operations = bench_scaled(operations);
    struct bench_run run =
        bench_threads(threads, churn, bench_table(threads * window * sizeof(void *)));
    return bench_finish(run.operations, run.seconds);
}
