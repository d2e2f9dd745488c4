/* command_start.c: `tidemark start PID`: makes a running process record call sites, and says from
 * when on it does. */
#include "profiler/report/command.h"
#include "profiler/report/control.h"
#include "profiler/report/options.h"
#include "profiler/report/report_format.h"

#include "profiler/format/snapshot.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { READY_POLLS = 400 };                                             /* 2 s */
enum { UNWINDER_UNUSED = 0, UNWINDER_READY = 1, UNWINDER_LOADING = 2 }; /* status.h */

static void print_help(FILE *out)
{
    fputs("usage: tidemark start [--all] PID\n\n"
          "Makes a process that runs under Tidemark record which calls allocate, from now on: a "
          "sample of them,\n"
          "one for each so many bytes on average (TIDEMARK=rate=BYTES when it starts, 512K by "
          "default).\n"
          "`tidemark snapshot --report PID` then tells which calls hold its memory; what was "
          "allocated before has no\n"
          "call site. `tidemark stop PID` ends it.\n\n"
          "  --all    record every allocation: exact, slower, and takes more memory\n\n"
          "Exit status: 0 done, 1 not, 2 bad usage.\n",
          out);
}

/* The unwinder is made ready by the program's own threads, as they allocate. */
static void wait_ready(struct tm_target *target)
{
    for (int i = 0; i < READY_POLLS && (target->status.unwinder == UNWINDER_UNUSED ||
                                        target->status.unwinder == UNWINDER_LOADING);
         i++) {
        tm_target_pause();
        if (!tm_target_refresh(target))
            return;
    }
}

static void tell(const struct tm_target *target, bool all)
{
    int pid = (int)target->pid;
    if (target->status_at == 0) {
        printf("process %d (%s) was asked to record call sites; its memory may not be read, so "
               "that it does cannot be seen (root can)\n",
               pid, target->program);
        return;
    }
    if (all)
        printf("process %d (%s) records the call site of every allocation", pid, target->program);
    else
        printf("process %d (%s) records the call sites of a sample, one for each %s on average",
               pid, target->program, tm_words_bytes(target->status.rate_bytes).text);
    if (target->status.unwinder < 0)
        printf("; only the callers of malloc, not their stacks: the unwinder cannot be "
               "had: %s",
               strerror(-target->status.unwinder));
    else if (target->status.unwinder != UNWINDER_READY)
        printf("; that starts with the program's next allocations");
    putchar('\n');
}

static bool take_all(int option, char *value, void *all)
{
    (void)option, (void)value;
    *(bool *)all = true;
    return true;
}

int tm_command_start(int argc, char **argv)
{
    static const struct option known[] = {
        {"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct tm_target target;
    bool all = false;
    int result = tm_parse_options(argc, argv, known, print_help, take_all, &all);
    if (result >= 0)
        return result;
    if (optind != argc - 1) {
        print_help(stderr);
        return 2;
    }
    result = tm_target_switch_sites(argv[optind], all ? TM_SITES_ALL : TM_SITES_SAMPLE, &target);
    if (result != 0)
        return result;
    if (target.status_at != 0)
        wait_ready(&target);
    tell(&target, all);
    return 0;
}
