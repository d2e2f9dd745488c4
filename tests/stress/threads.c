/* threads.c: threads that allocate, fill, hand blocks to each other through a shared table, free
 * what others made, end and start anew, and fork children that do the same; every block carries a
 * pattern that whoever frees it checks. usage: threads [SEED [SECONDS]]; the seed is printed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "allocator/tidemark_alloc.h"

enum { THREADS = 6, SHARED = 2048, OWN = 300, ROUND = 20000 };

struct head {
    size_t size;
    uint64_t mark;
};

static _Atomic(struct head *) shared[SHARED];
static _Atomic bool stop;
static uint64_t seed;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static struct head *make(uint64_t *state)
{
    unsigned bits = 5 + (unsigned)(next(state) % (next(state) % 16 == 0 ? 15 : 7));
    size_t size = sizeof(struct head) + (size_t)(next(state) % (UINT64_C(1) << bits));
    struct head *block = next(state) % 8 == 0 ? tm_calloc(1, size) : tm_malloc(size);
    if (block == NULL)
        return NULL;
    block->size = size;
    block->mark = next(state);
    memset(block + 1, (int)(block->mark & 0xff), size - sizeof *block);
    return block;
}

static void destroy(struct head *block)
{
    if (block == NULL)
        return;
    const unsigned char *bytes = (const unsigned char *)(block + 1);
    for (size_t i = 0; i < block->size - sizeof *block; i++)
        if (bytes[i] != (block->mark & 0xff)) {
            fprintf(stderr, "threads: block %p of %zu bytes was overwritten at %zu\n",
                    (void *)block, block->size, i);
            abort();
        }
    block->mark = 0;
    tm_free(block);
}

static void churn(uint64_t *state, long operations)
{
    static _Thread_local struct head *own[OWN];
    for (long i = 0; i < operations; i++) {
        uint64_t what = next(state);
        if (what % 4 != 0) {
            struct head **slot = &own[next(state) % OWN];
            destroy(*slot);
            *slot = what % 3 == 0 ? NULL : make(state);
        } else {
            struct head *block = what % 16 < 12 ? make(state) : NULL;
            destroy(atomic_exchange(&shared[next(state) % SHARED], block));
        }
    }
    for (int i = 0; i < OWN; i++) {
        destroy(own[i]);
        own[i] = NULL;
    }
}

static void *thread(void *context)
{
    uint64_t state = seed * 77 + (uintptr_t)context * 1000003 + 1;
    churn(&state, ROUND);
    tm_thread_exit();
    /* Frees and requests still come after it. */
    destroy(make(&state));
    return NULL;
}

static void *spawner(void *context)
{
    for (uintptr_t round = 0; !atomic_load(&stop); round++) {
        pthread_t one;
        if (pthread_create(&one, NULL, thread, (void *)((uintptr_t)context * 100000 + round)) == 0)
            pthread_join(one, NULL);
    }
    return NULL;
}

#ifndef NO_FORK
static void in_child(uint64_t state)
{
    alarm(60);
    churn(&state, ROUND);
    for (int i = 0; i < SHARED; i++)
        destroy(atomic_exchange(&shared[i], NULL));
    churn(&state, ROUND);
    _exit(0);
}
#endif

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    if (seed == 0)
        seed = (uint64_t)time(NULL) * 40503 + 7;
    int seconds = argc > 2 ? atoi(argv[2]) : 3;
    bool full = argc > 3 && strcmp(argv[3], "full") == 0;
    printf("threads: seed %llu, %d s%s\n", (unsigned long long)seed, seconds,
           full ? ", check=full" : "");
    fflush(stdout);
    tm_start();
    if (full)
        tm_set_check_full();
    pthread_atfork(tm_fork_prepare, tm_fork_parent, tm_fork_child);
    pthread_t spawners[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&spawners[i], NULL, spawner, (void *)(i + 1));
    uint64_t state = seed | 1;
    time_t end = time(NULL) + seconds;
    int children = 0;
    while (time(NULL) < end) {
        churn(&state, 500);
#ifndef NO_FORK
        pid_t child = fork();
        if (child == 0)
            in_child(next(&state) | 1);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "threads: child %d ended with status 0x%x\n", (int)child,
                    (unsigned)status);
            return 1;
        }
#endif
        children++;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(spawners[i], NULL);
    for (int i = 0; i < SHARED; i++)
        destroy(atomic_exchange(&shared[i], NULL));
    printf("threads: ok, %d rounds\n", children);
    return 0;
}
