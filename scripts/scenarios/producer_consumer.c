/* producer_consumer.c: one thread allocates, others free. A producer makes messages in bursts that
 * outrun the consumers, so that a backlog builds up; the consumers then free all of it but a few
 * messages that they file. Every block is freed by another thread than its own, and what is filed
 * lies scattered over the memory of the burst.
 */
#include "phase.h"

#include <pthread.h>

enum { CONSUMERS_MOST = 64, LARGEST = 2048 };

struct message {
    struct message *next;
    size_t size; /* of the whole block, bytes */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message *first, **last;
    size_t waiting;        /* messages in the queue */
    unsigned busy;         /* consumers at work on a message */
    int held_up;           /* consumers wait until the burst is complete */
    int closed;            /* no message will come */
    struct message *filed; /* kept to the end */
    size_t filed_count;
    size_t stride; /* one message in so many is filed */
    size_t taken;
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .last = &queue.first};

static void *consume(void *unused)
{
    (void)unused;
    uint64_t sum = 0;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        while (!queue.closed && (queue.held_up || !queue.first))
            pthread_cond_wait(&queue.changed, &queue.lock);
        struct message *message = queue.first;
        if (!message)
            break;
        queue.first = message->next;
        if (!queue.first)
            queue.last = &queue.first;
        queue.waiting--;
        if (queue.taken++ % queue.stride == 0) {
            message->next = queue.filed;
            queue.filed = message;
            queue.filed_count++;
            continue;
        }
        queue.busy++;
        pthread_mutex_unlock(&queue.lock);
        sum += ((unsigned char *)message)[message->size - 1];
        free(message);
        pthread_mutex_lock(&queue.lock);
        if (--queue.busy == 0 && !queue.first)
            pthread_cond_broadcast(&queue.changed);
    }
    pthread_mutex_unlock(&queue.lock);
    return (void *)(uintptr_t)(sum & 1); /* so that reading the messages is not optimised away */
}

/* Sizes from 32 to LARGEST bytes, each doubling as likely as the others. */
static size_t size_of_next(uint64_t *random)
{
    uint64_t drawn = phase_random(random) >> 32;
    size_t least = (size_t)32 << (drawn % 6);
    return least + (drawn >> 8) % least;
}

static void produce(size_t bytes, uint64_t *random)
{
    for (size_t made = 0; made < bytes;) {
        size_t size = size_of_next(random);
        struct message *message = malloc(size);
        if (!message) {
            fputs("producer-consumer: out of memory; ask for less with --mib\n", stderr);
            exit(1);
        }
        memset(message, 0x5a, size);
        message->next = NULL;
        message->size = size;
        made += size;
        pthread_mutex_lock(&queue.lock);
        *queue.last = message;
        queue.last = &message->next;
        queue.waiting++;
        pthread_mutex_unlock(&queue.lock);
    }
}

static void burst(double start, size_t bytes, uint64_t *random, unsigned number)
{
    char text[96];
    pthread_mutex_lock(&queue.lock);
    queue.held_up = 1;
    pthread_mutex_unlock(&queue.lock);
    produce(bytes, random);
    snprintf(text, sizeof text, "burst %u: %zu messages wait", number, queue.waiting);
    phase_tell(start, text);
    pthread_mutex_lock(&queue.lock);
    queue.held_up = 0;
    pthread_cond_broadcast(&queue.changed);
    while (queue.first || queue.busy)
        pthread_cond_wait(&queue.changed, &queue.lock);
    snprintf(text, sizeof text, "burst %u: consumed, %zu messages filed so far", number,
             queue.filed_count);
    pthread_mutex_unlock(&queue.lock);
    phase_tell(start, text);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"mib",   "bursts", "consumers", "stride",
                                        "pause", "idle",   NULL};
    phase_check(argc, argv, names,
                "[--mib N (of a burst)] [--bursts N] [--consumers N (threads, up to 64)] [--stride "
                "N (one message in N stays)] [--pause SECONDS (between bursts)] [--idle SECONDS "
                "(at the end)]");
    size_t bytes = (size_t)(phase_option(argc, argv, "mib", 200) * 1024 * 1024);
    unsigned bursts = (unsigned)phase_option(argc, argv, "bursts", 3);
    unsigned consumers = (unsigned)phase_option(argc, argv, "consumers", 3);
    double stride = phase_option(argc, argv, "stride", 200);
    double pause = phase_option(argc, argv, "pause", 1);
    double idle = phase_option(argc, argv, "idle", 4);
    queue.stride = stride < 1 ? 1 : (size_t)stride;
    if (consumers < 1 || consumers > CONSUMERS_MOST)
        consumers = consumers < 1 ? 1 : CONSUMERS_MOST;
    pthread_t threads[CONSUMERS_MOST];
    for (unsigned i = 0; i < consumers; i++)
        if (pthread_create(&threads[i], NULL, consume, NULL) != 0) {
            fputs("producer-consumer: cannot start a thread; ask for fewer --consumers\n", stderr);
            return 1;
        }
    double start = phase_seconds();
    uint64_t random = 1;
    for (unsigned number = 1; number <= bursts; number++) {
        burst(start, bytes, &random, number);
        phase_wait(pause);
    }
    phase_wait(idle);
    phase_tell(start, "after idling");
    pthread_mutex_lock(&queue.lock);
    queue.closed = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    for (unsigned i = 0; i < consumers; i++)
        pthread_join(threads[i], NULL);
    /* What is filed stays: stopped as it is, so that freeing it is no part of the picture. */
    return 0;
}
