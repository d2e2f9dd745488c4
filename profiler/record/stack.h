/* stack.h: reading the stack that a thread runs on, without ever touching what is not there.
 *
 * A thread's own stack, from its stack pointer to its end, stays where it is while the thread
 * lives, and is read as it lies there. Which addresses these are: for the first thread, those below
 * what ld.so keeps as the end of its stack, where the kernel puts nothing else; for others, those
 * below libc's descriptor of the thread, which the thread pointer points to, as far down as an
 * unbroken chain of frames was seen to lead there. All other stacks (a coroutine's, a signal's) may
 * be gone or be others the next time: the kernel is asked to copy them (copy.h), a page
 * at a time.
 *
 * (Asking /proc/self/maps instead takes a descriptor of the program's, which other threads and
 * children see, and what it tells may be over when it is used.)
 */
#ifndef TIDEMARK_RECORD_STACK_H
#define TIDEMARK_RECORD_STACK_H

#include <stdbool.h>
#include <stdint.h>

struct tm_stack {
    uintptr_t sp; /* in use from here upwards */
    uintptr_t
        end; /* of an own one; of others somewhere above, always the same for the same place */
    bool own;
};

/* The one that the calling thread runs on. Async-signal-safe. */
struct tm_stack tm_stack_of(uintptr_t sp);

/* The word at an address. False: it is not on the stack. */
static inline bool tm_stack_read_own(const struct tm_stack *stack, uintptr_t address,
                                     uintptr_t *word)
{
    /* The return address of the caller lies below its stack pointer. */
    if (address < stack->sp - sizeof *word || address > stack->end - sizeof *word ||
        address % sizeof *word != 0)
        return false;
    *word = *(const uintptr_t *)address;
    return true;
}

/* The same on any stack; one thread at a time, after tm_stack_open(). */
void tm_stack_open(const struct tm_stack *stack);
bool tm_stack_read(const struct tm_stack *stack, uintptr_t address, uintptr_t *word);

/* Another stack is read, of which nothing is left but a copy of its inner end, from stack->sp up
 * to, not with, stack->end. */
void tm_stack_open_kept(const struct tm_stack *stack, const void *bytes);

/* A chain of frames, none of which a signal interrupted and each less than TM_FRAME_LARGEST above
 * the one before, leads from stack->sp to `outermost`, on the thread's own stack or at its end. */
enum { TM_FRAME_LARGEST = 64 * 1024 };
void tm_stack_proven(const struct tm_stack *stack, uintptr_t outermost);

#endif
