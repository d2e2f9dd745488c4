/* inject.h: what a program under `inject` and the tracer have in common: the call by which the
 * program says where the calls that may fail begin and end. Without a tracer it does nothing.
 */
#ifndef TIDEMARK_TESTS_FAULTS_INJECT_H
#define TIDEMARK_TESTS_FAULTS_INJECT_H

#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No option of prctl(2) has this number: the kernel answers EINVAL. */
#define INJECT_MARK 0x746d6661L

static inline void inject_mark(bool on)
{
    syscall(SYS_prctl, INJECT_MARK, on ? 1L : 0L, 0L, 0L, 0L);
}

#endif
