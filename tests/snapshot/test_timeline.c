/* test_timeline.c: the ring of moments, with a clock and counters of the test's own: bounded
 * however long the run, in order, from the first moment to the last, and with the peak.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "profiler/record/record.h"
#include "profiler/record/timeline.h"

#include <time.h>

_Atomic(tm_hook_tick_fn *) tm_hook_tick;
struct tm_status tidemark_status;

static uint64_t clock_now_ns = 5000000000;
static uint64_t in_pools;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(clock_now_ns / 1000000000);
    now->tv_nsec = (long)(clock_now_ns % 1000000000);
    return 0;
}

uint64_t tm_census_in_use(void)
{
    return in_pools;
}

void tm_census_counters(struct tm_census_counters *out)
{
    *out =
        (struct tm_census_counters){.pool_bytes = in_pools, .purged_bytes = 3, .unmapped_bytes = 4};
}

static struct tm_snapshot_moment moments[TM_TIMELINE_MOMENTS + 1];
static const uint64_t INTERVAL = 100000000;

static void run(uint64_t steps, uint64_t peak_at)
{
    for (uint64_t i = 0; i < steps; i++) {
        clock_now_ns += INTERVAL / 4;
        in_pools = i == peak_at ? 1000000 : i % 100;
        /* The peak is there when a moment is due, as a moment can only tell of when it was taken.
         */
        if (i % 4 == 3 || i == peak_at)
            atomic_load (&tm_hook_tick)();
        if (i == peak_at)
            clock_now_ns += INTERVAL;
    }
}

static void check_order(size_t count)
{
    for (size_t i = 1; i < count; i++)
        assert_true(moments[i - 1].since_start_ns < moments[i].since_start_ns);
}

static void nothing_when_off(void **state)
{
    (void)state;
    tm_timeline_start(0);
    assert_null(atomic_load(&tm_hook_tick));
    assert_int_equal(tm_timeline_copy(moments), 0);
}

static void keeps_the_interval(void **state)
{
    (void)state;
    tm_timeline_start(INTERVAL);
    clock_now_ns += INTERVAL;
    for (int i = 0; i < 10; i++) /* ten calls at one time: one moment */
        atomic_load (&tm_hook_tick)();
    clock_now_ns += INTERVAL / 2;
    atomic_load (&tm_hook_tick)();
    assert_int_equal(tm_timeline_copy(moments), 2); /* and one for now */
    assert_int_equal(moments[0].since_start_ns, INTERVAL);
    assert_int_equal(moments[1].since_start_ns, INTERVAL + INTERVAL / 2);
    assert_int_equal(moments[0].purged_bytes, 7);
}

static void bounded_and_keeps_the_peak(void **state)
{
    (void)state;
    clock_now_ns += INTERVAL;
    run(200000, 20003);
    size_t count = tm_timeline_copy(moments);
    uint64_t peak = 0;
    assert_in_range(count, TM_TIMELINE_MOMENTS / 2, TM_TIMELINE_MOMENTS + 1);
    check_order(count);
    for (size_t i = 0; i < count; i++)
        if (moments[i].pool_bytes > peak)
            peak = moments[i].pool_bytes;
    assert_int_equal(peak, 1000000);
    /* The whole run is covered: nothing is older than the first pairs' span, the last is now. */
    assert_true(moments[0].since_start_ns < 200000 * INTERVAL / 4 / 100);
    assert_int_equal(moments[count - 1].since_start_ns, tm_timeline_now_ns());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_when_off),
        cmocka_unit_test(keeps_the_interval),
        cmocka_unit_test(bounded_and_keeps_the_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
