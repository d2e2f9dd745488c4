/* lock.h: the allocator's only lock: a futex word, so that it needs no libc, no initialisation, and
 * can be set free in the child of a fork by a store.
 *
 * While a thread forks it holds every lock (fork.c). The handlers that other libraries registered
 * for the fork may call malloc on that thread meanwhile: tm_lock() lets it pass through the locks
 * that it holds already.
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
