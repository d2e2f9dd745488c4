/* timeline.c: owns the ring of moments. There is no thread and no timer: the allocator calls the
 * hook on its slow paths, and whoever comes by after the interval has passed stores a moment. An
 * idle program stores none; nothing changes then.
 *
 * When the memory is full, neighbours are merged, the one with more in use staying, so that peaks
 * survive, and the interval doubles: the whole run is always covered, at the finest resolution that
 * fits.
 *
 * `busy` is a lock that nobody waits for: set with acquire, cleared with release; a signal handler
 * that interrupts its holder passes by like any other. `next` and `highest_in_use` are relaxed
 * hints of whether it is worth trying: an old one costs a try, or leaves a moment to the next
 * caller. `used` and `merged` are released after what they tell of, for a copy frozen at any
 * instruction.
 */
#include "profiler/record/timeline.h"

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "profiler/record/clock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Guarded by `busy`. On pages of its own, so that they can be counted as the recorder's. */
static struct tm_snapshot_moment moments[TM_TIMELINE_MOMENTS] __attribute__((aligned(4096)));
static_assert(sizeof moments % 4096 == 0, "the recorder's own pages are whole");
static atomic_size_t used;   /* moments stored */
static atomic_size_t merged; /* while neighbours are merged: how many pairs are done; else 0 */
static atomic_flag busy = ATOMIC_FLAG_INIT; /* one thread stores; others pass by */
static _Atomic uint64_t next; /* CLOCK_MONOTONIC_COARSE in ns at which a moment is due */
static struct tm_snapshot_moment highest; /* since the last moment stored; guarded by `busy` */
static _Atomic uint64_t highest_in_use;
static _Atomic uint64_t interval; /* ns; guarded by `busy` after start, read by anyone */
static uint64_t start;            /* CLOCK_MONOTONIC_COARSE in ns at start */

static uint64_t in_use(const struct tm_snapshot_moment *moment)
{
    return moment->pool_bytes + moment->span_bytes + moment->mapping_bytes;
}

static struct tm_snapshot_moment moment_now(uint64_t now)
{
    struct tm_census_counters counters;
    tm_census_counters(&counters);
    return (struct tm_snapshot_moment){
        .since_start_ns = tm_clock_between(start, now),
        .pool_bytes = counters.pool_bytes,
        .span_bytes = counters.span_bytes,
        .mapping_bytes = counters.mapping_bytes,
        .cached_bytes = counters.cached_bytes,
        .purged_bytes = counters.purged_bytes + counters.unmapped_bytes,
    };
}

/* Halves the resolution in place. A copy of the process may be made at any point in here: pair i's
 * result overwrites only what is read already, and `merged` moves on after it, so tm_timeline_copy
 * can always tell done from not done. */
static void merge_neighbours(void)
{
    for (size_t i = 0; i < TM_TIMELINE_MOMENTS / 2; i++) {
        const struct tm_snapshot_moment *first = &moments[2 * i];
        const struct tm_snapshot_moment *second = &moments[2 * i + 1];
        moments[i] = in_use(second) > in_use(first) ? *second : *first;
        atomic_store_explicit(&merged, i + 1, memory_order_release);
    }
    atomic_store_explicit(&used, TM_TIMELINE_MOMENTS / 2, memory_order_release);
    atomic_store_explicit(&merged, 0, memory_order_release);
    interval *= 2;
}

/* Time does not run backwards, whatever the clock does. */
static void put_after(struct tm_snapshot_moment *moment, const struct tm_snapshot_moment *previous)
{
    if (moment->since_start_ns < previous->since_start_ns)
        moment->since_start_ns = previous->since_start_ns;
}

/* Stores the highest moment since the last one stored, or this one. */
static void store(const struct tm_snapshot_moment *moment)
{
    if (atomic_load_explicit(&used, memory_order_relaxed) == TM_TIMELINE_MOMENTS)
        merge_neighbours();
    size_t at = atomic_load_explicit(&used, memory_order_relaxed);
    moments[at] = in_use(&highest) > in_use(moment) ? highest : *moment;
    if (at > 0)
        put_after(&moments[at], &moments[at - 1]);
    atomic_store_explicit(&used, at + 1, memory_order_release);
    highest = (struct tm_snapshot_moment){0};
    atomic_store_explicit(&highest_in_use, 0, memory_order_relaxed);
}

static bool is_due(uint64_t now)
{
    return tm_clock_is_due(atomic_load_explicit(&next, memory_order_relaxed), now,
                           atomic_load_explicit(&interval, memory_order_relaxed));
}

static void tick(void)
{
    uint64_t now = tm_clock_coarse_ns();
    bool due = is_due(now);
    bool high = tm_census_in_use() > atomic_load_explicit(&highest_in_use, memory_order_relaxed);
    /* The flag is tried only where there is something to do: most calls are neither due nor a new
     * height. */
    if ((!due && !high) || atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    struct tm_snapshot_moment moment = moment_now(now);
    if (is_due(now)) {
        store(&moment);
        atomic_store_explicit(&next, now + interval, memory_order_relaxed);
    } else if (in_use(&moment) > in_use(&highest)) {
        highest = moment;
        atomic_store_explicit(&highest_in_use, in_use(&moment), memory_order_relaxed);
    }
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

void tm_timeline_start(uint64_t interval_ns)
{
    start = tm_clock_coarse_ns();
    interval = interval_ns;
    if (interval_ns != 0)
        atomic_store(&tm_hook_tick, tick);
}

void tm_timeline_fork_child(void)
{
    /* Another thread of the parent may have been at work here. What it was merging is finished. */
    size_t done = atomic_load(&merged);
    for (size_t i = done; done != 0 && i < TM_TIMELINE_MOMENTS / 2; i++)
        moments[i] = moments[2 * i];
    if (done != 0) {
        atomic_store(&used, TM_TIMELINE_MOMENTS / 2);
        atomic_store(&merged, 0);
    }
    atomic_flag_clear(&busy);
}

uint64_t tm_timeline_now_ns(void)
{
    return tm_clock_between(start, tm_clock_coarse_ns());
}

size_t tm_timeline_copy(struct tm_snapshot_moment *to)
{
    size_t count = 0;
    size_t done = atomic_load_explicit(&merged, memory_order_acquire);
    size_t end = atomic_load_explicit(&used, memory_order_acquire);
    if (interval == 0)
        return 0;
    for (size_t i = 0; i < end && i < TM_TIMELINE_MOMENTS; i++)
        if (i < done || i >= 2 * done)
            to[count++] = moments[i];
    to[count] = moment_now(tm_clock_coarse_ns());
    if (count > 0)
        put_after(&to[count], &to[count - 1]);
    count++;
    return count;
}

const void *tm_timeline_place(size_t *bytes)
{
    *bytes = sizeof moments;
    return moments;
}
