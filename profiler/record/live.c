/* live.c: owns the live page. Like the timeline it has no thread and no timer: the allocator calls
 * the hook when pages go into or out of use, and whoever comes by when a write is due writes. It is
 * due 250 ms after the last one, and as soon as a 64th more or less is in use, so that what a
 * program that falls idle leaves behind is right to a 64th, and 32 KiB. What it frees without a
 * page going back is seen at its next call that moves pages.
 *
 * System calls are made at start only. A seccomp filter that comes later may end the process for a
 * call that it does not know, in the middle of a malloc; a filter that is there at start may do so,
 * too, and then only mmap is called, without which no library is loaded. A child that is forked can
 * make no memory of its own for the same reason. So there are slots in the memory that it shares
 * with its parent, one for each process: it takes one when it has lived for a second and moves
 * pages, as most children execute another program at once. If all are taken the one that was
 * written least recently is; a process that finds its slot taken away takes another. A process may
 * falsify what its relatives publish, but nobody ever reads a slot to act on it here, the seals
 * keep the memory from being cut short under a writer, and nobody who opens it can write to it.
 *
 * In the process `busy` is a lock that nobody waits for, acquired and released; `due_*` are relaxed
 * hints, as in the timeline. Between processes a slot is a sequence lock: `sequence` is odd before
 * the first word changes and even after the last did (all stores after the odd one are releases).
 * A reader of another process has each word whole, and the words of one writing if it finds
 * `sequence` even and all of it the same twice: what was written in between would have changed that
 * word. (Modelled: tests/model/page.c.) A process whose slot is taken from it at the very moment
 * that it writes may mix its words with the new owner's; the new owner's next writing puts that
 * right, as the old one looks at `owner` first.
 *
 * A child made past the fork handlers (raw clone, _Fork) writes into its parent's slot until it
 * executes something; the parent's next write puts that right.
 */
#include "profiler/record/live.h"

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "profiler/format/live.h"
#include "profiler/record/clock.h"
#include "profiler/record/mask.h"
#include "profiler/record/procfile.h"
#include "profiler/record/record.h"
#include "profiler/record/sites.h"
#include "profiler/record/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

static const uint64_t WRITE_NS = 250 * 1000 * 1000;
static const uint64_t CHILD_NS =
    UINT64_C(1000) * 1000 * 1000; /* that a child lives before it takes a slot */
enum {
    LOOK_ARENAS = 16,      /* to look at for each write: 64 pools */
    SITE_NS = 10 * 1000,   /* between two sums of what sites allocated, for each site */
    CHANGE_PART = 64,      /* a write is due when in-use bytes change by that part, */
    CHANGE_MIN = 32 << 10, /* but by so many at least */
};

static tm_hook_tick_fn *before;               /* who listened before */
static char *memory;                          /* TM_LIVE_BYTES; NULL: there is none */
static atomic_flag busy = ATOMIC_FLAG_INIT;   /* one thread writes; others pass by */
static _Atomic uint64_t due_ns;               /* time of the next write, CLOCK_MONOTONIC_COARSE, */
static _Atomic uint64_t due_below, due_above; /* or in-use bytes at which it is due earlier */

/* Guarded by `busy`: */
static struct tm_live *slot;       /* the process's own; NULL: none yet */
static struct tm_live next;        /* what is written next; keeps what not every write finds out */
static struct tm_census_look look; /* the last one that was had */
static uint64_t sites_due_ns;
static uint32_t chance;

static struct tm_live *slot_at(unsigned number)
{
    return (struct tm_live *)(void *)(memory + (size_t)number * TM_LIVE_SLOT_BYTES);
}

