/* library.c: stands for a libtidemark.so from before call sites were recorded: its status ends
 * there, and what lies behind is something else's. It listens to the signal as one does, and counts
 * what it is asked for.
 */
#include "profiler/format/status.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

struct older {
    char status[offsetof(struct tm_status, sites)];
    unsigned char behind[256];
};

__attribute__((visibility("default"))) struct older tidemark_status;

static void on_signal(int signal_number)
{
    struct tm_status *status = (struct tm_status *)&tidemark_status;
    (void)signal_number;
    __atomic_fetch_add(&status->requested, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void start(void)
{
    struct tm_status status = {
        .version = 1, .bytes = sizeof tidemark_status.status, .signal = SIGUSR2, .handler = 1};
    memcpy(status.magic, TM_STATUS_MAGIC, sizeof status.magic);
    memcpy(tidemark_status.status, &status, sizeof tidemark_status.status);
    memset(tidemark_status.behind, 1, sizeof tidemark_status.behind);
    signal(SIGUSR2, on_signal);
}
