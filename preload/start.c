/* start.c: the library's life inside a process: start, the end of each thread, fork, exit. The
 * allocator works before any of this ran and after all of it is over; what starts here is the
 * configuration and the recorder.
 */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "allocator/tidemark_alloc.h"
#include "preload/config.h"
#include "preload/foreign.h"
#include "preload/forked.h"
#include "preload/loading.h"
#include "preload/signals.h"
#include "profiler/record/record.h"

static pthread_key_t thread_key;

/* Other libraries' destructors may allocate and free: stay until the last round of them. A thread
 * whose first request came in one of these rounds does not see so many: so each may be the last. */
static void thread_ends(void *round)
{
    uintptr_t rounds = (uintptr_t)round;
    tm_thread_ends_soon();
    tm_record_thread_ends();
    if (rounds < PTHREAD_DESTRUCTOR_ITERATIONS &&
        pthread_setspecific(thread_key, (void *)(rounds + 1)) == 0)
        return;
    tm_thread_exit();
}

/* May allocate (a key beyond the thread's first 32); the heap is in place by then. */
static void thread_has_heap(void)
{
    pthread_setspecific(thread_key, (void *)(uintptr_t)1);
}

/* glibc's lock of all streams, which fork takes after the last handler, and under which it
 * allocates: it must come before the allocator's, or a thread that flushes all streams and a thread
 * that forks wait for each other. Recursive; public since glibc 2.2.5, declared nowhere. Weak:
 * another libc has them not. */
__attribute__((weak)) void _IO_list_lock(void);
__attribute__((weak)) void _IO_list_unlock(void);
__attribute__((weak)) void _IO_list_resetlock(void);

static void fork_prepare(void)
{
    if (_IO_list_lock != NULL)
        _IO_list_lock();
    tm_record_fork_prepare();
    tm_fork_prepare();
    tm_forked_prepare();
}

static void fork_parent(void)
{
    tm_fork_parent();
    tm_record_fork_parent();
    if (_IO_list_unlock != NULL)
        _IO_list_unlock();
}

static void fork_child(void)
{
    tm_fork_child();
    tm_forked_child();
    if (_IO_list_resetlock != NULL)
        _IO_list_resetlock();
    tm_record_fork_child();
    tm_signals_fork_child();
}

/* What `name=` has in the environment; NULL: it is not there. getenv() does not work yet. */
static const char *in_environment(char **environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

/* children=no: what this process or a child of it executes finds no setting, and so records
 * nothing. The name is changed in place, where the kernel and every copy of the environment have
 * it: the command still finds the settings of this process under the name _IDEMARK. */
static void hide_in_environment(char **environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            (*environment)[0] = '_';
}

/* A set-id process may become another user for good and execute what is not set-id: that must not
 * find what was meant for the program by whoever started this one. (libc does the same with
 * LD_PRELOAD and its own variables.) */
static void remove_from_environment(char **environment, const char *name)
{
    size_t length = strlen(name);
    char **kept = environment;
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, length) != 0 || (*environment)[length] != '=')
            *kept++ = *environment;
    if (kept != NULL)
        *kept = NULL;
}

/* Linked with -z initfirst: it runs before every other library's constructor. Handlers for fork run
 * in reverse order of their registration, so the allocator's locks are then the last that a forking
 * thread takes. Taken first, they would deadlock with any library that has a handler of its own and
 * allocates under its lock. */
__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv;
#ifndef __GLIBC__
    /* Constructors get no arguments, but libc is ready when they run. */
    environment = environ;
#endif
    bool trusted = getauxval(AT_SECURE) == 0;
    tm_loading_start();
    /* Static: too large for a small stack, and nothing may be allocated for it. */
    static struct tm_config config;
    tm_config_read(in_environment(environment, "TIDEMARK"), trusted, &config);
    tm_start();
    tm_foreign_start();
    if (!trusted)
        remove_from_environment(environment, "TIDEMARK");
    if (config.check_full)
        tm_set_check_full();
    if (!config.record.children)
        hide_in_environment(environment, "TIDEMARK");
    if (config.retain_set)
        tm_set_retain(config.retain_bytes, config.retain_percent);

    /* Without a key (the process has used all) the heaps of ended threads wait for a thread that
     * gets the same thread pointer. */
    if (pthread_key_create(&thread_key, thread_ends) == 0) {
        tm_on_thread_heap = thread_has_heap;
        thread_has_heap();
    }
    pthread_atfork(fork_prepare, fork_parent, fork_child);

    tm_record_start(&config.record);
    tm_signals_start(config.record.signal);
#ifndef __GLIBC__
    tm_record_main();
#endif
}

__attribute__((destructor)) static void stop(void)
{
    tm_record_exit();
}
