/* command_stop.c: `tidemark stop PID`: ends the recording of call sites. */
#include "profiler/report/command.h"
#include "profiler/report/control.h"

#include "profiler/format/snapshot.h"

#include <stdio.h>

static void print_help(FILE *out)
{
    fputs("usage: tidemark stop PID\n\n"
          "Ends the recording of call sites in a process that runs under Tidemark. Snapshots still "
          "show what was\n"
          "recorded until then. `tidemark start PID` begins it.\n"
          "Exit status: 0 done, 1 not, 2 bad usage.\n",
          out);
}

int tm_command_stop(int argc, char **argv)
{
    struct tm_target target;
    int result = tm_take_one_pid(argc, argv, print_help);
    if (result >= 0)
        return result;
    result = tm_target_switch_sites(argv[1], TM_SITES_OFF, &target);
    if (result != 0)
        return result;
    if (target.status_at == 0)
        printf("process %d (%s) was asked to stop recording call sites; its memory may not be "
               "read, so that it did cannot be seen (root can)\n",
               (int)target.pid, target.program);
    else
        printf("process %d (%s) records no call sites\n", (int)target.pid, target.program);
    return 0;
}
