/* command_trim.c: `tidemark trim PID`: makes a process give back what can go back, and says what
 * that came to. */
#include "profiler/report/command.h"
#include "profiler/report/control.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POLLS = 1000, RESEND_EVERY = 100, SETTLE_POLLS = 20 };
static const long POLL_NS = 5 * 1000 * 1000;

static void print_help(FILE *out)
{
    fputs("usage: tidemark trim PID\n\n"
          "Makes a process that runs under Tidemark give back every free page that it can, and "
          "prints its RSS before\n"
          "and after. Threads that sleep give back theirs when they next allocate or free.\n"
          "Exit status: 0 done, 1 not, 2 bad usage.\n",
          out);
}

static double rss_mib(pid_t pid)
{
    char path[64];
    unsigned long size = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void pause_once(void)
{
    struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
}

/* Waits until the library counted a trim. A signal that came while the same one was pending is
 * lost: then it is sent again. */
static bool wait_done(struct tm_target *target)
{
    uint32_t before = target->status.trims;
    for (int i = 1; i <= POLLS; i++) {
        pause_once();
        if (!tm_target_refresh(target))
            return false;
        if (target->status.trims != before)
            return true;
        if (i % RESEND_EVERY == 0 && !tm_target_is_pending(target) &&
            (tm_target_check_signal(target) != 0 || tm_target_send(target, TM_REQUEST_TRIM) != 0))
            return false;
    }
    return false;
}

int tm_command_trim(int argc, char **argv)
{
    struct tm_target target;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (argc != 2) {
        print_help(stderr);
        return 2;
    }
    int result = tm_target_find(argv[1], &target);
    if (result == 0)
        result = tm_target_check_signal(&target);
    if (result != 0)
        return result;
    double before = rss_mib(target.pid);
    if (tm_target_send(&target, TM_REQUEST_TRIM) != 0)
        return 1;
    if (target.status_at != 0 && !wait_done(&target)) {
        tm_error("process %d (%s) has not trimmed (state %c): it may be stopped, have ended, or be "
                 "in a long "
                 "system call; try again",
                 (int)target.pid, target.program, tm_target_state(&target));
        return 1;
    }
    for (int i = 0; i < SETTLE_POLLS; i++)
        pause_once();
    printf("process %d (%s): RSS %.1f MiB before, %.1f MiB after\n", (int)target.pid,
           target.program, before, rss_mib(target.pid));
    return 0;
}
