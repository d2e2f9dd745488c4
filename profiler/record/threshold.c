/* threshold.c: watches RSS from the allocator's slow paths. There is no thread and no timer: the
 * allocator calls the hook when pages go into or out of use, and whoever comes by when a look is
 * due reads /proc/self/statm. A look is due when the allocator has a 64th of the limit more in use
 * than at the last one, which heap memory cannot outrun unless it lay untouched, and 100 ms after
 * it, for memory that is not the heap's. What the program touches without any further call that
 * moves pages (one large block, filled) is seen at the next such call.
 *
 * One snapshot is asked for at each crossing from below; RSS has to fall below 7/8 of the limit
 * before the next. The hook passes each call on to who listened before.
 *
 * `busy` is a lock that nobody waits for, acquired and released, and guards `above`; `due_*` are
 * relaxed hints: an old one makes a look early, or leaves it to the next caller. `before` is set
 * before the hook that calls it is.
 *
 * A look is three raw system calls inside malloc: a program that forbids itself open(2) under pain
 * of death, with seccomp, cannot be run with at=.
 */
#include "profiler/record/threshold.h"

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "profiler/record/clock.h"
#include "profiler/record/procfile.h"
#include "profiler/record/record.h"
#include "profiler/record/text.h"

#include <stdatomic.h>

static const uint64_t LOOK_NS = 100 * 1000 * 1000;
enum { STEPS = 64 };

static tm_hook_tick_fn *before;             /* who listened before */
static _Atomic uint64_t limit;              /* bytes of RSS; 0: nobody watches */
static atomic_flag busy = ATOMIC_FLAG_INIT; /* one thread looks; others pass by */
static bool above;                          /* the crossing is dealt with; guarded by `busy` */
static _Atomic uint64_t due_in_use;         /* bytes in use at which the next look is due */
static _Atomic uint64_t due_ns;             /* time at which it is, CLOCK_MONOTONIC_COARSE */

/* 0, or a negative errno. */
static int read_rss(uint64_t *rss)
{
    char text[128];
    const char *at = text;
    uint64_t pages = 0;
    long bytes = tm_proc_read("/proc/self/statm", text, sizeof text);
    if (bytes < 0)
        return (int)bytes;
    /* The size, then what of it is resident. */
    tm_text_parse(&at, text + bytes, &pages);
    if (*at == ' ')
        at++;
    tm_text_parse(&at, text + bytes, &pages);
    *rss = pages * tm_census_kernel_page();
    return 0;
}

/* True if RSS has crossed the limit from below. */
static bool look(uint64_t in_use, uint64_t now, uint64_t at)
{
    uint64_t rss = 0;
    bool crossed = false;
    if (read_rss(&rss) == 0) {
        crossed = rss >= at && !above;
        above = rss >= at || (above && rss >= at - at / 8);
    }
    atomic_store_explicit(&due_in_use, in_use + at / STEPS, memory_order_relaxed);
    atomic_store_explicit(&due_ns, now + LOOK_NS, memory_order_relaxed);
    return crossed;
}

static void tick(void)
{
    if (before != NULL)
        before();
    uint64_t at = atomic_load_explicit(&limit, memory_order_relaxed);
    if (at == 0)
        return;
    uint64_t now = tm_clock_coarse_ns();
    uint64_t in_use = tm_census_in_use();
    if ((in_use < atomic_load_explicit(&due_in_use, memory_order_relaxed) &&
         now < atomic_load_explicit(&due_ns, memory_order_relaxed)) ||
        atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    bool crossed = look(in_use, now, at);
    atomic_flag_clear_explicit(&busy, memory_order_release);
    if (crossed)
        tm_record_request();
}

void tm_threshold_start(uint64_t at_bytes)
{
    uint64_t rss = 0;
    int error = at_bytes != 0 ? read_rss(&rss) : 0;
    if (error != 0) {
        char memory[256];
        struct tm_text text = tm_text_in(memory, sizeof memory);
        tm_text_add(&text, "tidemark: at= has no effect: /proc/self/statm cannot be read: ");
        tm_text_error(&text, -error);
        tm_text_add(&text, "; mount /proc, or ask with `tidemark snapshot`");
        tm_say(&text);
    } else if (at_bytes != 0) {
        atomic_store(&limit, at_bytes);
        before = atomic_load(&tm_hook_tick);
        atomic_store(&tm_hook_tick, tick);
    }
}

void tm_threshold_fork_child(bool watch)
{
    atomic_flag_clear(&busy);
    if (!watch)
        atomic_store(&limit, 0);
}
