/* coroutine.h: functions that run on stacks of the program's own making.
 *
 * libc's functions for it are called by pointers: POSIX has dropped them for threads, and cppcheck
 * says so at each call, but programs go on using them.
 */
#ifndef TIDEMARK_TESTS_SITES_COROUTINE_H
#define TIDEMARK_TESTS_SITES_COROUTINE_H

#include "tests/sites_stress/stress.h"

#include <ucontext.h>

static int (*const note_context)(ucontext_t *) = getcontext;
static void (*const begin_context)(ucontext_t *, void (*)(void), int, ...) = makecontext;

/* From one to the other, until somebody comes back. */
static int (*const switch_context)(ucontext_t *, const ucontext_t *) = swapcontext;

/* The body begins when `coroutine` is switched to; when it ends, `next` goes on. */
static inline void make_coroutine(ucontext_t *coroutine, void *stack, size_t bytes,
                                  void (*body)(void), ucontext_t *next)
{
    CHECK(note_context(coroutine) == 0);
    coroutine->uc_stack.ss_sp = stack;
    coroutine->uc_stack.ss_size = bytes;
    coroutine->uc_link = next;
    begin_context(coroutine, body, 0);
}

/* Runs the body on the stack, to its end. One thread at a time. */
static inline void run_on(void *stack, size_t bytes, void (*body)(void))
{
    static ucontext_t back, coroutine;
    make_coroutine(&coroutine, stack, bytes, body, &back);
    CHECK(switch_context(&back, &coroutine) == 0);
}

#endif
