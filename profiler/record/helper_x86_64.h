/* helper_x86_64.h: what of the helper is written in the machine's own instructions; included by
 * helper.c alone, as one of several. Each is a few instructions between which no compiler may put a
 * use of the stack.
 */
#ifndef TIDEMARK_RECORD_HELPER_MACHINE_H
#define TIDEMARK_RECORD_HELPER_MACHINE_H

#include <stdint.h>
#include <sys/syscall.h>

/* clone(2) of a thread that runs `body` on the stack that ends at `top`. What the kernel returned
 * to the caller. */
static inline long tm_helper_clone(uint64_t flags, char *top, char *thread_pointer,
                                   void (*body)(void))
{
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
                     : "a"((long)SYS_clone), "D"(flags), "S"(top), "d"(0L), "r"(no_tid), "r"(tls),
                       "r"(run)
                     : "rcx", "r11", "memory");
    return result;
}

/* helper.h's. Between the exchange and the end nothing may touch the stack, which is somebody
 * else's by then. */
void tm_helper_leave(uint64_t *state, uint64_t held)
{
    uint64_t expected = held;
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

/* Calls `body` on the stack that ends at `top`. */
static inline void tm_helper_on_stack(char *top, void (*body)(void))
{
    /* rbx is kept by every function, so it brings the old stack back. */
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "callq *%[body]\n\t"
                     "movq %%rbx, %%rsp"
                     :
                     : [top] "r"(top), [body] "r"(body)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}

#endif
