/* stack_range.h: which addresses a thread may read of its stack: from its stack pointer up to the
 * end of what is mapped there. Whatever walks a stack stays within it, so that a wrong guess of
 * where a frame lies reads nonsense at worst, and never faults.
 */
#ifndef TIDEMARK_RECORD_STACK_RANGE_H
#define TIDEMARK_RECORD_STACK_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* End of the stack that the calling thread runs on, of which sp is an address in use; 0: cannot be
 * told. *own: it is the thread's first stack, which stays where it is while the thread lives; else
 * it is one that the program made (a coroutine's, a signal's). Raw system calls, on first use by a
 * thread and for stacks that are not its own. */
uintptr_t tm_stack_end(uintptr_t sp, bool *own);

#endif
