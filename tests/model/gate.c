/* gate.c: models of a fork among threads: allocator/gate.c, fork.c and what thread.c and
 * heap_purge.c do of it. Other threads take and free while one forks; in the child memory is as it
 * was copied, half of the pages earlier than the other half, and in between the others ran on: so
 * every list that the child uses must have been still. The child frees and takes, and ends as a
 * thread does: no block of its own may be handed out twice, and what it inherited be whole.
 *
 * The copy is of what all see. What a processor has not told others yet is not modelled there;
 * before, it is: the gate and `busy` are loaded as C11 lets them be.
 */
#include "allocator/gate.h"
#include "allocator/heap_inner.h"
#include "allocator/tidemark_alloc.h"
#include "tests/model/blocks.h"
#include "tests/model/model.h"
#include "tests/model/system.h"

/* Four of a pool; and such that share pages, whose own pool's free list a fast path changes. */
enum { LARGE = 16 * 1024, LARGE_POOL = 4, SMALL = 960, SMALLS = 24 };

/* ---- the gate alone ---- */

static _Atomic bool busy[4];
static unsigned still; /* plain: what changes on slow paths only */

static void pass_or_close(int thread)
{
    if (thread != 1) {
        tm_gate_pass(&busy[thread]);
        if (thread == 2)
            still++;
        tm_gate_leave(&busy[thread]);
        return;
    }
    tm_gate_close();
    while (atomic_load_explicit(&busy[2], memory_order_seq_cst))
        model_sleep();
    model_assert(still <= 1); /* a race, unless the slow path is over or has not begun */
    still += 2;
    tm_gate_open();
}

static void fenced_start(int thread)
{
    system_has_membarrier = false;
    if (thread == 1)
        tm_gate_start();
}

static void gate_start(int thread)
{
    if (thread == 1)
        tm_gate_start();
}

static void all_passed(void)
{
    model_assert(still == 3 && (tm_gate & TM_GATE_CLOSED) == 0);
}

/* ---- a fork ---- */

static const struct tm_heap *other; /* the one of the thread that does not fork */

static void fork_setup(int thread)
{
    if (thread == 1) {
        tm_start();
        no_points_at_counters();
        take_blocks(0, LARGE_POOL + 1, LARGE); /* the first pool is full */
    } else if (thread == 2) {
        take_blocks(10, LARGE_POOL + 1, LARGE);
        /* The last is on another page than the first, and is copied with the other half than what
         * the allocator knows of it. */
        take_blocks(100, 8, SMALL);
        other = tm_heap;
    }
}

/* Reads what only slow paths change, and so finds out, by a race or by another sum, if one of the
 * other thread runs. */
static uintptr_t sum_of_still(void)
{
    uintptr_t sum = other->quick_left;
    for (unsigned class = 0; class < TM_CLASSES; class ++) {
        const struct tm_pool *pool = other->current[class];
        sum = 3 * sum + (uintptr_t)pool + (uintptr_t)other->partial[class].next +
              (uintptr_t)other->holed[class].next;
        if (pool != NULL)
            sum = 3 * sum + atomic_load_explicit(&pool->remote, memory_order_relaxed) + pool->place;
    }
    return sum;
}

/* Copies the memory, one half after the other, and lets the other thread run meanwhile. */
static void copy_memory(int first_half)
{
    uintptr_t sum = sum_of_still();
    model_fork_copy(first_half);
    model_sleep();
    model_fork_copy(1 - first_half);
    model_assert(sum_of_still() == sum);
}

static void take_and_free(void)
{
    free_block_of(107); /* the thread's own: it does not wait at the gate */
    free_blocks(0, 2);  /* of the full pool of the thread that forks */
    take_block(20, LARGE);
}

static void parent(int thread)
{
    if (thread == 1) {
        tm_fork_prepare();
        copy_memory(0);
        tm_fork_parent();
        take_block(30, LARGE);
    } else {
        take_and_free();
    }
}

/* What the other thread was taking or freeing meanwhile (take_and_free) the child cannot know: its
 * pages may have been copied before or after. All other blocks are the child's. */
static void child_goes_on(void)
{
    tm_fork_child();
    take_blocks(40, LARGE_POOL, LARGE);
    free_blocks(2, 18);
    take_blocks(50, LARGE_POOL, LARGE);
    take_blocks(120, SMALLS, SMALL);
    free_blocks(100, 7);
    free_blocks(40, 20);
    free_blocks(120, SMALLS);
    tm_thread_exit();
}

static void fork_child(int first_half)
{
    tm_fork_prepare();
    copy_memory(first_half);
    model_fork_child();
    child_goes_on();
}

static void child(int thread)
{
    if (thread == 1)
        fork_child(0);
    else
        take_and_free();
}

static void other_child(int thread)
{
    if (thread == 1)
        fork_child(1);
    else
        take_and_free();
}

static void wind_up(int thread)
{
    if (thread == 1)
        free_blocks(0, PLACES);
    tm_thread_exit();
}

static void check(void)
{
    all_came_back();
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"fenced", 2, fenced_start, pass_or_close, NULL, all_passed, 3, 2, false},
        {"membarrier", 2, gate_start, pass_or_close, NULL, all_passed, 3, 2, false},
        {"parent", 2, fork_setup, parent, wind_up, check, 2, 1, false},
        {"child", 2, fork_setup, child, NULL, NULL, 2, 1, false},
        {"other-child", 2, fork_setup, other_child, NULL, NULL, 2, 1, false},
        {"child-torn", 2, fork_setup, child, NULL, NULL, 1, 0, true},
        {"other-child-torn", 2, fork_setup, other_child, NULL, NULL, 1, 0, true},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
