/* clock.h: the clock of the recorder's own times. */
#ifndef TIDEMARK_RECORD_CLOCK_H
#define TIDEMARK_RECORD_CLOCK_H

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

#endif
