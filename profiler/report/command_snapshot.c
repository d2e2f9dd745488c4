/* command_snapshot.c: `tidemark snapshot PID`: asks, waits, prints the path. */
#include "profiler/report/command.h"
#include "profiler/report/control.h"
#include "profiler/report/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NUMBERS = 10000 }; /* of snapshots of one process that are looked for */
static const double POLL_SECONDS = 0.005;
static const double RESEND_SECONDS =
    0.5; /* a signal that came while the same one was pending is lost */

static void print_help(FILE *out)
{
    fputs("usage: tidemark snapshot [--report] [--timeout SECONDS] PID\n\n"
          "Asks a process that runs under Tidemark for a snapshot of its heap and prints the path "
          "of the file.\n"
          "The process pauses for as long as one fork takes.\n\n"
          "  --report           print the report of the snapshot instead of the path\n"
          "  --timeout SECONDS  how long to wait for it (default 30)\n\n"
          "Where the file goes is set when the process starts: TIDEMARK=out=PATH, in which %p is "
          "the pid, %n\n"
          "the snapshot's number and %e the program. Exit status: 0 written, 1 not, 2 bad usage.\n",
          out);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* Says why nothing came within the time. Always 1. */
static int explain_silence(const struct tm_target *target, double timeout)
{
    int pid = (int)target->pid;
    char state = tm_target_state(target);
    if (!tm_target_is_alive(target))
        tm_error("process %d (%s) ended before its snapshot was written", pid, target->program);
    else if (state == 'T' || state == 't')
        tm_error("process %d (%s) is stopped: the request waits until it goes on (kill -CONT %d)",
                 pid, target->program, pid);
    else if (tm_target_is_pending(target))
        tm_error("process %d (%s) has not taken the signal within %g s (state %c); it may be in an "
                 "uninterruptible system call: try again, or with a longer --timeout",
                 pid, target->program, timeout, state);
    else
        tm_error(
            "process %d (%s) has written no snapshot within %g s; its stderr may say why, or it is "
            "still writing: try a longer --timeout",
            pid, target->program, timeout);
    return 1;
}

/* How many more snapshots must end until one is done that began after a request made now. */
static uint32_t ends_needed(const struct tm_status *status)
{
    uint32_t open = status->requested - status->merged - status->written - status->failed;
    return open == 0 ? 1 : 2;
}

/* The process ended, perhaps because the signal ended what it waited for: then its snapshot is
 * whole, and only its memory cannot tell. 0 and the path of the first that is no older than
 * `since`, or 1 after printing. */
static int written_at_the_end(struct tm_target *target, time_t since, double timeout, char *path,
                              size_t size)
{
    const char *why;
    struct stat status;
    target->apart = false; /* its root went with it */
    for (int i = 0; i < 100 && tm_target_is_alive(target); i++)
        pause_for(POLL_SECONDS);
    for (unsigned number = 1; number <= NUMBERS && !tm_target_is_alive(target); number++) {
        tm_target_expand(target, number, path, size);
        if (tm_target_look_at(target, path, &why) == TM_TARGET_FILE_OWN &&
            lstat(path, &status) == 0 && status.st_mtime >= since)
            return 0;
    }
    return explain_silence(target, timeout);
}

/* Says that the file is not to be trusted. Always 1. */
static int refuse_file(const struct tm_target *target, const char *inside, const char *why)
{
    tm_error(
        "'%s' is in the place of the snapshot of process %d (%s), but %s: it may be somebody's "
        "trap, or the file system keeps no owners; set TIDEMARK=out=PATH to a directory that "
        "only that user writes to",
        inside, (int)target->pid, target->program, why);
    return 1;
}

/* The path that the process tells. 0 and that as this command can open it, or 1 after printing. */
static int take_file(struct tm_target *target, const char *inside, char *path, size_t size)
{
    const char *why;
    if (inside[0] != '/') {
        tm_error("process %d (%s) tells the path '%s', which begins nowhere: its working directory "
                 "has no path; set TIDEMARK=out=PATH to an absolute one",
                 (int)target->pid, target->program, inside);
        return 1;
    }
    switch (tm_target_look_at(target, inside, &why)) {
    case TM_TARGET_FILE_NONE:
        tm_error("process %d (%s) says that it wrote its snapshot to '%s', but there is none: "
                 "it was taken away, or is where this user may not look",
                 (int)target->pid, target->program, inside);
        return 1;
    case TM_TARGET_FILE_STRANGE:
        return refuse_file(target, inside, why);
    case TM_TARGET_FILE_OWN:
        break;
    }
    tm_target_outside_path(target, inside, path, size);
    return 0;
}

/* Waits by the counters in its memory. 0 and the path, or 1 after printing. */
static int wait_by_counters(struct tm_target *target, double timeout, char *path, size_t size)
{
    struct tm_status before = target->status;
    uint32_t ends_before = before.written + before.failed;
    uint32_t needed = ends_needed(&before);
    double start = now();
    double sent = start;
    time_t since = time(NULL);
    for (;;) {
        if (!tm_target_refresh(target))
            return written_at_the_end(target, since, timeout, path, size);
        if (now() - start > timeout)
            return explain_silence(target, timeout);
        const struct tm_status *status = &target->status;
        uint32_t ends = status->written + status->failed;
        bool settled = status->requested == status->merged + ends;
        if (status->requested != before.requested && ends != ends_before &&
            (settled || ends - ends_before >= needed))
            break;
        if (status->requested == before.requested && now() - sent > RESEND_SECONDS &&
            !tm_target_is_pending(target)) {
            if (tm_target_check_signal(target) != 0 ||
                tm_target_send(target, TM_REQUEST_SNAPSHOT) != 0)
                return 1;
            sent = now();
        }
        pause_for(POLL_SECONDS);
    }
    if (target->status.written == before.written) {
        tm_error(
            "process %d (%s) could not write its snapshot: %s %s: %s; where it writes is set with "
            "TIDEMARK=out=PATH when it starts",
            (int)target->pid, target->program, target->status.last_step, target->status.last_path,
            strerror(target->status.last_error));
        return 1;
    }
    return take_file(target, target->status.last_path, path, size);
}

/* Where its memory may not be read, the next file of the pattern tells by appearing: the number of
 * the first that is not there; 0 after printing. */
static unsigned next_number(struct tm_target *target)
{
    char path[PATH_MAX];
    const char *why;
    for (unsigned number = 1; number <= NUMBERS; number++) {
        tm_target_expand(target, number, path, sizeof path);
        if (tm_target_look_at(target, path, &why) == TM_TARGET_FILE_NONE)
            return number;
    }
    tm_error("%s exists already, so process %d (%s) would write no new one: remove it", path,
             (int)target->pid, target->program);
    return 0;
}

/* What somebody else puts there meanwhile is passed over, as the process does. */
static int wait_for_file(struct tm_target *target, double timeout, unsigned number, char *path,
                         size_t size)
{
    char inside[PATH_MAX], next[PATH_MAX];
    double start = now();
    tm_target_expand(target, number, inside, sizeof inside);
    for (;;) {
        const char *why;
        enum tm_target_file file = tm_target_look_at(target, inside, &why);
        if (file == TM_TARGET_FILE_OWN)
            break;
        if (file == TM_TARGET_FILE_STRANGE) {
            tm_target_expand(target, ++number, next, sizeof next);
            if (strcmp(next, inside) == 0)
                return refuse_file(target, inside, why);
            memcpy(inside, next, sizeof inside);
            continue;
        }
        if (now() - start > timeout || !tm_target_is_alive(target))
            return explain_silence(target, timeout);
        pause_for(POLL_SECONDS);
    }
    tm_target_outside_path(target, inside, path, size);
    return 0;
}

static int take(const char *pid, double timeout, struct tm_target *target, char *path, size_t size)
{
    unsigned number = 0;
    int result = tm_target_find(pid, target);
    if (result == 0)
        result = tm_target_check_signal(target);
    if (result != 0)
        return result;
    if (target->status_at == 0 && (number = next_number(target)) == 0)
        return 1;
    result = tm_target_send(target, TM_REQUEST_SNAPSHOT);
    if (result != 0)
        return result;
    return target->status_at != 0 ? wait_by_counters(target, timeout, path, size)
                                  : wait_for_file(target, timeout, number, path, size);
}

struct options {
    double timeout; /* seconds */
    bool report;
};

static bool take_option(int option, char *value, void *given)
{
    struct options *options = given;
    char *end;
    if (option == 'r') {
        options->report = true;
        return true;
    }
    options->timeout = strtod(value, &end);
    if (end != value && *end == '\0' && options->timeout > 0 && options->timeout <= 86400)
        return true;
    tm_error("snapshot: --timeout %s: give seconds, from above 0 to 86400", value);
    return false;
}

int tm_command_snapshot(int argc, char **argv)
{
    static const struct option known[] = {{"report", no_argument, NULL, 'r'},
                                          {"timeout", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    char path[PATH_MAX];
    struct tm_target target;
    struct options options = {.timeout = 30};
    int result = tm_parse_options(argc, argv, known, print_help, take_option, &options);
    if (result >= 0)
        return result;
    if (optind != argc - 1) {
        print_help(stderr);
        return 2;
    }
    result = take(argv[optind], options.timeout, &target, path, sizeof path);
    if (result != 0)
        return result;
    if (options.report) {
        char *arguments[] = {(char *)"report", path, NULL};
        return tm_command_report(2, arguments);
    }
    return tm_target_print_path(&target, path) ? 0 : 1;
}
