/* gate.h: holds up the slow paths of all other threads while one forks.
 *
 * fork is not one instant: while the kernel copies the page tables, other threads go on writing,
 * and the child may see one page as it was before an operation and another as it was after. A list
 * cut in half that way cannot be told from a whole one. So nothing that the child will use may
 * change meanwhile. What locks guard, the forking thread locks; what threads do without locks on
 * their slow paths and when they hand blocks to each other (heap.c) is behind this gate. The fast
 * paths run on: what they change, the bins and free lists of other threads' pools, the child does
 * not use.
 *
 * A thread says that it is on a slow path (its heap's `busy`), then looks at the gate; the forking
 * thread closes the gate, then looks at every `busy`. One of the two sees the other, if both make
 * their stores visible before they look: the forking thread does it for all by membarrier(2), so
 * that a slow path needs no fence. (Where the kernel has no membarrier the gate is never quite
 * open, and every slow path pays the fence.)
 *
 * The orders: `busy` is set relaxed, and the compiler keeps it before the look at the gate; on the
 * processor membarrier, or with TM_GATE_FENCE the two sequentially consistent operations on either
 * side, lets one of the two see the other. Leaving is a release, and the forking thread's look at
 * `busy` acquires it: it reads whole lists. Opening is a release that the look at the gate
 * acquires. (A signal handler that comes between the store and the look, and allocates, would take
 * itself for nested and pass unseen: but one that interrupts malloc may not allocate.) (Modelled:
 * tests/model/gate.c.)
 */
#ifndef TIDEMARK_GATE_H
#define TIDEMARK_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

enum {
    TM_GATE_CLOSED = 1, /* a thread forks: wait */
    TM_GATE_FENCE = 2,  /* no membarrier: `busy` has to be stored with a fence */
};

/* 0: open, and membarrier works. */
extern _Atomic int tm_gate;

/* Once at start, before there is a second thread: makes membarrier ready. Without it the gate
 * works, at more cost. */
void tm_gate_start(void);

/* Sets *busy and returns with the gate open, or closed by the calling thread itself. */
void tm_gate_pass_slow(_Atomic bool *busy);

static inline void tm_gate_pass(_Atomic bool *busy)
{
    atomic_store_explicit(busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&tm_gate, memory_order_acquire) != 0, 0))
        tm_gate_pass_slow(busy);
}

static inline void tm_gate_leave(_Atomic bool *busy)
{
    atomic_store_explicit(busy, false, memory_order_release);
}

/* For fork.c. One thread at a time closes it; the others that would wait until he opens it. */
void tm_gate_close(void);
void tm_gate_open(void);
/* In the child: open, nobody waits. */
void tm_gate_reset(void);

#endif
