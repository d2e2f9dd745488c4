/* helper_aarch64.h: as helper_x86_64.h, for aarch64. The kernel wants clone's arguments in another
 * order here (the thread pointer before the place of the child's id).
 */
#ifndef TIDEMARK_RECORD_HELPER_MACHINE_H
#define TIDEMARK_RECORD_HELPER_MACHINE_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long tm_helper_clone(uint64_t flags, char *top, char *thread_pointer,
                                   void (*body)(void))
{
    register long number __asm__("x8") = SYS_clone;
    register uint64_t result __asm__("x0") = flags;
    register char *stack_end __asm__("x1") = top;
    register long no_parent_tid __asm__("x2") = 0;
    register char *tls __asm__("x3") = thread_pointer;
    register long no_tid __asm__("x4") = 0;
    register void (*run)(void) __asm__("x5") = body;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t" /* the end of the stack, for whoever unwinds it */
                     "mov x30, xzr\n\t"
                     "blr x5\n\t"
                     "brk 0\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(stack_end), "r"(no_parent_tid), "r"(tls), "r"(no_tid),
                       "r"(run)
                     : "x30", "memory");
    return (long)result;
}

void tm_helper_leave(uint64_t *state, uint64_t held)
{
    /* The exchange releases what this thread wrote, and acquires what a request brought. */
    uint64_t seen;
    __asm__ volatile("1:\n\t"
                     "ldaxr %[seen], [%[state]]\n\t"
                     "cmp %[seen], %[held]\n\t"
                     "b.ne 2f\n\t"
                     "stlxr w9, xzr, [%[state]]\n\t"
                     "cbnz w9, 1b\n\t"
                     "mov x8, %[exit]\n\t"
                     "mov x0, xzr\n\t"
                     "svc 0\n\t"
                     "brk 0\n"
                     "2:\n\t"
                     "clrex"
                     : [seen] "=&r"(seen)
                     : [state] "r"(state), [held] "r"(held), [exit] "i"(SYS_exit)
                     : "x0", "x8", "x9", "memory", "cc");
}

static inline void tm_helper_on_stack(char *top, void (*body)(void))
{
    /* x19 is kept by every function, so it brings the old stack back. */
    __asm__ volatile("mov x19, sp\n\t"
                     "mov sp, %[top]\n\t"
                     "blr %[body]\n\t"
                     "mov sp, x19"
                     :
                     : [top] "r"(top), [body] "r"(body)
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                       "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x30", "v0", "v1",
                       "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                       "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
                       "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");
}

#endif
