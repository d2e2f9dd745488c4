/* burst.c: a server that answers requests. Each request allocates a few hundred blocks whose sizes
 * are log-normal about 64 bytes and a buffer of 4 to 256 KiB; when it ends, half of its blocks are
 * freed newest first and half in random order. One block in a hundred goes into a cache instead,
 * which holds a bounded number, so that each stays for many requests and the oldest one is freed.
 */
#include "bench.h"

enum { MOST_BLOCKS = 500, FEWEST_BLOCKS = 100, ONE_KEPT_IN = 100 };

static uint64_t requests = 100 * 1000;
static uint64_t cached = 20000;
static uint64_t threads = 1;

/* Log-normal: an exponent in 1/65536 octaves that is the sum of four uniform numbers, which is
 * close to normal: mean 6 octaves (64 bytes), deviation 1.44, at most 11; 16 bytes at least. The
 * fraction of the exponent goes in linearly. */
static size_t some_size(struct bench_random *random)
{
    uint64_t bits = bench_next(random);
    uint64_t uniform =
        (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    uint64_t exponent = ((uint64_t)1 << 16) + uniform * 5 / 2;
    size_t size = (((exponent & 0xffff) + 65536) << (exponent >> 16)) >> 16;
    return size < 16 ? 16 : size;
}

struct server {
    void **kept; /* `cached` slots, the oldest block in the next one */
    uint64_t next;
    void *request[MOST_BLOCKS]; /* of the request that is being answered */
};

static void keep(struct server *server, void *block)
{
    void **slot = &server->kept[server->next];
    server->next = server->next + 1 == cached ? 0 : server->next + 1;
    if (*slot)
        bench_free(*slot);
    *slot = block;
}

static void answer(struct bench_thread *thread, struct server *server)
{
    struct bench_random *random = &thread->random;
    void **blocks = server->request;
    uint32_t made = (uint32_t)bench_between(random, FEWEST_BLOCKS, MOST_BLOCKS);
    uint32_t count = 0;
    void *buffer = bench_alloc(bench_log_between(random, 4096, 256 * 1024));
    for (uint32_t i = 0; i < made; i++) {
        void *block = bench_alloc(some_size(random));
        if (bench_below(random, ONE_KEPT_IN) == 0)
            keep(server, block);
        else
            blocks[count++] = block;
    }
    for (uint32_t half = count / 2; count > half;)
        bench_free(blocks[--count]);
    while (count > 0) {
        uint32_t index = bench_below(random, count);
        bench_free(blocks[index]);
        blocks[index] = blocks[--count];
    }
    bench_free(buffer);
    thread->operations += made + 1;
}

static void work(struct bench_thread *thread)
{
    struct server *server = (struct server *)thread->context + thread->index;
    uint64_t count = bench_share(thread, requests);
    for (uint64_t i = 0; i < count; i++)
        answer(thread, server);
    for (uint64_t i = 0; i < cached; i++) {
        if (server->kept[i])
            bench_free(server->kept[i]);
    }
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "requests",
                                            .help = "answered in all",
                                            .number = &requests,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {.name = "cached",
                                            .help = "blocks that each thread's cache holds",
                                            .number = &cached,
                                            .least = 1,
                                            .most = 1 << 28},
                                           {.name = "threads",
                                            .help = "threads that share the requests",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {0}};
    bench_start(argc, argv, "Requests that allocate much and keep little.", options);
    requests = bench_scaled(requests);
    struct server *servers = bench_table(threads * sizeof *servers);
    for (uint64_t i = 0; i < threads; i++)
        servers[i].kept = bench_table(cached * sizeof(void *));
    struct bench_run run = bench_threads(threads, work, servers);
    return bench_finish(run.operations, run.seconds);
}
