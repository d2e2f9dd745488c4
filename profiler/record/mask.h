/* mask.h: all signals of the calling thread blocked for a while. What is written meanwhile may
 * raise SIGPIPE or SIGXFSZ at the thread that writes; that is the recorder's doing, not the
 * program's, and is taken away before the mask is restored.
 */
#ifndef TIDEMARK_RECORD_MASK_H
#define TIDEMARK_RECORD_MASK_H

#include "profiler/record/sys.h"

#include <signal.h>
#include <stdint.h>
#include <time.h>

/* The mask before, and what was pending then. */
struct tm_mask {
    uint64_t old, pending;
};

static inline struct tm_mask tm_mask_all(void)
{
    struct tm_mask mask = {0, 0};
    uint64_t all = ~(uint64_t)0;
    tm_sys4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask.old, sizeof all);
    tm_sys3(SYS_rt_sigpending, (long)&mask.pending, sizeof mask.pending, 0);
    return mask;
}

static inline void tm_mask_restore(struct tm_mask mask)
{
    const uint64_t ours = UINT64_C(1) << (SIGPIPE - 1) | UINT64_C(1) << (SIGXFSZ - 1);
    const struct timespec now = {0, 0};
    uint64_t pending = 0;
    tm_sys3(SYS_rt_sigpending, (long)&pending, sizeof pending, 0);
    pending &= ours & ~mask.pending;
    for (; pending != 0; pending &= pending - 1) {
        uint64_t one = pending & -pending;
        tm_sys4(SYS_rt_sigtimedwait, (long)&one, 0, (long)&now, sizeof one);
    }
    tm_sys4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask.old, 0, sizeof mask.old);
}

#endif
