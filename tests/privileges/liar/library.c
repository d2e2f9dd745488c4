/* library.c: stands for a libtidemark.so in a process that lies: asked for a snapshot it writes
 * none and says that it did, under the path that the variable LIE has.
 */
#include "profiler/format/status.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tm_status tidemark_status;

static void on_signal(int signal_number)
{
    (void)signal_number;
    __atomic_fetch_add(&tidemark_status.written, 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&tidemark_status.requested, 1, __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void start(void)
{
    const char *lie = getenv("LIE");
    memcpy(tidemark_status.magic, TM_STATUS_MAGIC, sizeof tidemark_status.magic);
    tidemark_status.version = 1;
    tidemark_status.bytes = sizeof tidemark_status;
    tidemark_status.signal = SIGUSR2;
    tidemark_status.handler = 1;
    snprintf(tidemark_status.last_path, sizeof tidemark_status.last_path, "%s",
             lie != NULL ? lie : "");
    signal(SIGUSR2, on_signal);
}
