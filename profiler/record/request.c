/* request.c: requests for a snapshot: who starts the writer, who waits for it, and what
 * tidemark_status says of it.
 *
 * One 64-bit state word decides. BUSY: there is a writer (or its start is under way) and it alone
 * uses the helper's stack, the job and the writer's static memory. PENDING: a snapshot is asked for
 * that has not begun. The high half is the pid of the process that the writer belongs to: a child
 * made past the fork handlers (raw clone, vfork) sees by it that the writer is not its own.
 *
 *   request:  idle -> BUSY|PENDING, and start the helper; BUSY -> BUSY|PENDING; BUSY|PENDING stays:
 * merged. helper:   clears PENDING, makes one snapshot; then BUSY -> idle and exit in one step, or,
 * if PENDING is there again, once more.
 *
 * So a request that comes while a snapshot is written always yields another one, made after it
 * came.
 *
 * Each change is one atomic operation on the word, by which BUSY is a lock: who sets it acquires
 * what its last holder released with BUSY -> idle (tm_helper_leave() is a locked instruction, which
 * orders all), so `job` and the like need no order of their own. Nobody ever waits for BUSY in a
 * handler: a request only leaves PENDING there, and as the holder gives BUSY up by comparing with
 * the word without PENDING, it cannot miss it. (Modelled: tests/model/request.c.)
 */
#include "profiler/record/record.h"

#include "allocator/addresses.h"
#include "allocator/census.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/clock.h"
#include "profiler/record/frames.h"
#include "profiler/record/helper.h"
#include "profiler/record/job.h"
#include "profiler/record/live.h"
#include "profiler/record/loader.h"
#include "profiler/record/mask.h"
#include "profiler/record/sites.h"
#include "profiler/record/summary.h"
#include "profiler/record/sys.h"
#include "profiler/record/text.h"
#include "profiler/record/threshold.h"
#include "profiler/record/timeline.h"
#include "profiler/record/unwind.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { BUSY = 1, PENDING = 2, FLAGS = BUSY | PENDING };

static const long EXIT_POLL_NS =
    5 * 1000 * 1000; /* between two looks at a writer that must end first */
static const unsigned EXIT_POLLS =
    6000; /* 30 s: a file system that hangs must not stop the exit for ever */
static const unsigned LOCK_TRIES = 200;    /* about 0.2 s for the arena lock, in-process only */
static const int FDS_CLOSED_SINGLY = 4096; /* where the kernel has no close_range (before 5.9) */

__attribute__((visibility("default"))) struct tm_status tidemark_status = {
    .magic = {'T', 'I', 'D', 'E', 'S', 'T', 'A', 'T'},
    .version = 1,
    .bytes = sizeof(struct tm_status),
    .signal = TM_STATUS_NOT_STARTED,
};

static struct tm_record_settings settings;
static uint64_t state;       /* atomic; see above */
static uint64_t next_number; /* %n of the next snapshot; guarded by BUSY */
static struct tm_job job;    /* guarded by BUSY */
/* A copy's, and the only one where no shared memory can be had; guarded by BUSY. */
static struct tm_outcome own_outcome;
static struct tm_outcome *shared_outcome; /* mapped while a copy is at work; guarded by BUSY */

static uint64_t owned_by(int pid)
{
    return (uint64_t)(uint32_t)pid << 32;
}

static void count(uint32_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL);
}

/* Carries the outcome over to tidemark_status: first what happened, then the counter that tells
 * that it did. */
static void publish(const struct tm_outcome *outcome)
{
    struct tm_status *status = &tidemark_status;
    if (outcome->path[0] != '\0')
        memcpy(status->last_path, outcome->path, sizeof status->last_path);
    if (outcome->error == 0) {
        next_number = (outcome->number != 0 ? outcome->number : next_number) + 1;
        count(&status->written);
        return;
    }
    memcpy(status->last_step, outcome->step, sizeof status->last_step);
    __atomic_store_n(&status->last_error, outcome->error, __ATOMIC_RELAXED);
    count(&status->failed);
}

/* The copy came to an end without saying how: killed, by a fault of its own or for want of memory.
 */
static void judge_death(struct tm_outcome *outcome, long wait_status)
{
    if (outcome->finished)
        return;
    struct tm_text text = tm_text_in(outcome->step, sizeof outcome->step);
    if (wait_status >= 0 && WIFSIGNALED(wait_status)) {
        tm_text_add(&text, "copy killed by signal ");
        tm_text_number(&text, (uint64_t)WTERMSIG(wait_status));
    } else {
        tm_text_add(&text, "copy ended early");
    }
    outcome->error = ECHILD;
    outcome->finished = 1;
    if (outcome->temporary[0] != '\0')
        tm_sys_unlink(outcome->temporary);
    tm_snapshot_say_failure(outcome);
}

/* In the copy: as it shares the program's pages, it looks as large as the program to the kernel
 * that is out of memory. It is the one to go. */
