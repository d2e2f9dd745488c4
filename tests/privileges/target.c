/* target.c: the program that the tests here install set-id, and run as other users: it tells what
 * of the library is there, in lines "name=value", and then does what its arguments say.
 *
 *   target facts                 tells, asks the library for a snapshot by its call, and ends
 *   target hold                  tells, and ends when stdin does
 *   target become COMMAND...     becomes its effective user for good and executes COMMAND
 *   target drop UID              becomes that user for good, tells, and ends when stdin does
 */
#include "include/tidemark.h"
#include "profiler/format/status.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char *yes(bool is_so)
{
    return is_so ? "yes" : "no";
}

/* 0, or the errno of a call that returned -1. */
static int error_of(int result)
{
    return result == 0 ? 0 : errno;
}

static void tell_caught(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "SigCgt:", 7) == 0)
            printf("caught=%llx\n", strtoull(line + 7, NULL, 16));
    if (file != NULL)
        fclose(file);
}

static void tell(bool asks)
{
    const struct tm_status *status = dlsym(NULL, TM_STATUS_SYMBOL);
    printf("secure=%s\n", yes(getauxval(AT_SECURE) != 0));
    printf("variable=%s\n", getenv("TIDEMARK") != NULL ? getenv("TIDEMARK") : "");
    printf("other=%s\n", getenv("OTHER") != NULL ? getenv("OTHER") : "");
    printf("user=%u %u\n", (unsigned)getuid(), (unsigned)geteuid());
    printf("loaded=%s\n", yes(status != NULL));
    tell_caught();
    if (status == NULL)
        return;
    printf("signal=%d\nhandler=%d\nlive=%s\nsites=%d\n", status->signal, status->handler,
           yes(status->live_at != 0), status->sites);
    if (!asks)
        return;
    printf("record=%d\n", error_of(tidemark_record(TIDEMARK_SITES_ALL)));
    printf("sites after=%d\n", status->sites);
    printf("snapshot=%d\n", error_of(tidemark_snapshot(NULL, 0)));
    printf("written=%u\npath=%s\n", status->written, status->last_path);
}

static void hold(void)
{
    char byte;
    puts("holds");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) != 0) {
    }
}

static bool become(uid_t user, gid_t group)
{
    return (geteuid() != 0 || setgroups(0, NULL) == 0) && setresgid(group, group, group) == 0 &&
           setresuid(user, user, user) == 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "facts";
    bool drops = strcmp(what, "drop") == 0 && argc == 3;
    uid_t user = drops ? (uid_t)atoi(argv[2]) : geteuid();
    if ((drops || strcmp(what, "become") == 0) && !become(user, drops ? user : getegid())) {
        perror("setresuid");
        return 1;
    }
    if (strcmp(what, "become") == 0 && argc > 2) {
        execv(argv[2], argv + 2);
        perror(argv[2]);
        return 1;
    }
    if (!drops)
        tell(strcmp(what, "facts") == 0);
    if (strcmp(what, "facts") != 0)
        hold();
    fflush(stdout);
    return 0;
}
