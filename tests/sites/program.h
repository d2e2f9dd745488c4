/* program.h: for the programs here, which run under the library and link nothing of it: they ask it
 * for snapshots and switch its recording as a user's command does, by the signal, and wait until
 * that is done. Functions whose names begin with at_ are the call sites; the programs are built
 * without optimisation, so that each call is one in the machine code as well.
 */
#ifndef TIDEMARK_TESTS_SITES_PROGRAM_H
#define TIDEMARK_TESTS_SITES_PROGRAM_H

#include "profiler/format/status.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what)
{
    fprintf(stderr, "the test program: %s\n", what);
    exit(1);
}

static inline void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&pause, &pause) != 0)
        continue;
}

static inline double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The library's status in this process. */
static inline const volatile struct tm_status *status_here(void)
{
    const volatile struct tm_status *status =
        (const volatile struct tm_status *)dlsym(RTLD_DEFAULT, TM_STATUS_SYMBOL);
    if (status == NULL)
        fail("runs without libtidemark.so; start it with LD_PRELOAD");
    return status;
}

/* A snapshot of this instant is written when it returns. */
static inline void take_snapshot(void)
{
    const volatile struct tm_status *status = status_here();
    uint32_t written = status->written;
    if (kill(getpid(), SIGUSR2) != 0)
        fail("cannot signal itself");
    while (status->written == written) {
        if (status->failed != 0)
            fail("the snapshot failed");
        sleep_ms(1);
    }
}

/* The calling thread goes through a slow path, where it sees what was asked for. The pools of that
 * size have two blocks. */
static inline void at_slow_path(void)
{
    void *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = malloc(28000);
    for (int i = 0; i < 4; i++)
        free(blocks[i]);
}

/* request: enum tm_request, but none for a snapshot. The calling thread follows at once, and once
 * it is back stacks are whole. */
static inline void ask(int request)
{
    const volatile struct tm_status *status = status_here();
    uint32_t switches = status->switches, trims = status->trims;
    union sigval value;
    value.sival_int = request;
    if (sigqueue(getpid(), SIGUSR2, value) != 0)
        fail("cannot signal itself");
    while (status->switches == switches && status->trims == trims)
        sleep_ms(1);
    at_slow_path();
    for (; status->unwinder == 2; sleep_ms(1))
        free(malloc(64 << 20)); /* as good as always one of a sample */
}

/* Standard output without a block of the heap that comes and goes with it. */
static inline void use_static_output(void)
{
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

#endif