static void volunteer(void)
{
    int fd = tm_sys_open("/proc/self/oom_score_adj", O_WRONLY, 0);
    if (fd < 0)
        return;
    tm_sys_write(fd, "1000", sizeof "1000" - 1);
    tm_sys_close(fd);
}

/* In the copy: whatever it inherited that others might wait for is let go of at once; only stderr
 * stays, for one line. */
static void write_in_copy(void)
{
    struct rlimit core = {.rlim_cur = 1, .rlim_max = 1};
    tm_sys3(SYS_close_range, 0, 1, 0);
    if (tm_sys3(SYS_close_range, 3, ~0U, 0) != 0)
        for (int fd = 0; fd < FDS_CLOSED_SINGLY; fd++)
            if (fd != 2)
                tm_sys_close(fd);
    /* A core of the copy would be one of the whole program. The kernel takes a limit of 1 to mean
     * no core handler either. */
    tm_sys4(SYS_prlimit64, 0, RLIMIT_CORE, (long)&core, 0);
    volunteer();
    job.outcome = &own_outcome;
    memset(job.outcome, 0, sizeof *job.outcome);
    job.in_copy = true;
    job.own_files = true;
    tm_snapshot_write(&job);
    tm_sys_exit_group(job.outcome->error & 0xff);
}

/* No copy can be made: the snapshot is taken here, of a heap that goes on working. */
static void write_in_process(void)
{
    job.flags |= TM_SNAPSHOT_IN_PROCESS;
    if ((job.flags & TM_SNAPSHOT_NO_HEAP) == 0 && !tm_census_lock(LOCK_TRIES))
        job.flags |= TM_SNAPSHOT_NO_HEAP;
    /* The helper can have a descriptor table of its own, so that the program sees no descriptor
     * come and go. */
    if (job.extra_thread && tm_sys4(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE, 0) == 0)
        job.own_files = true;
    tm_snapshot_write(&job);
    if ((job.flags & TM_SNAPSHOT_NO_HEAP) == 0)
        tm_census_unlock();
}

/* Makes one snapshot and publishes how it went. The caller holds BUSY and has all signals blocked.
 */