static bool take(struct tm_live *wanted, uint64_t seen)
{
    if (!__atomic_compare_exchange_n(&wanted->owner, &seen, next.owner, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    slot = wanted;
    return true;
}

/* False: others took what this one tried to. */
static bool take_any(void)
{
    struct tm_live *oldest = slot_at(0);
    for (unsigned number = 0; number < TM_LIVE_SLOTS; number++) {
        struct tm_live *one = slot_at(number);
        if (__atomic_load_n(&one->owner, __ATOMIC_RELAXED) == 0 && take(one, 0))
            return true;
        if (__atomic_load_n(&one->written_ns, __ATOMIC_RELAXED) <
            __atomic_load_n(&oldest->written_ns, __ATOMIC_RELAXED))
            oldest = one;
    }
    return take(oldest, __atomic_load_n(&oldest->owner, __ATOMIC_RELAXED));
}

static void publish(void)
{
    enum { FIRST = offsetof(struct tm_live, magic) / 8, WORDS = sizeof next / 8 };
    if ((slot == NULL || __atomic_load_n(&slot->owner, __ATOMIC_RELAXED) != next.owner) &&
        !take_any())
        return;
    uint64_t *to = (uint64_t *)(void *)slot;
    const uint64_t *from = (const uint64_t *)(const void *)&next;
    uint64_t sequence = __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) | 1;
    __atomic_store_n(&slot->sequence, sequence, __ATOMIC_RELAXED);
    /* Each a release, so that whoever reads one of them reads the odd number afterwards, too. */
    for (unsigned i = FIRST; i < WORDS; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELEASE);
    __atomic_store_n(&slot->sequence, sequence + 1, __ATOMIC_RELEASE);
}

/* So seldom that it costs little however many sites there are. */
static void add_up_sites(uint64_t now)
{
    const struct tm_site *sites = tm_sites();
    next.sites = (uint64_t)__atomic_load_n(&tidemark_status.sites, __ATOMIC_RELAXED);
    if (sites == NULL || now < sites_due_ns)
        return;
    uint32_t count = tm_sites_count();
    uint64_t bytes = 0, units = 0;
    for (uint32_t number = 1; number < count; number++) {
        bytes += __atomic_load_n(&sites[number].allocated_bytes, __ATOMIC_RELAXED);
        units += __atomic_load_n(&sites[number].allocated_blocks, __ATOMIC_RELAXED);
    }
    next.recorded_bytes = bytes;
    next.recorded_blocks = units / TM_BLOCK_UNITS;
    sites_due_ns = now + (uint64_t)count * SITE_NS;
}

static uint64_t part_of(uint64_t bytes, uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (uint64_t)((double)bytes * ((double)part / (double)whole));
}

static void look_at_pools(uint64_t now)
{
    struct tm_census_look fresh;
    chance = chance * 1664525 + 1013904223 + (uint32_t)(now >> 20);
    if (tm_census_look(LOOK_ARENAS, chance >> 8, &fresh) && (fresh.pools != 0 || fresh.all))
        look = fresh;
    next.flags = look.all ? TM_LIVE_EXACT : 0;
    next.pools_looked = look.pools;
    next.live_pool_bytes = part_of(next.pool_bytes, look.live_bytes, look.touched_bytes);
    next.drained_bytes = part_of(next.pool_bytes, look.drained_bytes, look.touched_bytes);
}

static void write_slot(uint64_t now)
{
    struct tm_census_counters counters;
    tm_census_counters(&counters);
    next.written_ns = now;
    next.pool_bytes = counters.pool_bytes;
    next.span_bytes = counters.span_bytes;
    next.mapping_bytes = counters.mapping_bytes;
    next.cached_bytes = counters.cached_bytes;
    next.arena_bytes = counters.mapped_bytes;
    next.metadata_bytes = counters.metadata_bytes;
    next.purged_bytes = counters.purged_bytes;
    next.unmapped_bytes = counters.unmapped_bytes;
    next.purge_calls = counters.purge_calls;
    next.taken_bytes = counters.taken_bytes;
    next.heaps = counters.heaps;
    next.snapshots = __atomic_load_n(&tidemark_status.written, __ATOMIC_RELAXED);
    look_at_pools(now);
    add_up_sites(now);
    publish();

    uint64_t in_use = next.pool_bytes + next.span_bytes + next.mapping_bytes;
    uint64_t change = in_use / CHANGE_PART + CHANGE_MIN;
    atomic_store_explicit(&due_ns, now + WRITE_NS, memory_order_relaxed);
    atomic_store_explicit(&due_above, in_use + change, memory_order_relaxed);
    atomic_store_explicit(&due_below, in_use > change ? in_use - change : 0, memory_order_relaxed);
}

static void tick(void)
{
    if (before != NULL)
        before();
    uint64_t now = tm_clock_coarse_ns();
    uint64_t in_use = tm_census_in_use();
    if ((!tm_clock_is_due(atomic_load_explicit(&due_ns, memory_order_relaxed), now, CHILD_NS) &&
         in_use >= atomic_load_explicit(&due_below, memory_order_relaxed) &&
         in_use <= atomic_load_explicit(&due_above, memory_order_relaxed)) ||
        atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    write_slot(now);
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

/* This process is another than who had the slot before. */
static void be(uint64_t now)
{
    int pid = tm_sys_getpid();
    slot = NULL;
    memcpy(next.magic, TM_LIVE_MAGIC, sizeof next.magic);
    next.version = TM_LIVE_VERSION;
    next.bytes = sizeof next;
    next.pid = pid;
    next.start_ns = now;
    /* A namespace of pids can have the same again, hardly in the same 65 µs. */
    next.owner = (uint64_t)(uint32_t)pid << 32 | (uint32_t)(now >> 16);
}

/* open, read and close are what loaded this library. */
static bool is_filtered(void)
{
    static char status[4096];
    return tm_proc_read(tm_proc_path(0, "status"), status, sizeof status) <= 0 ||
           tm_proc_field(status, "Seccomp:") != 0;
}

/* Puts the descriptor where no program expects its own: at a number that shells, and programs that
 * count theirs up from 3, do not reach. Returns it, or -1. */
static int move_up(int fd)
{
    long moved = -EINVAL;
    /* RLIMIT_NOFILE is 1024 as a rule; it can be less. */
    for (int from = TM_LIVE_DESCRIPTOR; moved == -EINVAL && from >= TM_LIVE_DESCRIPTOR / 10;
         from /= 2)
        moved = tm_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
    tm_sys_close(fd);
    return moved < 0 ? -1 : (int)moved;
}

/* A memfd of the right size; -1: it cannot be had. */
static int create(void)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    long fd = tm_sys3(SYS_memfd_create, (long)TM_LIVE_NAME, flags | MFD_NOEXEC_SEAL, 0);
    if (fd == -EINVAL)
        fd = tm_sys3(SYS_memfd_create, (long)TM_LIVE_NAME, flags, 0);
    if (fd < 0)
        return -1;
    /* RLIMIT_FSIZE counts for it, too, and would end the program by SIGXFSZ. */
    struct tm_mask mask = tm_mask_all();
    long error = tm_sys3(SYS_ftruncate, fd, TM_LIVE_BYTES, 0);
    tm_mask_restore(mask);
    if (error == 0)
        return move_up((int)fd);
    tm_sys_close((int)fd);
    return -1;
}

static char *map(int fd)
{
    long at = tm_sys6(SYS_mmap, 0, TM_LIVE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    return at < 0 && at > -4096 ? NULL : (char *)at;
}

void tm_live_start(void)
{
    int fd = is_filtered() ? -1 : create();
    /* Before it is sealed. F_SEAL_FUTURE_WRITE (Linux 5.1): this mapping, and what forked children
     * have of it, stays the only one that can be written to. */
    memory = map(fd);
    if (fd >= 0 && (memory == NULL || tm_sys3(SYS_fcntl, fd, F_ADD_SEALS,
                                              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE |
                                                  F_SEAL_SEAL) != 0)) {
        tm_sys_close(fd);
        if (memory != NULL)
            tm_sys3(SYS_munmap, (long)memory, TM_LIVE_BYTES, 0);
        memory = map(-1);
    }
    if (memory == NULL)
        return;
    uint64_t now = tm_clock_coarse_ns();
    be(now);
    write_slot(now);
    __atomic_store_n(&tidemark_status.live_at, (uint64_t)memory, __ATOMIC_RELEASE);
    before = atomic_load(&tm_hook_tick);
    atomic_store(&tm_hook_tick, tick);
}

void tm_live_exit(void)
{
    if (memory != NULL && slot != NULL) {
        uint64_t seen = next.owner;
        __atomic_compare_exchange_n(&slot->owner, &seen, 0, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
    }
}

void tm_live_fork_child(void)
{
    if (memory == NULL)
        return;
    uint64_t now = tm_clock_coarse_ns();
    be(now);
    atomic_flag_clear(&busy);
    atomic_store(&due_ns, now + CHILD_NS);
    atomic_store(&due_below, 0);
    atomic_store(&due_above, UINT64_MAX);
}
