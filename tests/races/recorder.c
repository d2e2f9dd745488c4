/* recorder.c: everything that threads do to the allocator and to the recorder at the same time,
 * linked as an ordinary program for the sanitizers: blocks made and freed across threads while
 * recording is switched on and off from several sides, snapshots are asked for, the timeline, the
 * live page and the watch over RSS tick as fast as they can, libraries are said to come and go,
 * threads end, heaps are trimmed, and the process forks. Every block carries a pattern that whoever
 * frees it checks.
 *
 * usage: recorder [SEED [SECONDS [full]]]; the seed is printed. full: with check=full.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "allocator/census.h"
#include "allocator/tidemark_alloc.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/record.h"
#include "profiler/record/sites.h"

enum { THREADS = 3, ASKERS = 2, SHARED = 512, OWN = 100, ROUND = 3000 };

struct block {
    size_t size;
    uint64_t mark;
    unsigned char bytes[];
};

static _Atomic(struct block *) shared[SHARED];
static _Atomic bool stop;
static uint64_t seed;
static char directory[] = "/tmp/tidemark-races-XXXXXX";

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void fail(const char *what)
{
    fprintf(stderr, "recorder: %s\n", what);
    abort();
}

/* ---- blocks ---- */

static struct block *paint(struct block *block, size_t size, uint64_t mark)
{
    if (block == NULL)
        fail("no memory");
    block->size = size;
    block->mark = mark;
    memset(block->bytes, (int)(mark & 0xff), size - sizeof *block);
    return block;
}

static void check(const struct block *block)
{
    for (size_t i = 0; i < block->size - sizeof *block; i++)
        if (block->bytes[i] != (block->mark & 0xff))
            fail("a block was written to");
}

static size_t any_size(uint64_t *state)
{
    unsigned bits = 5 + (unsigned)(next(state) % (next(state) % 16 == 0 ? 13 : 7));
    return sizeof(struct block) + (size_t)(next(state) % (UINT64_C(1) << bits));
}

/* From a stack of its own for each depth. */
/* NOLINTNEXTLINE(misc-no-recursion): the stacks are what this is for */
__attribute__((noinline)) static struct block *make(uint64_t *state, unsigned depth)
{
    struct block *block;
    if (depth != 0) {
        block = make(state, depth - 1);
        __asm__ volatile("" : "+r"(block) : : "memory");
        return block;
    }
    size_t size = any_size(state);
    switch (next(state) % 8) {
    case 0:
        block = tm_calloc(1, size);
        break;
    case 1:
        block = tm_aligned((size_t)16 << next(state) % 9, size);
        break;
    default:
        block = tm_malloc(size);
    }
    return paint(block, size, next(state));
}

static void destroy(struct block *block)
{
    if (block == NULL)
        return;
    check(block);
    tm_free(block);
}

static struct block *change(uint64_t *state, struct block *block)
{
    size_t size = any_size(state);
    check(block);
    return paint(tm_realloc(block, size), size, next(state));
}

static void churn(uint64_t *state, long operations)
{
    static _Thread_local struct block *own[OWN];
    for (long i = 0; i < operations; i++) {
        uint64_t what = next(state);
        if (what % 4 == 0) {
            struct block *block = what % 16 < 12 ? make(state, (unsigned)(what >> 8) % 12) : NULL;
            destroy(atomic_exchange(&shared[next(state) % SHARED], block));
            continue;
        }
        struct block **slot = &own[next(state) % OWN];
        if (*slot != NULL && what % 8 == 1) {
            *slot = change(state, *slot);
            continue;
        }
        destroy(*slot);
        *slot = what % 3 == 0 ? NULL : make(state, (unsigned)(what >> 8) % 12);
    }
    for (int i = 0; i < OWN; i++) {
        destroy(own[i]);
        own[i] = NULL;
    }
}

/* ---- what is asked of the whole ---- */

static void look(void)
{
    struct tm_census_counters counters;
    struct tm_census_look at;
    tm_census_counters(&counters);
    tm_census_look(16, (uint32_t)counters.taken_bytes, &at);
    if (counters.heaps == 0)
        fail("nobody has a heap");
}

static void come_and_go(void)
{
    tm_record_unloading();
    tm_record_unloaded();
    tm_record_listing();
    tm_record_listed();
}

