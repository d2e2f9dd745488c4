/* lock.c: the slow sides of lock.h: sleeping, waking, and passing through while forking. */
#include "allocator/lock.h"

#include "allocator/os.h"

_Atomic(void *) tm_lock_forker;

/* Its address tells threads apart without a system call. */
static _Thread_local char this_thread __attribute__((tls_model("initial-exec")));

void *tm_lock_this_thread(void)
{
    return &this_thread;
}

bool tm_lock_passing_through(void)
{
    return atomic_load_explicit(&tm_lock_forker, memory_order_relaxed) == &this_thread;
}

void tm_lock_slow(struct tm_lock *lock)
{
    if (tm_lock_passing_through())
        return;
    for (int spins = 0; spins < 100; spins++) {
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 && tm_lock_try(lock))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
        tm_os_wait(&lock->word, 2);
}

void tm_lock_wake(struct tm_lock *lock)
{
    tm_os_wake(&lock->word, 1);
}

void tm_lock_all_taken(void)
{
    atomic_store_explicit(&tm_lock_forker, &this_thread, memory_order_relaxed);
}

void tm_lock_all_over(void)
{
    atomic_store_explicit(&tm_lock_forker, NULL, memory_order_relaxed);
}
