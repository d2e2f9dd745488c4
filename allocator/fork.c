/* fork.c: what a fork asks of the allocator, so that malloc and free work in the child, always: see
 * gate.h for why locks alone do not do. preload/start.c registers these three with pthread_atfork.
 */
#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/full.h"
#include "allocator/gate.h"
#include "allocator/guarded.h"
#include "allocator/kept.h"
#include "allocator/large.h"
#include "allocator/share.h"
#include "allocator/thread.h"
#include "allocator/tidemark_alloc.h"

void tm_start(void)
{
    tm_gate_start();
}

/* First the gate, as those who wait for a lock are on a slow path and have to get it. Then the
 * locks, in this order: threads without a heap, register, shared lists by class, both
 * quarantines of check=full, mappings, kept mappings, arenas.
 */
void tm_fork_prepare(void)
{
    tm_gate_close();
    tm_thread_wait_idle();
    tm_thread_lock_all();
    tm_share_lock_all();
    tm_lock(&tm_full_lock);
    tm_lock(&tm_guarded_lock);
    tm_lock(&tm_large_lock);
    tm_lock(&tm_kept_lock);
    tm_lock(&tm_arena_lock);
    tm_lock_all_taken();
}

void tm_fork_parent(void)
{
    tm_lock_all_over();
    tm_unlock(&tm_arena_lock);
    tm_unlock(&tm_kept_lock);
    tm_unlock(&tm_large_lock);
    tm_unlock(&tm_guarded_lock);
    tm_unlock(&tm_full_lock);
    tm_share_unlock_all();
    tm_thread_unlock_all();
    tm_gate_open();
}

void tm_fork_child(void)
{
    tm_lock_all_over();
    tm_lock_reset(&tm_arena_lock);
    tm_lock_reset(&tm_kept_lock);
    tm_lock_reset(&tm_large_lock);
    tm_lock_reset(&tm_guarded_lock);
    tm_lock_reset(&tm_full_lock);
    tm_share_reset_locks();
    tm_thread_reset_locks();
    tm_gate_reset();
    tm_cache_fork_child();
    if (tm_thread_fork_child())
        tm_full_fork_child();
}
