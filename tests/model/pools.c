/* pools.c: models of a pool's life among threads: the word `remote` and who owns the pool, in
 * allocator/pool.[ch], heap*.c and share.c. Each scenario takes blocks until a pool is where it is
 * to be, then lets the threads free and take at once. In the end all blocks are freed and all
 * threads wound up: then no pool may be left, or a block was lost. That none was handed out twice
 * and no pool touched after it was given back is seen on the way (blocks.c), and so is every
 * access that no order of the code separates from another thread's.
 */
#include "allocator/thread.h"
#include "allocator/tidemark_alloc.h"
#include "tests/model/blocks.h"
#include "tests/model/model.h"

/* Four blocks of a pool, of pages of their own; and the small blocks of which a pool has fewest:
 * they share pages, and go to no bin when they are freed. */
enum { LARGE = 16 * 1024, LARGE_POOL = 4, SMALL = 960, SMALL_POOL = 68 };

static void wind_up(int thread)
{
    if (thread == 1)
        free_blocks(0, PLACES);
    tm_thread_exit();
}

static void check(void)
{
    tm_thread_trim_apart(); /* the heap of those that have none is never wound up */
    all_came_back();
}

static void begin(void)
{
    no_points_at_counters();
}

/* ---- a full pool, left by its owner while its blocks come back ---- */

static void full_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, LARGE_POOL, LARGE);
    }
}

static void full_body(int thread)
{
    switch (thread) {
    case 1:
        take_block(10, LARGE);
        break;
    case 2:
        free_blocks(0, 2);
        break;
    default:
        free_blocks(2, 2);
        break;
    }
}

/* ---- blocks of a full, ownerless pool come back: to its home, and by others ---- */

static void home_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, 2 * LARGE_POOL + 1, LARGE); /* the first pool or two are ownerless */
    }
}

static void home_body(int thread)
{
    if (thread == 1)
        free_blocks(0, 2);
    else if (thread == 2)
        free_blocks(2, 2);
    else
        take_block(10, LARGE);
}

/* ---- a thread ends while its blocks come back and another needs a pool ---- */

static void end_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, LARGE_POOL - 1, LARGE);
    }
}

static void end_body(int thread)
{
    if (thread == 1) {
        free_block_of(0);
        tm_thread_exit();
    } else if (thread == 2) {
        free_blocks(1, 2);
    } else {
        take_block(10, LARGE);
    }
}

/* ---- an ownerless pool in the shared list: taken, freed into, purged ---- */

static void shared_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, LARGE_POOL, LARGE);
        free_block_of(0);
        tm_thread_exit(); /* the pool is in the list, with one block free */
    } else if (thread == 3) {
        take_block(20, SMALL); /* which makes its heap */
    }
}

static void shared_body(int thread)
{
    if (thread == 1)
        free_blocks(1, 3);
    else if (thread == 2)
        take_block(10, LARGE);
    else
        tm_heap_purge(tm_heap);
}

static void shared_two_body(int thread)
{
    if (thread == 1)
        free_blocks(1, 2);
    else if (thread == 2)
        take_blocks(10, 2, LARGE);
    else
        free_block_of(3);
}

/* ---- many small blocks wait in an owned pool: its owner is called ---- */

static void call_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, SMALL_POOL, SMALL);
        free_blocks(60, 2);
    } else if (thread == 2) {
        free_blocks(0, 7);
    }
}

static void call_body(int thread)
{
    if (thread == 1) {
        free_block_of(62);
        free_block_of(63);
    } else {
        free_blocks(7, 2);
    }
}

/* The last blocks of a pool that its owner has in a list come back while he frees into it. */
static void last_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, SMALL_POOL + 1, SMALL);
        free_block_of(67);
    } else if (thread == 2) {
        free_blocks(0, 64);
    }
}

static void last_body(int thread)
{
    if (thread == 1) {
        free_block_of(64);
        take_block(100, SMALL);
    } else if (thread == 2) {
        free_blocks(65, 1);
    } else {
        free_blocks(66, 1);
    }
}

/* ---- a thread without a heap frees, and gets none ---- */

static void gone_setup(int thread)
{
    if (thread == 1) {
        begin();
        take_blocks(0, LARGE_POOL, LARGE);
    } else if (thread == 3) {
        take_block(10, LARGE);
        tm_thread_exit();
    }
}

static void gone_body(int thread)
{
    if (thread == 1)
        take_block(11, LARGE);
    else if (thread == 2)
        free_blocks(0, 3);
    else {
        free_block_of(3);
        take_block(12, LARGE);
    }
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"full", 3, full_setup, full_body, wind_up, check, 2, 1, false},
        {"home", 3, home_setup, home_body, wind_up, check, 2, 1, false},
        {"thread-ends", 3, end_setup, end_body, wind_up, check, 2, 1, false},
        {"shared-and-trimmed", 3, shared_setup, shared_body, wind_up, check, 2, 0, false},
        {"shared", 3, shared_setup, shared_two_body, wind_up, check, 2, 0, false},
        {"called", 2, call_setup, call_body, wind_up, check, 4, 1, false},
        {"last-blocks", 3, last_setup, last_body, wind_up, check, 2, 1, false},
        {"without-heap", 3, gone_setup, gone_body, wind_up, check, 1, 1, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
