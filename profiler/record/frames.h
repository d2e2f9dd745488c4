/* frames.h: the frames of all stacks that were recorded, as a tree, and the way from a stack to its
 * place in the tree.
 *
 * A frame is the address that a call returns to, where that lies (counted from the end of the
 * stack; of the innermost one, whose address the call itself told, where its stack pointer was),
 * and the frame that called it. A stack that was there before is found again without
 * unwinding: its innermost frame is looked up by address and place, and then each return address of
 * the chain must be where it was the last time. That is some loads a frame. (That a call site and
 * the depth of the stack nearly name the calling context is what "inferred call path profiling",
 * Mytkowicz, Coughlin and Diwan 2009, found.) Only frames that are new are unwound, by libunwind,
 * until one is known. (Frame pointers would gain little: of a Python program whose
 * 2.6 million allocations were all recorded 41,000 frames were unwound; and where the program has
 * none the register holds anything.)
 */
#ifndef TIDEMARK_RECORD_FRAMES_H
#define TIDEMARK_RECORD_FRAMES_H

#include "allocator/hooks.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TM_FRAMES_MAX = 1 << 20, /* of the table */
    TM_FRAMES_DEPTH = 64,    /* of a new stack: the innermost ones */
};

struct tm_frame {
    uint64_t ip;           /* as tm_snapshot_frame.address */
    uint32_t parent;       /* number of the calling frame; 0: none */
    uint32_t below;        /* words from just above its return address to the end of the stack */
    uint32_t next;         /* number of the next frame of the same hash */
    _Atomic uint32_t site; /* sites.c's: the site of the stack that ends here; 0: none yet */
    uint32_t flags;        /* enum tm_snapshot_frame_flag */
    uint32_t root;         /* what stands at the outer end: a thread's frame, or 0 */
};

struct tm_frames_counts {
    _Atomic uint64_t truncated; /* stacks that had more frames */
    _Atomic uint64_t shortened; /* stacks of which only the caller is recorded: no room, no
                                   unwinder, or a stack that cannot be read */
};
extern struct tm_frames_counts tm_frames_counts;

/* Maps the table. False: no memory. Async-signal-safe; does nothing the second time. */
bool tm_frames_start(void);

/* Number of the innermost frame of the calling thread's stack, from the caller outwards. root: what
 * stands at the outer end, a frame made by tm_frames_root(), or 0. 0: the table is full. Not in a
 * signal handler that interrupted it on the same thread: the caller sees to that. */
uint32_t tm_frames_take(const struct tm_caller *caller, uint32_t root);
/* The same where a stack that is the same in its innermost frames will do. */
uint32_t tm_frames_take_nearly(const struct tm_caller *caller, uint32_t root);
/* Of a stack of which a copy was kept, `bytes` from the caller's stack pointer on: where in their
 * code the caller and those outside of it were, innermost first, at most `most`. Returns how many.
 * Adds nothing to the table. */
unsigned tm_frames_of_kept(const struct tm_caller *caller, const void *copy, size_t bytes,
                           uintptr_t *codes, unsigned most);
/* A frame that stands for a thread; 0: the table is full. */
uint32_t tm_frames_root(uint64_t thread);

/* The table, of which 1 to tm_frames_count() - 1 are frames; may be read without a lock. */
struct tm_frame *tm_frames(void);
uint32_t tm_frames_count(void);
/* Address and bytes of what is mapped; 0 bytes: nothing. */
const void *tm_frames_place(size_t *bytes);

/* Before a library is unloaded: from here on nobody reads of it in place. */
void tm_frames_unloading(void);

/* Around fork: nobody is adding a frame. */
void tm_frames_fork_prepare(void);
void tm_frames_fork_parent(void);
void tm_frames_fork_child(void);

#endif
