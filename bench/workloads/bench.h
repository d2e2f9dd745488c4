/* bench.h: what the workloads of the benchmark suite have in common: options, figures, memory for
 * their own tables, a generator of numbers, blocks that check themselves, and threads.
 *
 * A workload is measured under whatever allocator is preloaded, so nothing here may call that
 * allocator: tables come from mmap, stdout has a static buffer, the threads' records are mapped.
 * What runs once per operation is inline, so that the allocator is most of what is timed.
 */
#ifndef TIDEMARK_BENCH_H
#define TIDEMARK_BENCH_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- Options -------------------------------------------------------------------------------- */

/* Exactly one of number, real and choice is set and holds the default until bench_start. Sizes may
 * have a suffix K, M or G (powers of 1024). */
struct bench_option {
    const char *name;
    const char *help;
    uint64_t *number;
    uint64_t least, most; /* of number */
    const char *zero;     /* a word that stands for number 0, beside least and most; or NULL */
    double *real;
    unsigned *choice;    /* an index into choices */
    const char *choices; /* "first|second|third" */
};

/* Reads the command line into the options, a list that ends with an empty one. --scale and --help
 * are every workload's. Exits with 2 when the command line is wrong. */
void bench_start(int argc, char **argv, const char *purpose, const struct bench_option *options);

/* `work` times --scale, but at least 1. */
uint64_t bench_scaled(uint64_t work);

enum { BENCH_MOST_THREADS = 512 };

/* --- Results -------------------------------------------------------------------------------- */

void bench_figure(const char *name, double value, const char *unit);
void bench_count(const char *name, uint64_t value, const char *unit);

/* Prints the figures that every workload has, and gives the exit status. */
int bench_finish(uint64_t operations, double seconds);

/* A check did not hold: says so on stderr and ends the process with 1, from any thread. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_out_of_memory(const char *function, size_t size) __attribute__((noreturn));
void bench_damaged(const void *block) __attribute__((noreturn));

double bench_now(void);          /* seconds, monotonic */
double bench_cpu(void);          /* seconds of processor time of the whole process */
uint64_t bench_rss(void);        /* resident bytes, read without an allocation */
void *bench_table(size_t bytes); /* zeroed, resident at once, never given back, counted */

/* --- Numbers -------------------------------------------------------------------------------- */

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
struct bench_random {
    uint64_t state;
};

static inline uint64_t bench_next(struct bench_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in 0 … bound-1. */
static inline uint32_t bench_below(struct bench_random *random, uint32_t bound)
{
    return (uint32_t)(((bench_next(random) >> 32) * bound) >> 32);
}

/* Uniform in low … high. */
static inline size_t bench_between(struct bench_random *random, size_t low, size_t high)
{
    return low + bench_below(random, (uint32_t)(high - low + 1));
}

/* Log-uniform by octaves in low … high-1, both powers of two: each octave is as likely as any
 * other, and within an octave each size is. */
static inline size_t bench_log_between(struct bench_random *random, size_t low, size_t high)
{
    unsigned octaves = (unsigned)__builtin_ctzll(high / low);
    size_t base = low << bench_below(random, octaves);
    return base + bench_below(random, (uint32_t)base);
}

/* Small objects as programs have them: 16 … 512 bytes, half of them 256 or less, 200 in the mean.
 */
enum { BENCH_SMALL_MEAN = 200 };
static inline size_t bench_small(struct bench_random *random)
{
    uint64_t bits = bench_next(random);
    uint64_t span = bits & 1 ? 512 - 16 + 1 : 256 - 16 + 1;
    return 16 + (size_t)(((bits >> 32) * span) >> 32);
}

/* --- Blocks --------------------------------------------------------------------------------- */

/* The first and the last eight bytes of a block hold its size and a hash of size and address. So a
 * block needs no entry in a table to be checked, and damage at either end is seen. The check
 * wipes the first word: of two owners that got the same block, the second one's check fails.
 * For sizes of 8, or of 16 and more, below 4 GiB. Each page of a larger block is written to, too,
 * and checked, since memory that is never touched is not resident. */
enum { BENCH_PAGE = 4096 };
void bench_mark_pages(void *block, size_t size);
void bench_check_pages(const void *block, size_t size);

static inline uint64_t bench_mark_of(const void *block, size_t size)
{
    uint64_t hash = ((uint64_t)(uintptr_t)block ^ size * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    return (hash & 0xffffffff00000000u) | size;
}

static inline void bench_mark(void *block, size_t size)
{
    uint64_t mark = bench_mark_of(block, size);
    memcpy((char *)block + size - sizeof mark, &mark, sizeof mark);
    memcpy(block, &mark, sizeof mark);
    if (size > BENCH_PAGE)
        bench_mark_pages(block, size);
    __asm__ volatile("" : : "r"(block) : "memory"); /* the allocation is not to be optimised away */
}

/* The size of an intact block. */
static inline size_t bench_check(const void *block)
{
    uint64_t first;
    uint64_t last;
    memcpy(&first, block, sizeof first);
    size_t size = (uint32_t)first;
    if (__builtin_expect(first != bench_mark_of(block, size), 0))
        bench_damaged(block);
    memcpy(&last, (const char *)block + size - sizeof last, sizeof last);
    if (__builtin_expect(last != first, 0))
        bench_damaged(block);
    if (size > BENCH_PAGE)
        bench_check_pages(block, size);
    return size;
}

static inline void *bench_alloc(size_t size)
{
    void *block = malloc(size);
    if (__builtin_expect(!block, 0))
        bench_out_of_memory("malloc", size);
    bench_mark(block, size);
    return block;
}

static inline size_t bench_free(void *block)
{
    size_t size = bench_check(block);
    memset(block, 0, sizeof(uint64_t));
    __asm__ volatile("" : : "r"(block) : "memory"); /* nor this store, nor the free */
    free(block);
    return size;
}

/* --- Threads -------------------------------------------------------------------------------- */

/* One thread of a run. Each has cache lines of its own. */
struct bench_thread {
    _Alignas(128) unsigned index;
    unsigned count; /* of all threads of the run */
    struct bench_random random;
    uint64_t operations; /* the work adds to it */
    void *context;
    pthread_barrier_t *barrier;
    double start, end;
    pthread_t id;
    void (*work)(struct bench_thread *thread);
};

struct bench_run {
    uint64_t operations; /* of all threads */
    double seconds;      /* from the first one's start to the last one's end */
};

/* Runs `work` on so many threads at once. The caller is thread 0: with one thread the process stays
 * single-threaded, as many programs are, and allocators know it. */
struct bench_run bench_threads(uint64_t threads, void (*work)(struct bench_thread *thread),
                               void *context);

/* Waits until all threads of the run have come here. */
void bench_meet(struct bench_thread *thread);

/* This thread's part of `total` equal things. */
static inline uint64_t bench_share(const struct bench_thread *thread, uint64_t total)
{
    return total / thread->count + (thread->index < total % thread->count);
}

/* The first thing of this thread's part. */
static inline uint64_t bench_share_start(const struct bench_thread *thread, uint64_t total)
{
    uint64_t rest = total % thread->count;
    return total / thread->count * thread->index + (thread->index < rest ? thread->index : rest);
}

/* A thread that is no part of a run. Its attributes are the default ones. */
pthread_t bench_spawn(void *(*start)(void *), void *argument);

#endif
