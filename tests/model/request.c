/* request.c: models of profiler/record/request.c: who makes a snapshot, and that one is made after
 * each request. Its system calls, its helper and what it asks of the rest of the recorder are stood
 * for here; the source itself is part of this file, as it calls the kernel by inline functions.
 */
#include "profiler/record/record.h"

#include "allocator/addresses.h"
#include "profiler/record/mask.h"
#include "profiler/record/sys.h"
#include "tests/model/model.h"

static long system_call(long number, long a, long bytes, long c, long d)
{
    (void)a, (void)c, (void)d;
    if (number == SYS_mmap)
        return (long)model_map((size_t)(bytes + 4095) & ~(size_t)4095, 4096);
    return number == SYS_getppid ? 1 : 0;
}

#define tm_sys6(number, a, b, c, d, e, f) system_call(number, a, b, c, d)
#define tm_sys4(number, a, b, c, d)       system_call(number, a, b, c, d)
#define tm_sys3(number, a, b, c)          system_call(number, a, b, c, 0)
/* For the real sanitizer; here it would be an order that the code has not by itself. */
#define tm_addresses_go()      ((void)0)
#define tm_addresses_come()    ((void)0)
#define tm_mask_all()          ((struct tm_mask){0, 0})
#define tm_mask_restore(mask)  ((void)(mask))
#define tm_sys_getpid()        ((int)7)
#define tm_sys_sleep_ns(ns)    ((void)(ns), model_sleep())
#define tm_sys_clock_ns(clock) ((uint64_t)(clock))
#define tm_sys_unlink(path)    ((void)(path))

#include "profiler/record/request.c" // NOLINT(bugprone-suspicious-include)

/* ---- what stands for the rest ---- */

static bool no_helper;  /* no thread can be made */
static unsigned copied; /* when the last copy of the process was made; guarded by BUSY */
static unsigned copies;

int tm_helper_start(void (*body)(void))
{
    if (no_helper)
        return -EAGAIN;
    model_spawn(body);
    return 0;
}

/* One locked instruction, and the end: helper.c has it in assembly. */
void tm_helper_leave(uint64_t *word, uint64_t held)
{
    if (__atomic_compare_exchange_n(word, &held, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        model_end();
}

void tm_helper_call(void (*body)(void))
{
    body();
}

long tm_copy_process(void)
{
    copied = model_time();
    copies++;
    job.outcome->finished = 1;
    return 8;
}

long tm_copy_wait(long pid)
{
    (void)pid;
    return 0;
}

void tm_snapshot_write(const struct tm_job *one)
{
    copied = model_time();
    copies++;
    one->outcome->finished = 1;
}

void tm_snapshot_say_failure(const struct tm_outcome *outcome)
{
    model_fail("a snapshot failed: %s", outcome->step);
}

bool tm_census_lock(unsigned tries)
{
    return tries != 0;
}

void tm_census_unlock(void) {}
void tm_live_exit(void) {}
void tm_summary_say(void) {}
uint64_t tm_timeline_now_ns(void)
{
    return 0;
}

/* ---- the scenarios ---- */

static unsigned asked[MODEL_THREADS + 1]; /* when each thread did so last */

static void request(int thread)
{
    asked[thread] = model_time();
    tm_record_request();
}

static void request_twice(int thread)
{
    request(thread);
    request(thread);
}

static void without_helper(int thread)
{
    (void)thread;
    no_helper = true;
}

static void at_exit(int thread)
{
    settings.exit_kind = TM_EXIT_SNAPSHOT;
    (void)thread;
}

static void exit_or_request(int thread)
{
    if (thread == 2) {
        request(thread);
        return;
    }
    asked[thread] = model_time();
    tm_record_exit();
}

static void all_made(void)
{
    const struct tm_status *status = &tidemark_status;
    model_assert(state == 0);
    model_assert(status->failed == 0 && status->written == copies);
    model_assert(status->requested == status->merged + status->written);
    for (int i = 1; i <= MODEL_THREADS; i++)
        model_assert(asked[i] <= copied);
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"requests", 3, NULL, request, NULL, all_made, 2, 1, false},
        {"requests-again", 2, NULL, request_twice, NULL, all_made, 3, 1, false},
        {"in-handlers", 3, without_helper, request, NULL, all_made, 2, 1, false},
        {"exit", 2, at_exit, exit_or_request, NULL, all_made, 3, 1, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
