/* command_trim.c: `tidemark trim PID`: makes a process give back what can go back, and says what
 * that came to. */
#include "profiler/report/command.h"
#include "profiler/report/control.h"

#include <stdio.h>
#include <unistd.h>

enum { SETTLE_POLLS = 20 };

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

int tm_command_trim(int argc, char **argv)
{
    struct tm_target target;
    int result = tm_take_one_pid(argc, argv, print_help);
    if (result >= 0)
        return result;
    result = tm_target_find(argv[1], &target);
    if (result == 0)
        result = tm_target_check_signal(&target);
    if (result != 0)
        return result;
    double before = rss_mib(target.pid);
    if (tm_target_ask(&target, TM_REQUEST_TRIM, &target.status.trims) != 0)
        return 1;
    for (int i = 0; i < SETTLE_POLLS; i++)
        tm_target_pause();
    printf("process %d (%s): RSS %.1f MiB before, %.1f MiB after\n", (int)target.pid,
           target.program, before, rss_mib(target.pid));
    return 0;
}
