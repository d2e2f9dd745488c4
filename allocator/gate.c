/* gate.c: see gate.h. */
#include "allocator/gate.h"

#include <limits.h>

#include "allocator/lock.h"
#include "allocator/os.h"

_Atomic int tm_gate = TM_GATE_FENCE;

/* Taken by the thread that closed the gate until it opens it. */
static struct tm_lock closing;
/* That thread, by tm_lock_this_thread(). */
static _Atomic(void *) closed_by;

void tm_gate_start(void)
{
    if (tm_os_barrier_register())
        atomic_fetch_and_explicit(&tm_gate, ~TM_GATE_FENCE, memory_order_relaxed);
}

void tm_gate_pass_slow(_Atomic bool *busy)
{
    for (;;) {
        atomic_store_explicit(busy, true, memory_order_seq_cst);
        int gate = atomic_load_explicit(&tm_gate, memory_order_seq_cst);
        if ((gate & TM_GATE_CLOSED) == 0 ||
            atomic_load_explicit(&closed_by, memory_order_relaxed) == tm_lock_this_thread())
            return;
        tm_gate_leave(busy);
        tm_os_wait(&tm_gate, gate);
    }
}

void tm_gate_close(void)
{
    tm_lock(&closing);
    atomic_store_explicit(&closed_by, tm_lock_this_thread(), memory_order_relaxed);
    atomic_fetch_or_explicit(&tm_gate, TM_GATE_CLOSED, memory_order_seq_cst);
    if ((atomic_load_explicit(&tm_gate, memory_order_relaxed) & TM_GATE_FENCE) == 0)
        tm_os_barrier();
}

static void open_gate(void)
{
    atomic_store_explicit(&closed_by, NULL, memory_order_relaxed);
    atomic_fetch_and_explicit(&tm_gate, ~TM_GATE_CLOSED, memory_order_release);
}

void tm_gate_open(void)
{
    open_gate();
    tm_os_wake(&tm_gate, INT_MAX);
    tm_unlock(&closing);
}

void tm_gate_reset(void)
{
    open_gate();
    tm_lock_reset(&closing);
}
