/* xmalloc.c: half of the threads only allocate, the other half only free. Producers fill batches
 * with blocks of mixed sizes and put them into one bounded queue; consumers take whole batches out
 * and free every block and the batch. No block is freed by the thread that allocated it, so what a
 * thread caches of its own frees is of no use to it.
 *
 * After C. Lever and D. Boreham, "malloc() Performance in a Multithreaded Linux Environment",
 * USENIX 2000 (FREENIX track), in the asymmetric form that SuperMalloc's and mimalloc's suites use.
 * The amount of work is fixed and the queue is short, so that peak memory is comparable.
 */
#include "bench.h"

enum { QUEUE = 64 };

static uint64_t threads = 2;
static uint64_t batch_blocks = 512;
static uint64_t operations = 10 * 1000 * 1000;

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    unsigned producers; /* still at work */
    unsigned first, count;
    void **batches[QUEUE]; /* each an array of batch_blocks blocks */
};

static void put(struct queue *queue, void **batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == QUEUE)
        pthread_cond_wait(&queue->not_full, &queue->lock);
    queue->batches[(queue->first + queue->count++) % QUEUE] = batch;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->lock);
}

/* NULL when all producers are done and nothing is left. */
static void **take(struct queue *queue)
{
    void **batch = NULL;
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && queue->producers > 0)
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    if (queue->count > 0) {
        batch = queue->batches[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        queue->count--;
        pthread_cond_signal(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

static void produce(struct queue *queue, struct bench_thread *thread)
{
    uint64_t batches = operations / batch_blocks / (thread->count / 2) + 1;
    for (uint64_t i = 0; i < batches; i++) {
        size_t size = batch_blocks * sizeof(void *);
        void **batch = malloc(size);
        if (!batch)
            bench_out_of_memory("malloc", size);
        for (uint64_t j = 0; j < batch_blocks; j++)
            batch[j] = bench_alloc(bench_log_between(&thread->random, 16, 1024));
        put(queue, batch);
    }
    pthread_mutex_lock(&queue->lock);
    queue->producers--;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->lock);
}

static void consume(struct queue *queue, struct bench_thread *thread)
{
    for (void **batch; (batch = take(queue)) != NULL;) {
        for (uint64_t j = 0; j < batch_blocks; j++)
            bench_free(batch[j]);
        free((void *)batch);
        thread->operations += batch_blocks + 1;
    }
}

static void work(struct bench_thread *thread)
{
    if (thread->index % 2 == 0)
        produce(thread->context, thread);
    else
        consume(thread->context, thread);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "threads",
         .help = "producers and consumers together; an odd number is rounded up",
         .number = &threads,
         .least = 2,
         .most = BENCH_MOST_THREADS},
        {.name = "batch",
         .help = "blocks of a batch",
         .number = &batch_blocks,
         .least = 1,
         .most = 1 << 20},
        {.name = "operations",
         .help = "blocks allocated and freed in all, rounded to whole batches",
         .number = &operations,
         .least = 1,
         .most = UINT32_MAX},
        {0}};
    bench_start(argc, argv, "Threads that only allocate, and threads that only free.", options);
    operations = bench_scaled(operations);
    threads += threads % 2;
    struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .not_empty = PTHREAD_COND_INITIALIZER,
                          .not_full = PTHREAD_COND_INITIALIZER,
                          .producers = (unsigned)threads / 2};
    struct bench_run run = bench_threads(threads, work, &queue);
    uint64_t expected =
        (operations / batch_blocks / (threads / 2) + 1) * (threads / 2) * (batch_blocks + 1);
    if (run.operations != expected)
        bench_fail("%zu blocks were freed, but %zu were allocated", (size_t)run.operations,
                   (size_t)expected);
    return bench_finish(run.operations, run.seconds);
}
