/* model.h: a model checker for the lock-free parts: the real sources, run in every interleaving.
 *
 * The sources are compiled with -fsanitize=thread, which turns each access to memory into a call,
 * and are linked not with the sanitizer's library but with this one: so every atomic operation,
 * its memory order included, and every plain access comes by here, without a copy of the code that
 * could drift from it. The threads of a scenario are coroutines. At each atomic operation on a word
 * that threads share the schedule may go on with another thread; the schedules are gone through
 * depth first (schedule.c). A load may return any value that the C11 memory model lets it have,
 * not only the newest, and plain accesses that no order of the code separates are reported as a
 * race (memory.c). All writes are undone after each run.
 *
 * It is exhaustive within bounds: schedules with at most so many switches away from a thread that
 * could go on, and at most so many loads of an older value. What it does not model: loads that
 * return a value from the future, compare-exchanges that fail for no reason, and failed ones that
 * read an older value.
 */
#ifndef TIDEMARK_TESTS_MODEL_H
#define TIDEMARK_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 4 }; /* of a scenario; they count from 1, and 0 is who sets it up */

struct model_scenario {
    const char *name;
    int threads;
    void (*setup)(int thread);  /* each thread in turn, once, before all schedules; may be NULL */
    void (*body)(int thread);   /* what is interleaved */
    void (*finish)(int thread); /* each thread in turn, at the end of each schedule; may be NULL */
    void (*check)(void);        /* then; on thread 0; may be NULL */
    int switches;               /* away from threads that could go on, at most */
    int old_loads;              /* loads that return an older value, at most */
    bool plain_points;          /* switches before plain writes, too */
};

/* Goes through all schedules. Returns how many there were. A failure ends the process with status
 * 1, and with the schedule that led to it on stderr. */
unsigned long model_explore(const struct model_scenario *scenario);
/* The main program of a model: explores the scenarios and says how many schedules each had.
 * Arguments name those to explore; none: all. */
int model_main(const struct model_scenario *scenarios, size_t count, int argc, char **argv);

__attribute__((format(printf, 1, 2))) _Noreturn void model_fail(const char *format, ...);
#define model_assert(condition)                                                                    \
    ((condition) ? (void)0 : model_fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition))

/* The calling thread, by its number. */
int model_self(void);
/* A number that grows with each operation on shared words of a schedule. */
unsigned model_time(void);
/* The words that follow are counted by threads without anything depending on their values: no
 * switch is tried there. For setup(). */
void model_no_points(const void *address, size_t bytes);
/* Lets others go on, if they can: for what sleeps or polls. */
void model_sleep(void);
/* futex(2). */
void model_wait(_Atomic int *word, int value);
void model_wake(_Atomic int *word, int count);
/* membarrier(2). */
void model_barrier(void);
/* One more thread. It is number `threads` + 1 and so on. */
void model_spawn(void (*body)(void));
/* Ends the calling thread. */
_Noreturn void model_end(void);

/* A fork: copies every other page now (half 0 or 1), and goes on as the child, in which only the
 * calling thread is, with memory as it was copied. */
void model_fork_copy(int half);
void model_fork_child(void);

/* Memory of the model's, for what stands for the operating system. */
void *model_map(size_t bytes, size_t alignment);
/* What the hooks do not see: sets memory to zero. */
void model_zero(void *address, size_t bytes);
/* No access to this memory is right from now on, or again; but atomic ones to the word `except`. */
void model_poison(void *address, size_t bytes, bool on, const void *except);

#endif
