/* thread.c: see thread.h. Heaps are never unmapped: a thread that starts gets one that another
 * left, so that their number is that of the most threads at one time.
 *
 * tm_heaps only grows, at its front, under the register's lock: the store releases `next` and `id`,
 * which are constant from then on, and whoever walks it without the lock (a fork, the census in a
 * frozen copy) acquires them. What else is in a heap is its thread's, but for `busy` (gate.h) and
 * `owner` and `in_use`, which the lock guards. That left_behind() may take the heap of another for
 * its own needs no order: it has the same thread pointer, so the other is gone, and the C library
 * gave the pointer on under a lock. heap_of_nobody is set once, under its lock; a thread that forks
 * and does not see it yet waits for its `busy` and looks again.
 */
#include "allocator/thread.h"

#include "allocator/os.h"
#include "allocator/share.h"
#include "allocator/tidemark_alloc.h"

_Atomic(struct tm_heap *) tm_heaps;
struct tm_heap_stretch *tm_heap_stretches;
_Atomic uint64_t tm_heap_metadata_bytes;
void (*tm_on_thread_heap)(void);

/* Guards the list of spare heaps and the memory that new ones are cut from. */
static struct tm_lock register_lock;
static struct tm_heap *spare_heaps;
static char *heap_memory, *heap_memory_end;
static uint32_t last_heap_id;

/* Serves one at a time who has to do with no heap of his own: threads after the end of theirs, with
 * requests and frees, and blocks that are to lie apart. The heap for them is busy for ever: it does
 * not wait at the gate, where this lock serves. */
static struct tm_lock homeless_lock;
static struct tm_heap *_Atomic heap_of_nobody; /* set under the lock */

/* Memory for one more heap; NULL: there is none. Under register_lock. */
static struct tm_heap *cut_heap(void)
{
    size_t size = tm_round_up(sizeof(struct tm_heap), 64);
    if ((size_t)(heap_memory_end - heap_memory) < size) {
        struct tm_heap_stretch *stretch = tm_os_map_apart(TM_HEAP_STRETCH);
        if (stretch == NULL)
            return NULL;
        stretch->next = tm_heap_stretches;
        tm_heap_stretches = stretch;
        heap_memory = (char *)stretch + 64;
        heap_memory_end = (char *)stretch + TM_HEAP_STRETCH;
        atomic_fetch_add_explicit(&tm_heap_metadata_bytes, TM_HEAP_STRETCH, memory_order_relaxed);
    }
    struct tm_heap *heap = (struct tm_heap *)heap_memory;
    heap_memory += size;
    heap->id = ++last_heap_id;
    heap->next = atomic_load_explicit(&tm_heaps, memory_order_relaxed);
    atomic_store_explicit(&tm_heaps, heap, memory_order_release);
    return heap;
}

/* The heap of a thread that ended without telling (a system call of its own, a first request in its
 * last destructor): the C library gives thread pointers to new threads again. Under register_lock.
 */
static struct tm_heap *left_behind(uintptr_t owner)
{
    struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_relaxed);
    while (heap != NULL && (heap->owner != owner || !heap->in_use ||
                            atomic_load_explicit(&heap->busy, memory_order_relaxed)))
        heap = heap->next;
    return heap;
}

static struct tm_heap *new_heap(uintptr_t owner)
{
    tm_lock(&register_lock);
    tm_block_begin();
    struct tm_heap *heap = left_behind(owner);
    if (heap != NULL) {
        tm_unlock(&register_lock);
        return heap;
    }
    heap = spare_heaps;
    if (heap != NULL)
        spare_heaps = heap->next_spare;
    else
        heap = cut_heap();
    if (heap != NULL) {
        heap->in_use = true;
        tm_heap_begin(heap, owner);
        atomic_fetch_add_explicit(&tm_heaps_in_use, 1, memory_order_relaxed);
    }
    tm_unlock(&register_lock);
    return heap;
}

static void retire_heap(struct tm_heap *heap)
{
    tm_lock(&register_lock);
    heap->in_use = false;
    heap->owner = 0;
    heap->next_spare = spare_heaps;
    spare_heaps = heap;
    atomic_fetch_sub_explicit(&tm_heaps_in_use, 1, memory_order_relaxed);
    tm_unlock(&register_lock);
}

/* Under homeless_lock. The recorder is told of what threads take from their own heaps only, and it
 * is no thread that has a share of the cache. */
static void make_heap_of_nobody(void)
{
    struct tm_heap *heap = new_heap(TM_OWNER_SHARED);
    if (heap == NULL)
        return;
    heap->sampler.mode = TM_SAMPLE_OFF;
    heap->sampler.on = false;
    atomic_fetch_sub_explicit(&tm_heaps_in_use, 1, memory_order_relaxed);
    atomic_store_explicit(&heap_of_nobody, heap, memory_order_relaxed); /* before it is busy */
    atomic_store_explicit(&heap->busy, true, memory_order_relaxed);
}

/* Under homeless_lock. */
static struct tm_block *take_from_nobody(unsigned size_class)
{
    bool zero;
    if (heap_of_nobody == NULL)
        make_heap_of_nobody();
    struct tm_heap *heap = heap_of_nobody;
    struct tm_block *block = heap == NULL ? NULL : heap->bin[size_class];
    if (block == NULL)
        return heap == NULL ? NULL : tm_heap_refill(heap, size_class, &zero);
    heap->bin[size_class] = tm_block_take(block);
    return block;
}

