/* loader.c: see loader.h. */
#include "profiler/record/loader.h"

#include "profiler/record/record.h"
#include "profiler/record/sys.h"
#include "profiler/record/unwind.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

enum { NOT_WANTED = 0, READY = 1, UNDER_WAY = 2 }; /* of tidemark_status.unwinder */

static bool wanted;  /* atomic: somebody is to start the thread */
static bool running; /* atomic: it is at work */
static int forking;  /* atomic: threads that fork; it is not to be started */

/* Of the words below, each side stores its own, then looks at the other's, all sequentially
 * consistent: so at least one of the two sees the other and gives way, which is all they are for.
 * Where a side is done it releases; who saw it in the way comes again (`wanted`), or polls. */

/* pthread_create takes the lock of the loader's thread-local storage. Whoever is in dlopen holds
 * it, and waits for the lock that callbacks of dl_iterate_phdr run under, which in turn may wait
 * for what the allocating thread holds. So the thread is started while nobody is in there, and
 * nobody goes in meanwhile: each of the two sees the other. */
static bool starting;                   /* atomic: a thread is in pthread_create for it */
static int listing;                     /* atomic: threads in dl_iterate_phdr */
static _Thread_local unsigned listings; /* calls of it that the thread is in */

static void publish(int result)
{
    __atomic_store_n(&tidemark_status.unwinder, result == 0 ? READY : result, __ATOMIC_RELEASE);
}

void tm_loader_load(void)
{
    publish(tm_unwind_load(true));
}

void tm_loader_want(void)
{
    int32_t expected = NOT_WANTED;
    if (__atomic_compare_exchange_n(&tidemark_status.unwinder, &expected, UNDER_WAY, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        __atomic_store_n(&wanted, true, __ATOMIC_RELEASE);
}

static void *load(void *nothing)
{
    /* With a table of descriptors of its own, the thread's come and go unseen. */
    publish(tm_unwind_load(tm_sys3(SYS_unshare, CLONE_FILES, 0, 0) == 0));
    __atomic_store_n(&running, false, __ATOMIC_RELEASE);
    return nothing;
}

static int start_thread(void)
{
    enum { STACK_BYTES = 256 * 1024 };
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    error = pthread_create(&thread, &attributes, load, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

/* False: not now. One of the two sees the other: this thread, or one that forks, or lists. */
static bool start_if_possible(void)
{
    bool possible;
    __atomic_store_n(&running, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&starting, true, __ATOMIC_SEQ_CST);
    possible = __atomic_load_n(&forking, __ATOMIC_SEQ_CST) == 0 &&
               __atomic_load_n(&listing, __ATOMIC_SEQ_CST) == 0;
    listings++; /* pthread_create may be another library's, which goes through the list itself */
    int error = possible ? start_thread() : 0;
    listings--;
    if (error != 0)
        publish(-error);
    if (!possible || error != 0)
        __atomic_store_n(&running, false, __ATOMIC_RELEASE);
    __atomic_store_n(&starting, false, __ATOMIC_RELEASE);
    return possible;
}

/* With every signal blocked: the program's handlers are not to run on the new thread, nor on this
 * one while others wait for it. */
void tm_loader_look(void)
{
    if (!__atomic_load_n(&wanted, __ATOMIC_RELAXED) ||
        !__atomic_exchange_n(&wanted, false, __ATOMIC_ACQ_REL))
        return;
    int saved = errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!start_if_possible())
        __atomic_store_n(&wanted, true, __ATOMIC_RELEASE);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
}

void tm_loader_listing(void)
{
    if (listings++ != 0)
        return;
    __atomic_fetch_add(&listing, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&starting, __ATOMIC_SEQ_CST)) {
        __atomic_fetch_sub(&listing, 1, __ATOMIC_SEQ_CST);
        tm_sys_sleep_ns(100 * 1000);
        __atomic_fetch_add(&listing, 1, __ATOMIC_SEQ_CST);
    }
}

void tm_loader_listed(void)
{
    if (--listings == 0)
        __atomic_fetch_sub(&listing, 1, __ATOMIC_RELEASE);
}

/* A child of which the loader's lock was held by a thread that it does not have could never load
 * anything again. The thread is done in some milliseconds, unless the forking thread itself holds
 * that lock (a fork in a constructor): then it waits for it, and has changed nothing yet. */
void tm_loader_fork_prepare(void)
{
    enum { POLLS = 500 };
    __atomic_fetch_add(&forking, 1, __ATOMIC_SEQ_CST);
    for (int polls = 0; polls < POLLS && __atomic_load_n(&running, __ATOMIC_SEQ_CST); polls++)
        tm_sys_sleep_ns(1000 * 1000);
}

void tm_loader_fork_parent(void)
{
    __atomic_fetch_sub(&forking, 1, __ATOMIC_RELEASE);
}

void tm_loader_fork_child(void)
{
    __atomic_store_n(&forking, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&starting, false, __ATOMIC_RELAXED);
    __atomic_store_n(&listing, listings != 0, __ATOMIC_RELAXED);
    /* The thread that was at it is not there. */
    if (__atomic_exchange_n(&running, false, __ATOMIC_RELAXED))
        __atomic_store_n(&wanted, true, __ATOMIC_RELAXED);
}
