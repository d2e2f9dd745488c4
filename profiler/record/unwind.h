/* unwind.h: one frame after the other of a stack, by libunwind, which is loaded when sites are
 * recorded for the first time and not before: a program that records nothing pays nothing for it.
 *
 * libunwind is used as if on another process, with accessors of our own: it reads nothing but the
 * stack that it is given and the unwind tables of the module that a frame lies in, so that no guess
 * of its makes it touch what is not there; and modules are found by _dl_find_object(), which takes
 * no lock. (What it does on its own for the process that it is in takes the loader's lock, and
 * probes addresses through a pipe whose descriptors the program may close and use again.)
 */
#ifndef TIDEMARK_RECORD_UNWIND_H
#define TIDEMARK_RECORD_UNWIND_H

#include "allocator/hooks.h"
#include "profiler/record/stack.h"

#include <stdbool.h>
#include <stdint.h>

/* Loads libunwind, at a safe point: not in a signal handler nor inside malloc. alone: no other
 * thread opens or closes descriptors meanwhile. 0 or a negative errno. */
int tm_unwind_load(bool alone);
/* It is loaded. */
bool tm_unwind_ready(void);

/* From the place that the caller describes, on a stack that is open for reading (stack.h). One
 * thread at a time, from here to the last step; nothing in between allocates or waits for a lock.
 */
void tm_unwind_begin(const struct tm_caller *caller, const struct tm_stack *stack);
/* Steps to the caller of the frame reached last. False: there is none, or it cannot be told.
 * *exact: a signal interrupted it at *ip; else *ip is where a call returns to, and *behind is just
 * above the word that says so: on x86-64 that is the caller's stack pointer, elsewhere an address
 * in the frame of what it called. */
bool tm_unwind_step(uintptr_t *ip, uintptr_t *behind, bool *exact);

/* Before a library is unloaded, and after: another may come to lie where it was. Any thread.
 * Between the two the caller waits until nobody unwinds. */
void tm_unwind_unloading(void);
void tm_unwind_unloaded(void);

#endif
