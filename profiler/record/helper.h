/* helper.h: running code where the interrupted thread is not: on a stack of the library's own, in a
 * thread of the library's own, in a copy of the process. There is one such stack; who may use it is
 * decided by the state word of request.c.
 */
#ifndef TIDEMARK_RECORD_HELPER_H
#define TIDEMARK_RECORD_HELPER_H

#include <stdint.h>

/* Starts a thread of this process that runs body, which must end with tm_helper_leave. It inherits
 * the caller's signal mask: block all signals first. It has no libc thread state: body uses raw
 * system calls only. 0, or a negative errno. */
int tm_helper_start(void (*body)(void));

/* If *state == held, sets it to 0 and ends the calling helper thread, as one step: whoever sees the
 * 0 may use the helper's stack at once. Returns only if *state was something else. */
void tm_helper_leave(uint64_t *state, uint64_t held);

/* Calls body on the helper's stack and returns when it does. For a caller whose own stack may be
 * tiny (sigaltstack). */
void tm_helper_call(void (*body)(void));

/* Makes a copy-on-write copy of the process with one thread, the caller. 0 in the copy; in the
 * original its pid, or a negative errno. The original gets no SIGCHLD for it and no wait status,
 * unless it waits with __WCLONE or __WALL. */
long tm_copy_process(void);

/* Waits for a copy to end. Returns its wait status, or a negative errno. */
long tm_copy_wait(long pid);

#endif
