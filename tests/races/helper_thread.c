/* helper_thread.c: helper.h for the thread sanitizer, which must know of every thread: the helper
 * is one of libc's. A copy of the process is nobody whom another thread can race with, and the
 * sanitizer does not work in one that was made past it: here it ends before it has done anything,
 * so a snapshot is asked for, begun, waited for and given up as ever, and the writing is left out.
 */
#include "profiler/record/helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

static void *run(void *context)
{
    void (*body)(void);
    *(void **)&body = context;
    body();
    return NULL;
}

int tm_helper_start(void (*body)(void))
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, run, *(void **)&body);
    pthread_attr_destroy(&attributes);
    return -error;
}

void tm_helper_leave(uint64_t *state, uint64_t held)
{
    if (__atomic_compare_exchange_n(state, &held, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        pthread_exit(NULL);
}

void tm_helper_call(void (*body)(void))
{
    body();
}

long tm_copy_process(void)
{
    return 1;
}

long tm_copy_wait(long pid)
{
    return -ECHILD;
}
