/* lock.h: the allocator's only lock: a futex word, so that it needs no libc, no initialisation, and
 * can be set free in the child of a fork by a store.
 *
 * While a thread forks it holds every lock (fork.c). The handlers that other libraries registered
 * for the fork may call malloc on that thread meanwhile: tm_lock() lets it pass through the locks
 * that it holds already.
 *
 * Why it works. Taking is an acquire and leaving a release of the same word, so each holder sees
 * what the one before wrote. Who may have to sleep stores 2 and looks at what was there: the holder
 * that leaves finds the 2 and wakes one, who stores 2 again, as others may still sleep. The kernel
 * compares the word under its own lock before it puts a thread to sleep, so a wake-up between the
 * store and the sleep is not lost. tm_lock_forker is relaxed: a thread only asks whether it is its
 * own address, and what it did itself it reads; what it reads of others, old or new, is another
 * address. Who forks passes only through locks that it holds: whoever takes one in a fork handler
 * has to take it before tm_lock_all_taken(). (Modelled: tests/model/lock.c.)
 */
#ifndef TIDEMARK_LOCK_H
#define TIDEMARK_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct tm_lock {
    _Atomic int word; /* 0 free, 1 taken, 2 taken and somebody may sleep on it */
};

void tm_lock_slow(struct tm_lock *lock);
void tm_lock_wake(struct tm_lock *lock);

/* Tells the thread that holds all locks around its fork (the address of a thread-local of it); NULL
 * else. */
extern _Atomic(void *) tm_lock_forker;
bool tm_lock_passing_through(void);
/* An address that no other running thread gets. */
void *tm_lock_this_thread(void);

static inline bool tm_lock_try(struct tm_lock *lock)
{
    int expected = 0;
    return atomic_compare_exchange_strong_explicit(&lock->word, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void tm_lock(struct tm_lock *lock)
{
    if (__builtin_expect(!tm_lock_try(lock), 0))
        tm_lock_slow(lock);
}

static inline void tm_unlock(struct tm_lock *lock)
{
    if (__builtin_expect(atomic_load_explicit(&tm_lock_forker, memory_order_relaxed) != NULL, 0) &&
        tm_lock_passing_through())
        return;
    if (__builtin_expect(atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2, 0))
        tm_lock_wake(lock);
}

/* Around fork, for fork.c: after tm_lock_all_taken() the calling thread passes through every lock;
 * before it unlocks or resets them it calls tm_lock_all_over(). */
void tm_lock_all_taken(void);
void tm_lock_all_over(void);

/* In the child of a fork: free, whatever it was. */
static inline void tm_lock_reset(struct tm_lock *lock)
{
    atomic_store_explicit(&lock->word, 0, memory_order_relaxed);
}

#endif
