/* inner.h: what schedule.c, memory.c and hooks.c share of the model checker; see model.h. */
#ifndef TIDEMARK_TESTS_MODEL_INNER_H
#define TIDEMARK_TESTS_MODEL_INNER_H

#include "tests/model/model.h"

enum { WITH_MAIN = MODEL_THREADS + 1 };

/* What has happened before: of each thread, how many of its operations. */
struct clock {
    uint32_t of[WITH_MAIN];
};

/* ---- schedule.c ---- */

extern int self;       /* the thread that runs */
extern bool exploring; /* schedules are being gone through: operations are points */
extern bool logging;   /* writes are to be undone */
extern const struct model_scenario *scenario;

/* One of so many ways to go on; 0 is tried first. */
int choose(int ways);
/* Another thread may go on here. */
void point(void);
/* Whether one more load of an older value is within the bound; it is counted if `taken`. */
bool may_load_old(bool taken);
/* There is a point that was not known: all begins again. */
void begin_again(void);
/* Notes an operation, for the schedule that a failure prints. */
void note(const char *what, const void *address, uint64_t value, const void *pc);
/* Addresses of coroutines' stacks, which are no one else's. */
bool on_stacks(const void *address);
/* Somebody made progress: who sleeps may look again. */
void progress(void);

/* ---- memory.c ---- */

void memory_begin(void);
void memory_undo(void);
void memory_as_copied(void); /* as model_fork_copy() found it */
void memory_alone(void);     /* the other threads are not there any more */
void memory_join(void);      /* thread 0 and all others know of everything */
void memory_before_write(const void *address, size_t bytes);
void memory_plain(const void *address, size_t bytes, bool write, const void *pc);
uint64_t memory_load(const void *address, size_t bytes, int order, const void *pc);
void memory_store(void *address, size_t bytes, uint64_t value, int order, const void *pc);
enum update { EXCHANGE, ADD, SUB, AND, OR, XOR, NAND };
uint64_t memory_update(void *address, size_t bytes, enum update how, uint64_t with, int order,
                       const void *pc);
/* *expected: what is expected, then what was there. */
bool memory_compare_exchange(void *address, size_t bytes, uint64_t *expected, uint64_t value,
                             int order, int failed_order, const void *pc);
void memory_fence(int order);
/* Thread b knows of all that a knows of. */
void memory_hand_over(int a, int b);

#endif
