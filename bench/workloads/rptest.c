/* rptest.c: threads in a loop, each with an array of blocks of 16 bytes to 16 KiB. A round replaces
 * some of them at random; in each second round the thread also allocates a batch for its
 * neighbour, and frees the batches that its other neighbour left for it.
 *
 * After the description of rpmalloc-benchmark (M. Jansson), with the numbers that the mimalloc
 * suite runs it with: 1000 blocks a thread, sizes up to 16 KiB, a hand-over each second round.
 */
#include "bench.h"

#include <stdatomic.h>

enum { BLOCKS = 1000, REPLACED = 200, BATCH = 100, RING = 8 };

static uint64_t threads = 4;
static uint64_t rounds = 24000;

/* Batches on the way from one thread to the next: the sender alone moves `sent`, the receiver alone
 * `received`. */
struct mailbox {
    _Alignas(128) _Atomic(uint64_t) sent;
    _Alignas(128) _Atomic(uint64_t) received;
    void *batches[RING][BATCH];
};

struct place {
    void *blocks[BLOCKS];
    struct mailbox mailbox;
};

static void *some_block(struct bench_thread *thread)
{
    return bench_alloc(bench_between(&thread->random, 16, 16 * 1024));
}

static void free_batch(struct bench_thread *thread, void **batch)
{
    for (unsigned i = 0; i < BATCH; i++)
        bench_free(batch[i]);
    thread->operations += BATCH;
}

/* Into the ring, or, when the receiver lags behind, freed at once. */
static void send_batch(struct bench_thread *thread, struct mailbox *to)
{
    void *late[BATCH];
    uint64_t sent = atomic_load_explicit(&to->sent, memory_order_relaxed);
    uint64_t received = atomic_load_explicit(&to->received, memory_order_acquire);
    void **batch = sent - received < RING ? to->batches[sent % RING] : late;
    for (unsigned i = 0; i < BATCH; i++)
        batch[i] = some_block(thread);
    if (batch == late)
        free_batch(thread, batch);
    else
        atomic_store_explicit(&to->sent, sent + 1, memory_order_release);
}

static void receive_batches(struct bench_thread *thread, struct mailbox *mailbox)
{
    uint64_t received = atomic_load_explicit(&mailbox->received, memory_order_relaxed);
    uint64_t sent = atomic_load_explicit(&mailbox->sent, memory_order_acquire);
    for (; received < sent; received++) {
        free_batch(thread, mailbox->batches[received % RING]);
        atomic_store_explicit(&mailbox->received, received + 1, memory_order_release);
    }
}

static void work(struct bench_thread *thread)
{
    struct place *places = thread->context;
    struct place *own = &places[thread->index];
    struct mailbox *next = &places[(thread->index + 1) % thread->count].mailbox;
    uint64_t count = bench_share(thread, rounds);
    for (uint64_t round = 0; round < count; round++) {
        for (unsigned i = 0; i < REPLACED; i++) {
            void **slot = &own->blocks[bench_below(&thread->random, BLOCKS)];
            if (*slot)
                bench_free(*slot);
            *slot = some_block(thread);
        }
        thread->operations += REPLACED;
        if (round % 2 == 1)
            send_batch(thread, next);
        receive_batches(thread, &own->mailbox);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (own->blocks[i])
            bench_free(own->blocks[i]);
    }
    bench_meet(thread);
    receive_batches(thread, &own->mailbox);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "threads",
                                            .help = "threads that share the rounds",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {.name = "rounds",
                                            .help = "rounds of 200 replaced blocks in all",
                                            .number = &rounds,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {0}};
    bench_start(argc, argv, "Blocks of 16 B to 16 KiB, some freed by another thread.", options);
    rounds = bench_scaled(rounds);
    struct place *places = bench_table(threads * sizeof *places);
    struct bench_run run = bench_threads(threads, work, places);
    uint64_t batches = 0;
    for (uint64_t i = 0; i < threads; i++) {
        struct bench_thread thread = {.index = (unsigned)i, .count = (unsigned)threads};
        batches += bench_share(&thread, rounds) / 2;
    }
    uint64_t expected = rounds * REPLACED + batches * BATCH;
    if (run.operations != expected)
        bench_fail("%zu blocks were replaced or handed over, but %zu were allocated",
                   (size_t)run.operations, (size_t)expected);
    return bench_finish(run.operations, run.seconds);
}