static struct tm_block *refill_for_the_gone(unsigned size_class)
{
    tm_lock(&homeless_lock);
    struct tm_block *block = take_from_nobody(size_class);
    tm_unlock(&homeless_lock);
    return block;
}

/* Another thread may get the block's pool as soon as it is full, and looks there for cells that
 * count: this one does before anybody can, though what it says is not known yet. Signals are
 * blocked as a handler that forks would wait for the lock. */
struct tm_block *tm_thread_take_apart(unsigned size_class)
{
    uint64_t mask = tm_os_block_signals();
    tm_lock(&homeless_lock);
    struct tm_block *block = take_from_nobody(size_class);
    if (block != NULL && tm_cells_make(block)) {
        struct tm_pool *pool = tm_pool_slot(block);
        atomic_store_explicit(tm_cell_of(block), TM_CELL_COUNTED, memory_order_relaxed);
        atomic_fetch_or_explicit(&pool->told, (uint16_t)(1u << tm_pool_page(block)),
                                 memory_order_relaxed);
    } else if (block != NULL) {
        tm_block_link(block, heap_of_nobody->bin[size_class]);
        heap_of_nobody->bin[size_class] = block;
        block = NULL;
    }
    tm_unlock(&homeless_lock);
    tm_os_set_signals(mask);
    return block;
}

bool tm_thread_trim_apart(void)
{
    tm_lock(&homeless_lock);
    bool went = heap_of_nobody != NULL && tm_heap_purge(heap_of_nobody);
    tm_unlock(&homeless_lock);
    return went;
}

/* Gives the calling thread its heap. Past its end it gets none: nobody would wind it up. */
static struct tm_heap *settle_in(void)
{
    struct tm_heap *heap = tm_heap == &tm_heap_none ? new_heap(tm_thread_self()) : NULL;
    if (heap == NULL)
        return NULL;
    tm_heap = heap;
    if (tm_sample_follow(heap))
        tm_sample_draw(heap);
    /* May allocate itself; the heap is in place. */
    if (tm_on_thread_heap != NULL)
        tm_on_thread_heap();
    return heap;
}

bool tm_thread_settle(void)
{
    return tm_heap->id != 0 || settle_in() != NULL;
}

struct tm_block *tm_thread_refill(unsigned size_class, bool *zero)
{
    struct tm_heap *heap = settle_in();
    *zero = false;
    if (heap == NULL)
        return refill_for_the_gone(size_class);
    /* What it just allocated may have filled the bin. */
    struct tm_block *block = heap->bin[size_class];
    if (block == NULL)
        return tm_heap_refill(heap, size_class, zero);
    heap->bin[size_class] = tm_block_take(block);
    return block;
}

void tm_thread_free(struct tm_pool *pool, struct tm_block *block)
{
    /* A thread that only frees gets a heap as well, or all such threads would queue for the lock
     * below. But not for its first few: libc frees on behalf of threads after their last
     * destructor, when nobody would wind up the heap. */
    enum { FEW = 64 };
    static _Thread_local uint8_t frees __attribute__((tls_model("initial-exec")));
    if (tm_likely(tm_heap->id != 0) || (frees == FEW && settle_in() != NULL)) {
        tm_heap_free_remote(tm_heap, pool, block);
        return;
    }
    frees = (uint8_t)(frees < FEW ? frees + 1 : FEW);
    tm_lock(&homeless_lock);
    tm_heap_free_remote(tm_heap, pool, block);
    tm_unlock(&homeless_lock);
}

void tm_thread_ends_soon(void)
{
    if (tm_heap->id != 0)
        tm_heap_wind_up(tm_heap);
}

void tm_thread_exit(void)
{
    struct tm_heap *heap = tm_heap;
    if (heap->id == 0)
        return;
    tm_heap_wind_up(heap);
    tm_heap = &tm_heap_gone;
    retire_heap(heap);
}

/* ---- fork ---- */

void tm_thread_lock_all(void)
{
    tm_lock(&homeless_lock);
    tm_lock(&register_lock);
}

void tm_thread_unlock_all(void)
{
    tm_unlock(&register_lock);
    tm_unlock(&homeless_lock);
}

void tm_thread_reset_locks(void)
{
    tm_lock_reset(&homeless_lock);
    tm_lock_reset(&register_lock);
}

void tm_thread_wait_idle(void)
{
    for (struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_acquire); heap != NULL;
         heap = heap->next) {
        heap->lost = false;
        if (heap == tm_heap || heap == heap_of_nobody)
            continue;
        /* A slow path is over in microseconds, or milliseconds while the kernel purges. A thread
         * that was ended in the middle of one would never leave it. */
        enum { TRIES = 20000 };
        int tries = 0;
        while (atomic_load_explicit(&heap->busy, memory_order_seq_cst) && heap != heap_of_nobody &&
               tries++ < TRIES) {
            static _Atomic int nothing;
            if (tries > 100)
                tm_os_wait_at_most(&nothing, 0, 50000);
        }
        heap->lost = tries > TRIES;
    }
}

bool tm_thread_fork_child(void)
{
    bool others = false;
    struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_relaxed);
    for (; heap != NULL; heap = heap->next) {
        if (heap == tm_heap || heap == heap_of_nobody)
            continue;
        others |= heap->in_use;
        if (heap->in_use && !heap->lost) {
            tm_heap_inherit(heap);
            retire_heap(heap);
        }
        /* A thread that came to the closed gate says so before it waits: the copy may have seen
         * that. And a lost one is nobody's to wait for. */
        atomic_store_explicit(&heap->busy, false, memory_order_relaxed);
    }
    return others;
}
