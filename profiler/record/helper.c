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

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    STACK_BYTES = 64 * 1024,
    TLS_BELOW = 8 * 1024, /* for thread-local variables, which lie below the thread pointer */
    TLS_ABOVE = 2 * 1024, /* for libc's thread descriptor */
};

static char stack[STACK_BYTES] __attribute__((aligned(64)));
static char local_storage[TLS_BELOW + TLS_ABOVE] __attribute__((aligned(64)));

int tm_helper_start(void (*body)(void))
{
    uint64_t flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                     CLONE_SYSVSEM | CLONE_SETTLS;
    char *thread_pointer = local_storage + TLS_BELOW;
    /* The ABI has the thread pointer point to itself, and libc's descriptor repeats it at 16. */
    ((void **)(void *)thread_pointer)[0] = thread_pointer;
    ((void **)(void *)thread_pointer)[2] = thread_pointer;

    register long no_tid __asm__("r10") = 0;
    register char *tls __asm__("r8") = thread_pointer;
    register void (*run)(void) __asm__("r9") = body;
    long result;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t" /* the end of the stack, for whoever unwinds it */
                     "callq *%%r9\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone), "D"(flags), "S"(stack + STACK_BYTES), "d"(0L),
                       "r"(no_tid), "r"(tls), "r"(run)
                     : "rcx", "r11", "memory");
    return result < 0 ? (int)result : 0;
}

void tm_helper_leave(uint64_t *state, uint64_t held)
{
    uint64_t expected = held;
    /* Between the exchange and the end nothing may touch the stack, which is somebody else's by
     * then. */
    __asm__ volatile("lock cmpxchgq %[nothing], %[state]\n\t"
                     "jne 1f\n\t"
                     "movl %[exit], %%eax\n\t"
                     "xorl %%edi, %%edi\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : [state] "+m"(*state), "+a"(expected)
                     : [nothing] "r"((uint64_t)0), [exit] "i"(SYS_exit)
                     : "rdi", "rcx", "r11", "memory", "cc");
}

void tm_helper_call(void (*body)(void))
{
    /* rbx is kept by every function, so it brings the old stack back. */
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "callq *%[body]\n\t"
                     "movq %%rbx, %%rsp"
                     :
                     : [top] "r"(stack + STACK_BYTES), [body] "r"(body)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
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
