/* test_threshold.c: when RSS is looked at and when a snapshot is asked for, with a clock, counters
 * and an RSS of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "profiler/record/procfile.h"
#include "profiler/record/record.h"
#include "profiler/record/threshold.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Atomic(tm_hook_tick_fn *) tm_hook_tick;

static const uint64_t MIB = 1 << 20;
static const uint64_t LIMIT = (uint64_t)64 << 20; /* so that a step is 1 MiB */

static uint64_t clock_now_ns = 5000000000; /* never goes back */
static uint64_t in_use, rss;
static bool readable;
static unsigned looks, requests, earlier_ticks;
static jmp_buf *stop_here; /* a thread that looks comes no further than here */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(clock_now_ns / 1000000000);
    now->tv_nsec = (long)(clock_now_ns % 1000000000);
    return 0;
}

uint64_t tm_census_in_use(void)
{
    return in_use;
}

size_t tm_census_kernel_page(void)
{
    return 4096;
}

long tm_proc_read(const char *path, char *to, size_t size)
{
    assert_string_equal(path, "/proc/self/statm");
    looks++;
    if (stop_here != NULL)
        longjmp(*stop_here, 1);
    if (!readable)
        return -EACCES;
    return snprintf(to, size, "%lu %lu 7 8 0 9 0\n", (unsigned long)(rss / 4096 + 1000),
                    (unsigned long)(rss / 4096));
}

void tm_record_request(void)
{
    requests++;
}

static void earlier_listener(void)
{
    earlier_ticks++;
}

static void tick(void)
{
    tm_hook_tick_fn *hook = atomic_load(&tm_hook_tick);
    if (hook != NULL)
        hook();
}

static void tick_later(uint64_t ms)
{
    clock_now_ns += ms * 1000000;
    tick();
}

/* The heap gets or loses so many bytes of RSS, no time passes. */
static void grow(int64_t bytes)
{
    in_use += (uint64_t)bytes;
    rss += (uint64_t)bytes;
    tick();
}

static int start(void **state)
{
    (void)state;
    atomic_store(&tm_hook_tick, earlier_listener);
    in_use = rss = 10 * MIB;
    readable = true;
    tm_threshold_fork_child(true);
    tm_threshold_start(LIMIT);
    tick_later(1000); /* RSS is far below: whatever went before is forgotten */
    looks = requests = earlier_ticks = 0;
    return 0;
}

static void nothing_when_off(void **state)
{
    (void)state;
    atomic_store(&tm_hook_tick, NULL);
    tm_threshold_start(0);
    assert_null(atomic_load(&tm_hook_tick));
    assert_int_equal(looks, 0);
}

static void nothing_without_proc(void **state)
{
    (void)state;
    atomic_store(&tm_hook_tick, earlier_listener);
    readable = false;
    tm_threshold_start(LIMIT);
    assert_ptr_equal(atomic_load(&tm_hook_tick), earlier_listener);
}

static void earlier_listener_goes_on(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        tick();
    assert_int_equal(earlier_ticks, 5);
}

static void looks_seldom(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        tick();
    assert_int_equal(looks, 0);
    grow((int64_t)MIB - 4096); /* less than a step */
    assert_int_equal(looks, 0);
    grow(4096);
    assert_int_equal(looks, 1);
    tick();
    assert_int_equal(looks, 1);
    tick_later(99);
    assert_int_equal(looks, 1);
    tick_later(1);
    assert_int_equal(looks, 2);
}

static void once_for_a_crossing(void **state)
{
    (void)state;
    for (int i = 0; rss < LIMIT - MIB; i++)
        grow(MIB / 4);
    assert_int_equal(requests, 0);
    for (int i = 0; i < 12; i++)
        grow(MIB / 4);
    assert_int_equal(requests, 1);
    for (int i = 0; i < 100; i++)
        grow(MIB / 4);
    for (int i = 0; i < 10; i++)
        tick_later(1000);
    assert_int_equal(requests, 1);
}

/* Exactly the limit counts; one page less does not. */
static void at_the_limit(void **state)
{
    (void)state;
    grow((int64_t)(LIMIT - 4096 - rss));
    assert_int_equal(looks, 1);
    assert_int_equal(requests, 0);
    rss += 4096;
    tick_later(100);
    assert_int_equal(requests, 1);
}

static void armed_again_below_seven_eighths(void **state)
{
    (void)state;
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 1);
    rss = LIMIT - LIMIT / 8; /* not yet below */
    tick_later(100);
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 1);
    rss = LIMIT - LIMIT / 8 - 4096;
    tick_later(100);
    rss = LIMIT - 4096; /* on the way up again: armed, but not there */
    tick_later(100);
    assert_int_equal(requests, 1);
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 2);
}

/* The allocator has nothing to do with what grows: time makes it look. */
static void memory_that_is_not_the_heaps(void **state)
{
    (void)state;
    rss = 2 * LIMIT;
    tick();
    assert_int_equal(requests, 0);
    tick_later(100);
    assert_int_equal(requests, 1);
}

static void unreadable_for_a_while(void **state)
{
    (void)state;
    rss = LIMIT;
    readable = false;
    tick_later(100);
    tick();
    assert_int_equal(looks, 1); /* and not at every call */
    assert_int_equal(requests, 0);
    readable = true;
    tick_later(100);
    assert_int_equal(requests, 1);
}

/* Nothing is made of what could not be read: it still is above. */
static void unreadable_above(void **state)
{
    (void)state;
    rss = LIMIT;
    tick_later(100);
    readable = false;
    tick_later(100);
    readable = true;
    tick_later(100);
    assert_int_equal(looks, 3);
    assert_int_equal(requests, 1);
}

/* A thread of the parent was looking when another one forked. */
static void child_of_a_parent_that_looks(void **state)
{
    jmp_buf here;
    (void)state;
    rss = LIMIT;
    stop_here = &here;
    if (setjmp(here) == 0)
        tick_later(100);
    stop_here = NULL;
    tick_later(100);
    assert_int_equal(requests, 0); /* one at a time */
    tm_threshold_fork_child(true);
    tick_later(100);
    assert_int_equal(requests, 1);
}

static void children(void **state)
{
    (void)state;
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 1);
    tm_threshold_fork_child(true);
    tick_later(100);
    assert_int_equal(requests, 1); /* on the same side as the parent */
    rss = LIMIT / 2;
    tick_later(100);
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 2);
    tm_threshold_fork_child(false);
    rss = LIMIT / 2;
    tick_later(100);
    rss = LIMIT;
    tick_later(100);
    assert_int_equal(requests, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_when_off),
        cmocka_unit_test(nothing_without_proc),
        cmocka_unit_test_setup(earlier_listener_goes_on, start),
        cmocka_unit_test_setup(looks_seldom, start),
        cmocka_unit_test_setup(once_for_a_crossing, start),
        cmocka_unit_test_setup(at_the_limit, start),
        cmocka_unit_test_setup(armed_again_below_seven_eighths, start),
        cmocka_unit_test_setup(memory_that_is_not_the_heaps, start),
        cmocka_unit_test_setup(unreadable_for_a_while, start),
        cmocka_unit_test_setup(unreadable_above, start),
        cmocka_unit_test_setup(child_of_a_parent_that_looks, start),
        cmocka_unit_test_setup(children, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
