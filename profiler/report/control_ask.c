/* control_ask.c: requests that the library answers at once, in its signal handler: they are done
 * when a counter in its status has moved. See control.h.
 */
#include "profiler/report/control.h"

#include "profiler/format/snapshot.h"
#include "profiler/report/command.h"

#include <time.h>

enum { POLLS = 1000, RESEND_EVERY = 100 };
static const long POLL_NS = 5 * 1000 * 1000;

void tm_target_pause(void)
{
    struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
}

static bool is_stopped(const struct tm_target *target)
{
    char state = tm_target_state(target);
    return state == 'T' || state == 't';
}

/* Says why nothing came within the time. Always 1. */
static int explain_silence(const struct tm_target *target)
{
    int pid = (int)target->pid;
    if (!tm_target_is_alive(target))
        tm_error("process %d (%s) ended before it did what was asked", pid, target->program);
    else if (is_stopped(target))
        tm_error("process %d (%s) is stopped: the request waits until it goes on (kill -CONT %d)",
                 pid, target->program, pid);
    else
        tm_error("process %d (%s) has not taken the signal within %d s (state %c): it may be in an "
                 "uninterruptible system call; try again",
                 pid, target->program, (int)(POLLS * POLL_NS / 1000000000),
                 tm_target_state(target));
    return 1;
}

int tm_target_ask(struct tm_target *target, enum tm_request request, const uint32_t *counter)
{
    uint32_t before = *counter;
    if (tm_target_send(target, request) != 0)
        return 1;
    if (target->status_at == 0)
        return 0;
    for (int i = 1; i <= POLLS; i++) {
        tm_target_pause();
        if (!tm_target_refresh(target))
            break;
        if (*counter != before)
            return 0;
        /* A signal that came while the same one was pending is lost. (One that is stopped may be so
         * at the first instruction of the handler, where all signals are blocked.) */
        if (i % RESEND_EVERY == 0 && !tm_target_is_pending(target) && !is_stopped(target) &&
            (tm_target_check_signal(target) != 0 || tm_target_send(target, request) != 0))
            return 1;
    }
    return explain_silence(target);
}

int tm_target_switch_sites(const char *pid, int32_t sites, struct tm_target *target)
{
    static const enum tm_request requests[] = {[TM_SITES_OFF] = TM_REQUEST_SITES_OFF,
                                               [TM_SITES_SAMPLE] = TM_REQUEST_SITES_SAMPLE,
                                               [TM_SITES_ALL] = TM_REQUEST_SITES_ALL};
    int result = tm_target_find(pid, target);
    if (result == 0)
        result = tm_target_check_signal(target);
    if (result != 0)
        return result;
    if (target->status_at != 0 && target->status.bytes < offsetof(struct tm_status, reserved)) {
        tm_error("process %d (%s) runs an older Tidemark, which records no call sites: restart it "
                 "with the library that came with this command",
                 (int)target->pid, target->program);
        return 1;
    }
    if (tm_target_ask(target, requests[sites], &target->status.switches) != 0)
        return 1;
    if (target->status_at != 0 && target->status.sites != sites) {
        tm_error(
            "process %d (%s) could not switch the recording of call sites %s, or was asked for "
            "something else meanwhile; its stderr may say why; try again",
            (int)target->pid, target->program, sites == TM_SITES_OFF ? "off" : "on");
        return 1;
    }
    return 0;
}
