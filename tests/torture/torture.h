/* torture.h: what the parts of the torture program share. Each part does one kind of thing to the
 * process (blocks, threads, processes, loader, signals), chosen by a generator of its thread;
 * main.c mixes them. A part that finds something wrong ends the program through fail().
 */
#ifndef TIDEMARK_TESTS_TORTURE_H
#define TIDEMARK_TESTS_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- chance: splitmix64 ---- */

struct chance {
    uint64_t state;
};

static inline uint64_t draw(struct chance *chance)
{
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline unsigned below(struct chance *chance, unsigned limit)
{
    return (unsigned)(draw(chance) % limit);
}

/* ---- the page that the watchdog reads (run.py) ---- */

enum { WORKERS_MOST = 16, MESSAGE_BYTES = 256 };

/* What is counted; run.py has the names in the same order. */
enum kind {
    COUNT_BLOCKS,
    COUNT_JOINED,
    COUNT_DETACHED,
    COUNT_PTHREAD_EXIT,
    COUNT_CANCELLED,
    COUNT_CANCELLED_ANYWHERE,
    COUNT_RAW_EXIT,
    COUNT_FORKS,
    COUNT_FORKS_IN_CHILDREN,
    COUNT_EXECS,
    COUNT_SPAWNS,
    COUNT_KILLED,
    COUNT_EXITS_WITH_THREADS,
    COUNT_PLUGINS,
    COUNT_UNLOADED,
    COUNT_THROWN,
    COUNT_HANDLED,
    COUNT_REQUESTS,
    COUNT_SWITCHES,
    COUNT_TRIMS,
    COUNT_STREAMS,
    KINDS
};

/* All 64-bit words, so that the watchdog needs no layout. Written with atomic operations. */
struct page {
    uint64_t failed; /* the process that found something wrong, and waits to be looked at */
    uint64_t workers;
    uint64_t steps[WORKERS_MOST]; /* of each worker of the first process: it moves */
    uint64_t doing[WORKERS_MOST]; /* enum kind of the step that it is at */
    uint64_t counts[KINDS];
    char message[MESSAGE_BYTES];
};

extern struct page *page;

static inline void count(enum kind kind)
{
    __atomic_fetch_add(&page->counts[kind], 1, __ATOMIC_RELAXED);
}

/* Says what is wrong and ends the process, after the watchdog, if there is one, has looked. */
__attribute__((noreturn, format(printf, 3, 4))) void fail(const char *file, int line,
                                                          const char *format, ...);
#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL("wrong: %s", #condition);                                                         \
    } while (0)

void sleep_us(long us);

/* ---- blocks.c ---- */

enum { OWN = 160 };

/* A thread's blocks. */
struct own {
    struct chance chance;
    struct block *blocks[OWN];
};

void churn(struct own *own, unsigned steps);
void check_all(const struct own *own);
void release_all(struct own *own);
/* Many blocks of one size at once, which go in another order. */
void swell(struct own *own);
/* In a process that has one thread: every block that another thread left in the shared table. */
void check_shared(void);

/* ---- threads.c ---- */

void threads_start(void);
/* A thread that allocates and ends in one of the ways there are. */
void use_thread(struct own *own);
/* Threads that run until the process ends. */
void leave_threads(struct own *own, unsigned number);

/* ---- processes.c ---- */

void use_fork(struct own *own, unsigned depth, bool may_load);
void use_spawn(struct own *own);
void wait_for(pid_t child, int expected, const char *what);
/* main of what is executed. */
int leaf(uint64_t seed, int status);

/* ---- loader.c ---- */

void loader_start(const char *program);
void use_plugin(struct own *own);
/* Around a fork whose child opens libraries or ends by exit(): no other thread is inside the
 * loader, whose state the child would find half changed, with any malloc. */
void loader_quiet(void);
void loader_loud(void);
void loader_child(void);

/* ---- signals.c ---- */

/* In a new program. root: its timer begins to tick. */
void signals_start(bool root);
void signals_thread(void);
void use_signals(struct own *own);
/* What a process asks of the library through its header's functions, if that is there. */
void use_calls(struct own *own);
/* The library answers every request. */
void signals_settle(void);
/* Blocked, or not, for the calling thread: the signal that asks. A new program has no handler for
 * it yet. */
void signals_block_requests(bool block);

/* ---- main.c ---- */

extern uint64_t seed;
extern const char *program_path;
/* One random step. depth: forks between the first process and this one. may_load: see
 * loader_quiet(). */
void step(struct own *own, unsigned depth, bool may_load);

#endif
