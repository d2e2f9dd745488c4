/* larson.c: a server whose threads come and go. Each thread owns an array of blocks and replaces
 * random ones; when its generation ends it hands the array to a new thread and exits, so that most
 * blocks are freed by a thread that did not allocate them ("bleeding"), and allocators have to cope
 * with heaps of threads that are gone.
 *
 * After P.-Å. Larson and M. Krishnan, "Memory allocation for long-running server applications",
 * ISMM 1998. Theirs runs for a fixed time; this one does a fixed amount of work, so that memory is
 * comparable between allocators.
 */
#include "bench.h"

#include <semaphore.h>

static uint64_t threads = 8;
static uint64_t blocks = 5000;
static uint64_t generations = 10;
static uint64_t operations = 24 * 1000 * 1000;
static uint64_t replacements; /* of one thread */
static sem_t finished;

/* One array of blocks, and the generation that has it now. */
struct array {
    void **blocks;
    uint64_t generation;
    struct bench_random random;
};

static size_t some_size(struct bench_random *random)
{
    return bench_between(random, 16, 1000);
}

static void *generation(void *argument)
{
    struct array *array = argument;
    struct bench_random random = array->random;
    for (uint64_t i = 0; i < replacements; i++) {
        void **slot = &array->blocks[bench_below(&random, (uint32_t)blocks)];
        bench_free(*slot);
        *slot = bench_alloc(some_size(&random));
    }
    array->random = random;
    if (++array->generation < generations)
        pthread_detach(bench_spawn(generation, array));
    else
        sem_post(&finished);
    return NULL;
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "threads",
         .help = "threads at any time",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {.name = "blocks",
         .help = "live blocks of each thread",
         .number = &blocks,
         .least = 1,
         .most = 1 << 28},
        {.name = "generations",
         .help = "threads that have the same array, one after the other",
         .number = &generations,
         .least = 1,
         .most = 1 << 20},
        {.name = "operations",
         .help = "blocks replaced in all, rounded up",
         .number = &operations,
         .least = 1,
         .most = UINT32_MAX},
        {0}};
    bench_start(argc, argv, "A server whose threads hand their blocks to their successors.",
                options);
    replacements = bench_scaled(operations) / threads / generations + 1;
    sem_init(&finished, 0, 0);
    struct array *arrays = bench_table(threads * sizeof *arrays);
    for (uint64_t i = 0; i < threads; i++) {
        arrays[i] = (struct array){.blocks = bench_table(blocks * sizeof(void *)),
                                   .random = {.state = i << 32}};
        for (uint64_t j = 0; j < blocks; j++)
            arrays[i].blocks[j] = bench_alloc(some_size(&arrays[i].random));
    }
    double start = bench_now();
    for (uint64_t i = 0; i < threads; i++)
        pthread_detach(bench_spawn(generation, &arrays[i]));
    for (uint64_t i = 0; i < threads; i++)
        sem_wait(&finished);
    double seconds = bench_now() - start;
    for (uint64_t i = 0; i < threads; i++) {
        for (uint64_t j = 0; j < blocks; j++)
            bench_free(arrays[i].blocks[j]);
    }
    return bench_finish(replacements * generations * threads, seconds);
}
