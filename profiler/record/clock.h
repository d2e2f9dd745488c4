/* clock.h: the clock of the recorder's own times. */
#ifndef TIDEMARK_RECORD_CLOCK_H
#define TIDEMARK_RECORD_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC_COARSE in ns. Answered in user space by the vDSO: some nanoseconds, and no system
 * call that seccomp could refuse. */
static inline uint64_t tm_clock_coarse_ns(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* From one reading of a clock to a later one. A clock may be set back (a machine or a process that
 * is moved to another): then it is 0, not centuries. */
static inline uint64_t tm_clock_between(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

/* Whether something is due at that time, which was never set further ahead than `most`: so it is if
 * the clock was set back. */
static inline bool tm_clock_is_due(uint64_t due, uint64_t now, uint64_t most)
{
    return now >= due || due - now > most;
}

#endif