static void take(bool on_helper, bool may_copy)
{
    struct tm_outcome *outcome = (struct tm_outcome *)tm_sys6(
        SYS_mmap, 0, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tm_addresses_come();
    bool shared = (uintptr_t)outcome <= (uintptr_t)-4096;
    if (shared) {
        shared_outcome = outcome;
    } else {
        outcome = &own_outcome;
        memset(outcome, 0, sizeof *outcome);
    }
    job = (struct tm_job){
        .settings = &settings,
        .pid = tm_sys_getpid(),
        .number = next_number,
        .extra_thread = on_helper,
        .since_start_ns = tm_timeline_now_ns(),
        .realtime_ns = tm_sys_clock_ns(CLOCK_REALTIME),
        .outcome = outcome,
        .told = outcome,
    };
    job.start_ns = tm_sys_clock_ns(CLOCK_MONOTONIC);

    /* A copy that cannot tell how it ended, and under which name, is of no use. */
    long pid = may_copy && shared ? tm_copy_process() : -EAGAIN;
    if (pid == 0)
        write_in_copy();
    if (pid > 0) {
        uint64_t pause = tm_clock_between(job.start_ns, tm_sys_clock_ns(CLOCK_MONOTONIC));
        if (pause == 0)
            pause = 1; /* the copy waits for it */
        __atomic_store_n(&outcome->pause_ns, pause, __ATOMIC_RELEASE);
        judge_death(outcome, tm_copy_wait(pid));
    } else {
        if (!may_copy)
            job.flags |= TM_SNAPSHOT_NO_HEAP;
        write_in_process();
    }
    publish(outcome);
    if (shared) {
        shared_outcome = NULL;
        tm_addresses_go();
        tm_sys3(SYS_munmap, (long)outcome, sizeof *outcome, 0);
    }
}

static void run_helper(void)
{
    uint64_t mine = owned_by(tm_sys_getpid());
    for (;;) {
        __atomic_fetch_and(&state, ~(uint64_t)PENDING, __ATOMIC_ACQ_REL);
        take(true, true);
        tm_helper_leave(&state, mine | BUSY);
    }
}

/* Not even a thread can be made: a few facts are better than none. The heap is not walked, since
 * the interrupted thread may hold the lock that the walk would wait for. */
static void run_in_handler(void)
{
    take(false, false);
}

void tm_record_request(void)
{
    int pid = tm_sys_getpid();
    uint64_t mine = owned_by(pid);
    struct tm_mask mask = tm_mask_all();
    uint64_t seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);

    count(&tidemark_status.requested);
    for (;;) {
        uint64_t flags = seen & FLAGS;
        if ((seen & BUSY) != 0 && (seen & ~(uint64_t)FLAGS) != mine) {
            /* Another process's writer. If that is the parent, this may be a vfork child that
             * borrows its memory: hands off. Else the word is a leftover of a fork past the
             * handlers, or of a writer that an exec ended. */
            if (owned_by((int)tm_sys3(SYS_getppid, 0, 0, 0)) == (seen & ~(uint64_t)FLAGS)) {
                count(&tidemark_status.failed);
                break;
            }
            flags = 0;
        }
        uint64_t wanted = mine | BUSY | PENDING;
        if (!__atomic_compare_exchange_n(&state, &seen, wanted, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        if ((flags & PENDING) != 0) {
            count(&tidemark_status.merged);
        } else if ((flags & BUSY) == 0 && tm_helper_start(run_helper) != 0) {
            do {
                __atomic_fetch_and(&state, ~(uint64_t)PENDING, __ATOMIC_ACQ_REL);
                tm_helper_call(run_in_handler);
                seen = mine | BUSY;
            } while (!__atomic_compare_exchange_n(&state, &seen, 0, false, __ATOMIC_ACQ_REL,
                                                  __ATOMIC_ACQUIRE));
        }
        break;
    }
    tm_mask_restore(mask);
}

/* A snapshot by the calling thread, which waits for it, and for one that is under way first. It is
 * asked for like any other, so that a request that comes before it begins is merged with it. */
static void snapshot_now(void)
{
    uint64_t mine = owned_by(tm_sys_getpid());
    uint64_t seen = 0;
    struct tm_mask mask = tm_mask_all();
    count(&tidemark_status.requested);
    for (unsigned polls = 0; !__atomic_compare_exchange_n(
             &state, &seen, mine | BUSY | PENDING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
         polls++) {
        /* A leftover of a fork past the handlers: this is no vfork child, they do not exit(). */
        if ((seen & ~(uint64_t)FLAGS) != mine)
            continue;
        if (polls == EXIT_POLLS) {
            count(&tidemark_status.failed);
            tm_mask_restore(mask);
            return;
        }
        tm_sys_sleep_ns(EXIT_POLL_NS);
        seen = 0;
    }
    do {
        __atomic_fetch_and(&state, ~(uint64_t)PENDING, __ATOMIC_ACQ_REL);
        take(false, true);
        seen = mine | BUSY;
    } while (
        !__atomic_compare_exchange_n(&state, &seen, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    tm_mask_restore(mask);
}

/* A snapshot that was asked for shows the program as it was: it is not given up because the program
 * ends meanwhile. (The signal itself may be what ended its last sleep.) */
static void wait_for_writer(void)
{
    uint64_t mine = owned_by(tm_sys_getpid());
    for (unsigned polls = 0; polls < EXIT_POLLS; polls++) {
        uint64_t seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
        if ((seen & BUSY) == 0 || (seen & ~(uint64_t)FLAGS) != mine)
            return;
        tm_sys_sleep_ns(EXIT_POLL_NS);
    }
}

void tm_record_exit(void)
{
    wait_for_writer();
    if (settings.exit_kind == TM_EXIT_SNAPSHOT)
        snapshot_now();
    else if (settings.exit_kind == TM_EXIT_SUMMARY)
        tm_summary_say();
    tm_live_exit();
}

void tm_record_start(const struct tm_record_settings *given)
{
    settings = *given;
    next_number = 1;
    __atomic_store_n(&tidemark_status.signal, given->signal, __ATOMIC_RELAXED);
    tm_timeline_start(given->timeline_ns);
    tm_sites_start(given);
    tm_threshold_start(given->at_bytes);
    if (given->live)
        tm_live_start();
}

bool tm_record_is_closed(void)
{
    return settings.closed;
}

void tm_record_main(void)
{
    tm_sites_main();
}

void tm_record_sites(uint32_t sites)
{
    tm_sites_switch(sites);
}

void tm_record_unloading(void)
{
    tm_frames_unloading();
}

void tm_record_unloaded(void)
{
    tm_unwind_unloaded();
}

void tm_record_listing(void)
{
    tm_loader_listing();
}

void tm_record_listed(void)
{
    tm_loader_listed();
}

void tm_record_thread_ends(void)
{
    tm_sites_thread_ends();
}

void tm_record_fork_prepare(void)
{
    tm_loader_fork_prepare();
    tm_sites_fork_prepare();
}

void tm_record_fork_parent(void)
{
    tm_sites_fork_parent();
    tm_loader_fork_parent();
}

void tm_record_fork_child(void)
{
    struct tm_status *status = &tidemark_status;
    __atomic_store_n(&state, 0, __ATOMIC_RELEASE);
    if (shared_outcome != NULL) {
        tm_sys3(SYS_munmap, (long)shared_outcome, sizeof *shared_outcome, 0);
        shared_outcome = NULL;
    }
    next_number = 1;
    uint32_t *counters[] = {&status->requested, &status->merged, &status->written, &status->failed,
                            &status->trims};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        __atomic_store_n(counters[i], 0, __ATOMIC_RELAXED);
    status->last_error = 0;
    status->last_path[0] = '\0';
    status->last_step[0] = '\0';
    tm_timeline_fork_child();
    tm_loader_fork_child();
    tm_sites_fork_child(settings.children);
    tm_threshold_fork_child(settings.children);
    tm_live_fork_child();
    if (!settings.children)
        settings.exit_kind = TM_EXIT_NONE;
}
