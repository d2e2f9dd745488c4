/* helper.c: the helper's thread, stack and copy of the process, by raw clone(2). Only request.c
 * calls it.
 *
 * Why a thread: the copy must be waited for, or a zombie would stay, and the interrupted thread
 * cannot wait in its handler. Why not pthread_create: it allocates and locks, and a handler may
 * have interrupted it. The kernel's thread needs from libc nothing at all as long as it makes its
 * own system calls. It gets a small block of zeros as thread-local storage, so that what a compiler
 * may slip in (a stack protector's canary, a stray errno) finds memory of its own and not that of
 * the interrupted thread, which may end meanwhile.
 */
#include "profiler/record/helper.h"

#include "profiler/record/sys.h"

#if defined(__aarch64__)
#include "profiler/record/helper_aarch64.h"
#else
#include "profiler/record/helper_x86_64.h"
#endif

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/* Thread-local variables lie on one side of the thread pointer, libc's descriptor of the thread on
 * the other. */
enum {
    STACK_BYTES = 64 * 1024,
    VARIABLES = 8 * 1024,
    DESCRIPTOR = 4 * 1024,
#if defined(__aarch64__)
    TLS_BELOW = DESCRIPTOR,
    TLS_ABOVE = VARIABLES,
#else
    TLS_BELOW = VARIABLES,
    TLS_ABOVE = DESCRIPTOR,
#endif
};

static char stack[STACK_BYTES] __attribute__((aligned(64)));
static char local_storage[TLS_BELOW + TLS_ABOVE] __attribute__((aligned(64)));

int tm_helper_start(void (*body)(void))
{
    uint64_t flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                     CLONE_SYSVSEM | CLONE_SETTLS;
    long result = tm_helper_clone(flags, stack + STACK_BYTES, local_storage + TLS_BELOW, body);
    return result < 0 ? (int)result : 0;
}

void tm_helper_call(void (*body)(void))
{
    tm_helper_on_stack(stack + STACK_BYTES, body);
}

long tm_copy_process(void)
{
    /* No exit signal: the parent hears nothing. CLONE_UNTRACED: a debugger or strace -f on the
     * program is not shown a process that is not the program's. */
    return tm_sys6(SYS_clone, CLONE_UNTRACED, 0, 0, 0, 0, 0);
}

long tm_copy_wait(long pid)
{
    int status = 0;
    long result;
    do
        result = tm_sys4(SYS_wait4, pid, (long)&status, __WCLONE, 0);
    while (result == -EINTR);
    return result < 0 ? result : status;
}
