/* fake_clock.c: see fake_clock.h. One clock for all clock ids; it starts at an hour, as a clock
 * that starts at 0 would hide sums that wrap. */
#include "tests/unit/fake_clock.h"

#include <time.h>

static uint64_t now_ms = UINT64_C(3600) * 1000;

void fake_clock_pass(uint64_t milliseconds)
{
    now_ms += milliseconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(now_ms / 1000);
    now->tv_nsec = (long)(now_ms % 1000) * 1000000;
    return 0;
}