static void ask(uint64_t *state)
{
    static const uint32_t sites[] = {TM_SITES_ALL, TM_SITES_OFF, TM_SITES_SAMPLE, TM_SITES_ALL,
                                     TM_SITES_SAMPLE};
    switch (next(state) % 8) {
    case 0:
    case 1:
        tm_record_sites(sites[next(state) % 5]);
        break;
    case 2:
        tm_record_request();
        break;
    case 3:
        tm_trim();
        break;
    case 4:
        tm_trim_from_signal();
        break;
    case 5:
        come_and_go();
        break;
    case 6:
        tm_set_retain((size_t)(next(state) % 4) << 20, (unsigned)(next(state) % 30));
        break;
    default:
        look();
    }
}

/* ---- threads ---- */

/* As preload/start.c has a thread end. */
static void end_thread(void)
{
    tm_thread_ends_soon();
    tm_record_thread_ends();
    tm_thread_exit();
}

static void *thread(void *context)
{
    uint64_t state = seed * 77 + (uintptr_t)context * 1000003 + 1;
    for (int i = 0; i < 4; i++) {
        churn(&state, ROUND / 4);
        ask(&state);
    }
    tm_thread_ends_soon(); /* and yet it goes on */
    churn(&state, 50);
    end_thread();
    destroy(make(&state, 3));
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

/* Two of them ask at the same time, as often as the others give way. */
static void *asker(void *context)
{
    uint64_t state = seed * 31 + (uintptr_t)context;
    while (!atomic_load(&stop)) {
        ask(&state);
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    end_thread();
    return NULL;
}

/* ---- forks, as preload/start.c arranges them ---- */

static void fork_prepare(void)
{
    tm_record_fork_prepare();
    tm_fork_prepare();
}

static void fork_parent(void)
{
    tm_fork_parent();
    tm_record_fork_parent();
}

static void fork_child(void)
{
    tm_fork_child();
    tm_record_fork_child();
}

/* The thread sanitizer then goes on in a child that has no other thread. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void fork_once(uint64_t *state)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        churn(state, ROUND);
        for (int i = 0; i < SHARED; i++)
            destroy(atomic_exchange(&shared[i], NULL));
        tm_record_sites(TM_SITES_ALL);
        churn(state, ROUND);
        _exit(7);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 7 << 8) {
        fprintf(stderr, "recorder: child %d ended with status 0x%x\n", (int)child,
                (unsigned)status);
        abort();
    }
}

/* ---- beginning and end ---- */

static void start(bool check_full)
{
    static struct tm_record_settings settings = {
        .timeline_ns = 1000000,
        .sites = TM_SITES_SAMPLE,
        .rate_bytes = 2048,
        .by_thread = true,
        .children = true,
        .live = true,
        .at_bytes = (uint64_t)1 << 20,
    };
    if (mkdtemp(directory) == NULL)
        fail("no directory for snapshots");
    snprintf(settings.out, sizeof settings.out, "%s/%%p.heap", directory);
    tm_start();
    if (check_full)
        tm_set_check_full();
    tm_record_start(&settings);
    tm_record_main();
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void finish(void)
{
    const struct tm_status *status = &tidemark_status;
    for (int i = 0; __atomic_load_n(&status->requested, __ATOMIC_ACQUIRE) !=
                    __atomic_load_n(&status->merged, __ATOMIC_ACQUIRE) +
                        __atomic_load_n(&status->written, __ATOMIC_ACQUIRE) +
                        __atomic_load_n(&status->failed, __ATOMIC_ACQUIRE);
         i++) {
        if (i == 30000)
            fail("a request for a snapshot is not answered");
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    if (status->requested == 0 || status->switches == 0 || tm_sites_count() < 20)
        fail("nothing was recorded");
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0)
        fail("the snapshots cannot be removed");
    printf("recorder: ok, %u requests, %u snapshots, %u switches, %u sites\n", status->requested,
           status->written, status->switches, tm_sites_count());
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 40503 + 7;
    int seconds = argc > 2 ? atoi(argv[2]) : 5;
    printf("recorder: seed %llu, %d s\n", (unsigned long long)seed, seconds);
    fflush(stdout);
    start(argc > 3 && strcmp(argv[3], "full") == 0);
    pthread_t others[THREADS + ASKERS];
    for (uintptr_t i = 0; i < THREADS + ASKERS; i++)
        if (pthread_create(&others[i], NULL, i < THREADS ? spawner : asker, (void *)(i + 1)) != 0)
            fail("no thread");
    uint64_t state = seed | 1;
    int forks = 0;
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        churn(&state, 500);
        ask(&state);
        if (next(&state) % 4 == 0) {
            fork_once(&state);
            forks++;
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS + ASKERS; i++)
        pthread_join(others[i], NULL);
    for (int i = 0; i < SHARED; i++)
        destroy(atomic_exchange(&shared[i], NULL));
    printf("recorder: %d forks\n", forks);
    finish();
    return 0;
}
