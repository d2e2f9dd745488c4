/* library.c: stands for a libtidemark.so from before call sites were recorded: its status ends
 * there, and nothing may be read behind it, as it is the last on its page. It listens to the signal
 * as that one did.
 */
#include "profiler/format/status.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, STATUS_BYTES = 1104 };
static_assert(offsetof(struct tm_status, sites) == STATUS_BYTES, "where an older status ends");

/* The status at the end of the first page; the symbol that C cannot put there. */
__attribute__((used, aligned(4096))) static unsigned char older_pages[2 * PAGE];
__asm__(".globl tidemark_status\n"
        ".type tidemark_status, @object\n"
        ".size tidemark_status, 1104\n"
        ".set tidemark_status, older_pages + 4096 - 1104\n");

static void on_signal(int signal_number)
{
    (void)signal_number;
}

__attribute__((constructor)) static void start(void)
{
    struct tm_status status = {
        .version = 1, .bytes = STATUS_BYTES, .signal = SIGUSR2, .handler = 1};
    memcpy(status.magic, TM_STATUS_MAGIC, sizeof status.magic);
    memcpy(older_pages + PAGE - STATUS_BYTES, &status, STATUS_BYTES);
    mprotect(older_pages + PAGE, PAGE, PROT_NONE);
    signal(SIGUSR2, on_signal);
}
