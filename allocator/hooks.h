/* hooks.h: what the allocator calls outside itself. The recorder sets these; NULL means nobody
 * listens. They are called on slow paths only, under no lock.
 */
#ifndef TIDEMARK_ALLOCATOR_HOOKS_H
#define TIDEMARK_ALLOCATOR_HOOKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called whenever pages went into or out of use (a pool, a span or a mapping was taken or given
 * back). Must neither allocate nor block. */
typedef void tm_hook_tick_fn(void);
extern _Atomic(tm_hook_tick_fn *) tm_hook_tick;

/* Who called the allocator: the place that the program's call returns to, and its stack pointer and
 * frame pointer once it has. */
struct tm_caller {
    uintptr_t ip, sp, frame;
};

/* Of the function that this is inlined into, which is called by the program, or by something that
 * unwinding leads out of. */
static inline __attribute__((always_inline)) struct tm_caller tm_caller_here(void)
{
    /* The caller's frame pointer and the return address lie where the frame pointer points to
     * (x86-64, aarch64): on x86-64 at the end of the frame, on aarch64 anywhere in it. */
    const uintptr_t *frame = __builtin_frame_address(0);
#if defined(__aarch64__)
    uintptr_t sp = (uintptr_t)__builtin_dwarf_cfa();
#else
    uintptr_t sp = (uintptr_t)(frame + 2);
#endif
    return (struct tm_caller){(uintptr_t)__builtin_return_address(0), sp, frame[0]};
}

/* Why an allocation is told to the recorder. */
enum tm_why {
    TM_WHY_SAMPLE = 1,   /* it is one of a Poisson sample: sample.h */
    TM_WHY_ALL = 2,      /* every one is */
    TM_WHY_IDENTITY = 4, /* every one on its page is, so that what survives there has a name */
};

/* What the recorder has to say of a block, in a word of its own (cell.h). 0: nothing. A counted one
 * is told when its block is freed; others are forgotten with it. */
#define TM_CELL_COUNTED (UINT64_C(1) << 63)

/* A block was allocated that is one of the sample, or every one is told; returns what its cell is
 * to hold. May allocate: it is not called again from inside itself. */
typedef uint64_t tm_hook_record_fn(const void *block, size_t requested, size_t usable, unsigned why,
                                   const struct tm_caller *caller);
extern _Atomic(tm_hook_record_fn *) tm_hook_record;

/* The same of one that is told for its page's sake only: what is not counted. */
typedef uint64_t tm_hook_name_fn(const struct tm_caller *caller);
extern _Atomic(tm_hook_name_fn *) tm_hook_name;

/* A block is freed whose cell held a counted value. Must not allocate. */
typedef void tm_hook_forget_fn(const void *block, size_t usable, uint64_t cell);
extern _Atomic(tm_hook_forget_fn *) tm_hook_forget;

/* Asked of a pointer that is not Tidemark's before it is called misuse: another malloc may be in
 * use in this process whose blocks reach ours (preload/foreign.h). True: it was that malloc's, and
 * what was asked for is done; *result may be NULL, as that malloc's realloc returned. size is not
 * 0. Keep errno where they succeed. */
typedef bool tm_hook_foreign_free_fn(void *ptr);
typedef bool tm_hook_foreign_resize_fn(void *ptr, size_t size, void **result);
typedef bool tm_hook_foreign_usable_fn(const void *ptr, size_t *bytes);
extern _Atomic(tm_hook_foreign_free_fn *) tm_hook_foreign_free;
extern _Atomic(tm_hook_foreign_resize_fn *) tm_hook_foreign_resize;
extern _Atomic(tm_hook_foreign_usable_fn *) tm_hook_foreign_usable;

/* A block that is free is freed again: true, if whoever called free, at the address `caller`, is to
 * be let off, and nothing becomes of it; else the program is stopped. Async-signal-safe, takes no
 * lock. (preload/forked.h) */
typedef bool tm_hook_pardon_fn(const void *caller);
extern _Atomic(tm_hook_pardon_fn *) tm_hook_pardon;

/* A block is misused, and the program is about to be stopped. Writes what is known of where the
 * block was allocated and first freed, as a part of one line ("; allocated at ..., first freed at
 * ..."), into text (size bytes, no terminating NUL needed); returns how many bytes.
 * Async-signal-safe, allocates nothing, under no lock. */
typedef size_t tm_hook_where_fn(const void *block, char *text, size_t size);
extern _Atomic(tm_hook_where_fn *) tm_hook_where;

#endif
