/* frames.c: see frames.h. The table only grows: a frame is written whole, then linked, so that
 * readers need no lock. Adding is done by one thread at a time, which also has the unwinder.
 *
 * A reader acquires the head of a chain, which the adder released after the frame's plain fields;
 * the frames behind it were released before, by adders that the lock orders, so the whole chain is
 * there. No field but `site` changes later. An old head only lacks the newest frames: then the
 * reader looks again under the lock, or adds, and the adder finds what is there. `count` is
 * released before the head: whoever has a number, or a frozen copy, finds it below `count`.
 * (Modelled: tests/model/tables.c.)
 */
#include "profiler/record/frames.h"

#include "allocator/lock.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/mask.h"
#include "profiler/record/reserve.h"
#include "profiler/record/stack.h"
#include "profiler/record/unwind.h"

#include <stdatomic.h>

enum {
    HEADS = 1 << 18,
    NEARLY = 2,          /* frames that name a stack where that is enough */
    LONGEST_CHAIN = 256, /* frames that are looked through for one */
    WHOLE_MAX = TM_FRAMES_MAX - TM_FRAMES_MAX / 16, /* from there on stacks are shortened */
};

struct table {
    struct tm_frame frames[TM_FRAMES_MAX]; /* 0 is none */
    _Atomic uint32_t heads[HEADS];
};

static _Atomic(void *) place; /* of the table */
static _Atomic uint32_t count = 1;
struct tm_frames_counts tm_frames_counts;

/* For who adds, and for the unwinder. A leaf: under it nothing allocates nor waits for another
 * lock. All signals are blocked while it is held: a handler that forks, or leaves by siglongjmp,
 * never does so with it. */
static struct tm_lock lock;

static struct tm_mask lock_up(void)
{
    struct tm_mask mask = tm_mask_all();
    tm_lock(&lock);
    return mask;
}

static void unlock(struct tm_mask mask)
{
    tm_unlock(&lock);
    tm_mask_restore(mask);
}

bool tm_frames_start(void)
{
    return tm_reserve_once(&place, sizeof(struct table));
}

static struct table *table(void)
{
    return atomic_load_explicit(&place, memory_order_relaxed);
}

struct tm_frame *tm_frames(void)
{
    return table()->frames;
}

uint32_t tm_frames_count(void)
{
    return atomic_load_explicit(&count, memory_order_acquire);
}

const void *tm_frames_place(size_t *bytes)
{
    const void *base = atomic_load_explicit(&place, memory_order_acquire);
    *bytes = base == NULL ? 0 : sizeof(struct table);
    return base;
}

/* ---- looking up ---- */

static _Atomic uint32_t *head_of(uint64_t ip, uint32_t below)
{
    uint64_t hash = (ip ^ (uint64_t)below << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return &table()->heads[hash >> 46];
}

static_assert(HEADS == 1 << (64 - 46), "the shift above");

/* The return address that lies just below `behind`. An own stack is read in place, by any thread:
 * a caller's frame lies between the stack pointer that it was found by and the end. Others are read
 * under the lock. */
static inline bool returns_to(const struct tm_stack *stack, uintptr_t behind, uintptr_t ip)
{
    uintptr_t word;
    if (stack->own)
        return ((const uintptr_t *)behind)[-1] == ip;
    return tm_stack_read(stack, behind - sizeof word, &word) && word == ip;
}

static uintptr_t behind_of(const struct tm_frame *frame, const struct tm_stack *stack)
{
    return stack->end - (uintptr_t)frame->below * sizeof(uintptr_t);
}

/* Whether the stack has, outside the frame, the frames that it had. Stale words may make it seem so
 * where a function changed the size of its frame meanwhile (alloca): then each return address
 * further out would have to lie where it did, too. Not more than `most` frames are looked at. */
static inline bool still_there(const struct tm_frame *frames, const struct tm_frame *frame,
                               const struct tm_stack *stack, unsigned most)
{
    for (uint32_t number = frame->parent; number != frame->root && most-- > 0;
         number = frame->parent) {
        frame = &frames[number];
        if ((frame->flags & TM_FRAME_TRUNCATED) != 0)
            break;
        if (!returns_to(stack, behind_of(frame, stack), frame->ip))
            return false;
    }
    return true;
}

/* A frame at the place of which the stack is as it was; 0: there is none. */
static inline uint32_t find(uintptr_t ip, uint32_t below, const struct tm_stack *stack,
                            uint32_t root, unsigned most)
{
    const struct tm_frame *frames = tm_frames();
    uint32_t number = atomic_load_explicit(head_of(ip, below), memory_order_acquire);
    for (; number != 0; number = frames[number].next)
        if (frames[number].ip == ip && frames[number].below == below &&
            frames[number].root == root && still_there(frames, &frames[number], stack, most))
            return number;
    return 0;
}

static uint32_t below_end(uintptr_t behind, const struct tm_stack *stack)
{
    return (uint32_t)((stack->end - behind) / sizeof(uintptr_t));
}

/* ---- adding ---- */

/* Under the lock. 0: the table has `most` frames. */
static uint32_t add(uint64_t ip, uint32_t below, uint32_t parent, unsigned flags, uint32_t most)
{
    struct tm_frame *frames = tm_frames();
    _Atomic uint32_t *head = head_of(ip, below);
    uint32_t first = atomic_load_explicit(head, memory_order_relaxed);
    unsigned length = 0;
    for (uint32_t number = first; number != 0; number = frames[number].next, length++)
        if (frames[number].ip == ip && frames[number].below == below &&
            frames[number].parent == parent && frames[number].flags == flags)
            return number;
    uint32_t number = atomic_load_explicit(&count, memory_order_relaxed);
    /* A function that is called on ever other ways at the same place would make its chain long. */
    if (number >= most || length > LONGEST_CHAIN)
        return 0;
    frames[number].ip = ip;
    frames[number].parent = parent;
    frames[number].below = below;
    frames[number].next = first;
    frames[number].root = (flags & TM_FRAME_THREAD) != 0 ? number
                          : parent == 0                  ? 0
                                                         : frames[parent].root;
    frames[number].flags = flags;
    atomic_store_explicit(&count, number + 1, memory_order_release);
    atomic_store_explicit(head, number, memory_order_release);
    return number;
}

uint32_t tm_frames_root(uint64_t thread)
{
    struct tm_mask mask = lock_up();
    uint32_t number = add(thread, 0, 0, TM_FRAME_THREAD, TM_FRAMES_MAX);
    unlock(mask);
    return number;
}

/* The caller alone, of a stack that cannot be had or kept. */
static uint32_t add_shortened(const struct tm_caller *caller, uint32_t root)
{
    atomic_fetch_add_explicit(&tm_frames_counts.shortened, 1, memory_order_relaxed);
    struct tm_mask mask = lock_up();
    uint32_t outside = add(0, 0, root, TM_FRAME_TRUNCATED, TM_FRAMES_MAX);
    uint32_t number = outside == 0 ? 0 : add(caller->ip, 0, outside, 0, TM_FRAMES_MAX);
    unlock(mask);
    return number;
}

/* The new frames of a stack, innermost first; guarded by the lock. Static, as the stack may be
 * small. */
static struct {
    uintptr_t ip;
    uint32_t below;
    bool exact;
} fresh[TM_FRAMES_DEPTH];

/* Unwinds until a frame is known. Returns how many are not; *outside: what is outside of them. */
static unsigned unwind(const struct tm_caller *caller, const struct tm_stack *stack, uint32_t root,
                       uint32_t *outside)
{
    uintptr_t ip = caller->ip, behind = caller->sp;
    bool exact = false;
    unsigned frames = 0;
    tm_unwind_begin(caller, stack);
    for (;;) {
        fresh[frames].ip = ip;
        fresh[frames].below = below_end(behind, stack);
        fresh[frames++].exact = exact;
        *outside = root;
        if (!tm_unwind_step(&ip, &behind, &exact))
            return frames;
        uint32_t known = find(ip, below_end(behind, stack), stack, root, TM_FRAMES_DEPTH);
        if (known != 0) {
            *outside = known;
            return frames;
        }
        if (frames == TM_FRAMES_DEPTH) {
            atomic_fetch_add_explicit(&tm_frames_counts.truncated, 1, memory_order_relaxed);
            *outside = add(0, 0, root, TM_FRAME_TRUNCATED, TM_FRAMES_MAX);
            return frames;
        }
    }
}

static uint32_t add_stack(const struct tm_caller *caller, const struct tm_stack *stack,
                          uint32_t root)
{
    uint32_t number;
    unsigned frames = unwind(caller, stack, root, &number);
    while (frames-- > 0) {
        number = add(fresh[frames].ip, fresh[frames].below, number,
                     fresh[frames].exact ? TM_FRAME_EXACT : 0, WHOLE_MAX);
        if (number == 0)
            break;
    }
    return number;
}

/* Tells if the frames prove that the stack is the thread's own: none of them was interrupted by a
 * signal, which may have put its handler elsewhere, none is larger than what may lie between two
 * stacks, and they lead to what is known to be its own, or to its end. */
static void prove(const struct tm_stack *stack, uint32_t number, uint32_t root)
{
    uintptr_t sp = stack->sp;
    for (; number != root; number = tm_frames()[number].parent) {
        const struct tm_frame *frame = &tm_frames()[number];
        if (frame->flags != 0 || behind_of(frame, stack) - sp >= TM_FRAME_LARGEST)
            return;
        sp = behind_of(frame, stack);
        if (tm_stack_of(sp).own)
            break;
    }
    tm_stack_proven(stack, sp);
}

/* As tm_frames_take() where the stack is not known, or not to be read without the lock. */
static uint32_t take_slow(const struct tm_caller *caller, const struct tm_stack *stack,
                          uint32_t root)
{
    struct tm_mask mask = lock_up();
    tm_stack_open(stack);
    uint32_t number = find(caller->ip, below_end(caller->sp, stack), stack, root, TM_FRAMES_DEPTH);
    if (number == 0)
        number = add_stack(caller, stack, root);
    if (number != 0 && !stack->own)
        prove(stack, number, root);
    unlock(mask);
    return number;
}

static uint32_t take(const struct tm_caller *caller, const struct tm_stack *stack, uint32_t root,
                     unsigned most)
{
    uint32_t number = 0;
    if (stack->own)
        number = find(caller->ip, below_end(caller->sp, stack), stack, root, most);
    if (number == 0)
        number = take_slow(caller, stack, root);
    return number != 0 ? number : add_shortened(caller, root);
}

uint32_t tm_frames_take(const struct tm_caller *caller, uint32_t root)
{
    if (!tm_unwind_ready())
        return add_shortened(caller, root);
    struct tm_stack stack = tm_stack_of(caller->sp);
    return take(caller, &stack, root, TM_FRAMES_DEPTH);
}

unsigned tm_frames_of_kept(const struct tm_caller *caller, const void *copy, size_t bytes,
                           uintptr_t *codes, unsigned most)
{
    struct tm_stack stack = {.sp = caller->sp, .end = caller->sp + bytes, .own = false};
    uintptr_t ip = caller->ip, sp = caller->sp;
    bool exact = false;
    unsigned frames = 0;
    if (!tm_unwind_ready())
        return 0;
    struct tm_mask mask = lock_up();
    tm_stack_open_kept(&stack, copy);
    tm_unwind_begin(caller, &stack);
    do
        codes[frames++] = ip - !exact;
    while (frames < most && tm_unwind_step(&ip, &sp, &exact));
    unlock(mask);
    return frames;
}

/* ---- the last stacks of a thread ---- */

/* A loop that allocates on a chosen page (allocator/sample.h) asks for the same few stacks again
 * and again. Of its own thread only, on its own stack: what lay there can be looked at again. */
enum { RECENT = 8 };
static _Thread_local struct recent {
    uintptr_t ip, sp; /* of the caller; ip 0: nothing */
    uint32_t root, number;
    const uintptr_t *outside[NEARLY]; /* where the return addresses of the next frames lie */
    uintptr_t returns[NEARLY];        /* and what they are */
} recent[RECENT] __attribute__((tls_model("initial-exec")));

static void keep(struct recent *entry, const struct tm_caller *caller, const struct tm_stack *stack,
                 uint32_t root, uint32_t number)
{
    const struct tm_frame *frames = tm_frames();
    entry->ip = 0; /* a handler that comes in between finds nothing */
    atomic_signal_fence(memory_order_seq_cst);
    uint32_t frame = number;
    for (unsigned i = 0; i < NEARLY; i++) {
        uint32_t parent = frame == root ? root : frames[frame].parent;
        bool known = parent != root && (frames[parent].flags & TM_FRAME_TRUNCATED) == 0;
        entry->outside[i] =
            known ? (const uintptr_t *)behind_of(&frames[parent], stack) - 1 : &entry->sp;
        entry->returns[i] = known ? frames[parent].ip : caller->sp;
        frame = known ? parent : root;
    }
    entry->sp = caller->sp;
    entry->root = root;
    entry->number = number;
    atomic_signal_fence(memory_order_seq_cst);
    entry->ip = caller->ip;
}

uint32_t tm_frames_take_nearly(const struct tm_caller *caller, uint32_t root)
{
    static_assert(NEARLY == 2, "two are compared below");
    struct recent *entry = &recent[(caller->ip ^ caller->sp >> 4) % RECENT];
    if (entry->ip == caller->ip && entry->sp == caller->sp && entry->root == root &&
        *entry->outside[0] == entry->returns[0] && *entry->outside[1] == entry->returns[1])
        return entry->number;
    if (!tm_unwind_ready())
        return add_shortened(caller, root);
    struct tm_stack stack = tm_stack_of(caller->sp);
    uint32_t number = take(caller, &stack, root, NEARLY);
    if (stack.own && number != 0 && tm_frames()[number].ip == caller->ip &&
        behind_of(&tm_frames()[number], &stack) == caller->sp)
        keep(entry, caller, &stack, root, number);
    return number;
}

void tm_frames_unloading(void)
{
    tm_unwind_unloading();
    unlock(lock_up());
}

void tm_frames_fork_prepare(void)
{
    tm_lock(&lock);
}

void tm_frames_fork_parent(void)
{
    tm_unlock(&lock);
}

void tm_frames_fork_child(void)
{
    tm_lock_reset(&lock);
}
