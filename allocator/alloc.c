/* alloc.c: the entry points, under the allocator's own names (tidemark_alloc.h), and the slow sides
 * of fast.h. What the C standard or POSIX asks of a symbol beyond this is preload/'s business.
 */
#include <errno.h>
#include <string.h>

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/fast.h"
#include "allocator/full.h"
#include "allocator/guarded.h"
#include "allocator/hooks.h"
#include "allocator/large.h"
#include "allocator/os.h"
#include "allocator/span.h"
#include "allocator/tell.h"
#include "allocator/thread.h"
#include "allocator/tidemark_alloc.h"

_Atomic(tm_hook_foreign_free_fn *) tm_hook_foreign_free;
_Atomic(tm_hook_pardon_fn *) tm_hook_pardon;
_Atomic(tm_hook_foreign_resize_fn *) tm_hook_foreign_resize;
_Atomic(tm_hook_foreign_usable_fn *) tm_hook_foreign_usable;

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* A block of a pool that no bin keeps warm. */
static __attribute__((noinline)) void free_block(struct tm_pool *pool, struct tm_block *block)
{
    if (tm_pool_owner(pool) != tm_thread_self()) {
        tm_thread_free(pool, block);
        return;
    }
    if ((atomic_load_explicit(&pool->owner, memory_order_relaxed) & TM_OWNER_CALLED) != 0)
        tm_heap_called(pool);
    tm_heap_free_own(pool, block);
}

/* Gives back what the calling thread can reach. True if there was anything. */
static bool trim(void)
{
    bool pools = tm_heap->id != 0 && tm_heap_purge(tm_heap);
    bool mappings = tm_large_trim();
    if (tm_unlikely(tm_full)) {
        mappings |= tm_guarded_flush();
        for (void *out; (out = tm_full_let_out(true)) != NULL; pools = true)
            free_block(tm_pool_slot(out), out);
    }
    return tm_arena_trim() || pools || mappings;
}

/* A span is handed out: it may be one to be told of. */
static void *dealt(void *span)
{
    if (tm_unlikely(atomic_load_explicit(&tm_sample_ever, memory_order_relaxed)) &&
        tm_thread_settle())
        tm_sample_span(tm_heap, span, tm_span_bytes(span));
    return span;
}

static __attribute__((noinline)) void *take_span(size_t size, size_t alignment, bool zero)
{
    void *span = tm_span_take(size, alignment, zero);
    /* Empty pools and chunks are kept; now somebody needs the addresses (RLIMIT_AS). */
    if (tm_unlikely(span == NULL) && trim())
        span = tm_span_take(size, alignment, zero);
    return tm_likely(span != NULL) ? dealt(span) : no_memory();
}

static inline struct tm_block *refill_once(unsigned size_class, bool *zero)
{
    struct tm_heap *heap = tm_heap;
    return tm_likely(heap->id != 0) ? tm_heap_refill(heap, size_class, zero)
                                    : tm_thread_refill(size_class, zero);
}

/* There was no memory for a pool: once more with what can be given back. */
static __attribute__((noinline)) void *refill_again(unsigned size_class, bool *zero)
{
    struct tm_block *block = trim() ? refill_once(size_class, zero) : NULL;
    return block != NULL ? block : no_memory();
}

/* A block of a pool of a class whose bin is empty. */
static inline void *refill(unsigned size_class, bool *zero)
{
    struct tm_block *block = refill_once(size_class, zero);
    return tm_likely(block != NULL) ? block : refill_again(size_class, zero);
}

/* A block of a pool. *zero: it is zero but for its first word. */
static inline void *take_small(unsigned size_class, bool *zero)
{
    struct tm_heap *heap = tm_heap;
    struct tm_block *block = heap->bin[size_class];
    if (tm_likely(block != NULL)) {
        heap->bin[size_class] = tm_block_take(block);
        *zero = heap->bin_zero[size_class];
        return block;
    }
    return refill(size_class, zero);
}

/* check=full. Zeroed. */
static __attribute__((noinline)) void *take_full(size_t size, size_t alignment)
{
    if (size > PTRDIFF_MAX)
        return no_memory();
    size = size == 0 ? 1 : size; /* 0 says that a block is not ours */
    unsigned size_class = tm_full_class(size, alignment);
    if (size_class == TM_CLASSES)
        return take_span(size, alignment, true);
    bool zero;
    void *block = take_small(size_class, &zero);
    if (block != NULL)
        tm_full_hand_out(block, size);
    return block;
}

static inline void *take(size_t size)
{
    if (tm_unlikely(tm_full))
        return take_full(size, 16);
    bool zero;
    if (size <= TM_SMALL_MAX) {
        unsigned size_class = tm_class_of(size);
        /* The short way where each block is told of. */
        if (tm_unlikely(tm_heap->sampler.rest[size_class] != NULL) &&
            tm_heap->bin[size_class] == NULL)
            return tm_sample_deal_rest(tm_heap, size_class);
        return take_small(size_class, &zero);
    }
    if (size > PTRDIFF_MAX)
        return no_memory();
    return take_span(size, TM_PAGE, false);
}

void *tm_take(size_t size)
{
    return take(size);
}

/* A block of which the recorder is told when it is freed lies apart: in a pool of a thread's it
 * would lead all frees into that pool, a thousand of others, off the fast path. Where another
 * cannot be had it stays. */
static void *move_apart(struct tm_pool *pool, void *block, size_t requested)
{
    void *apart = tm_thread_take_apart(pool->size_class);
    if (apart == NULL)
        return block;
    memcpy(apart, block, requested);
    tm_free(block);
    return apart;
}

void *tm_tell(void *block, size_t requested, const struct tm_caller *caller)
{
    struct tm_heap *heap = tm_heap;
    unsigned why = heap->sampler.due_why;
    if (why == TM_WHY_IDENTITY) {
        tm_tell_name(heap, block, caller);
        return block;
    }
    /* On a chosen page every block stays: what survives there is as it is elsewhere. Frees of warm
     * classes are on no fast path. */
    struct tm_pool *pool = tm_pool_around(block);
    if (pool != NULL && !pool->hardened && why == TM_WHY_SAMPLE &&
        tm_classes[pool->size_class].warm == 0)
        block = move_apart(pool, block, requested);
    tm_tell_block(heap, block, requested, caller);
    return block;
}

static __attribute__((noinline)) void *take_and_tell(size_t size)
{
    return tm_told(take(size), size);
}

void *tm_malloc_slow(size_t size)
{
    /* The fast path of the larger sizes. (What comes from a bin is nothing to be told of.) */
    if (size > TM_CLASS_DIRECT_MAX && size <= TM_SMALL_MAX && tm_likely(!tm_full)) {
        struct tm_block **bin = &tm_heap->bin[tm_class_computed(size)];
        struct tm_block *block = *bin;
        if (tm_likely(block != NULL)) {
            *bin = tm_block_take(block);
            return block;
        }
    }
    return take_and_tell(size);
}

void *tm_malloc(size_t size)
{
    return tm_malloc_fast(size);
}

void *tm_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return no_memory();
    if (tm_unlikely(tm_full))
        return tm_told(take_full(bytes, 16), bytes);
    if (bytes > TM_SMALL_MAX)
        return tm_told(take_span(bytes, TM_PAGE, true), bytes);
    bool zero;
    void *block = take_small(tm_class_of(bytes), &zero);
    if (block != NULL)
        memset(block, 0, zero ? sizeof(struct tm_block) : bytes);
    return tm_told(block, bytes);
}

void *tm_aligned(size_t alignment, size_t size)
{
    if (size > PTRDIFF_MAX)
        return no_memory();
    if (alignment <= 16)
        return tm_malloc_fast(size);
    if (tm_unlikely(tm_full))
        return tm_told(take_full(size, alignment), size);
    if (alignment <= TM_PAGE && size <= TM_SMALL_MAX) {
        /* Pools lie at multiples of 64 KiB: a block size that is a multiple of the alignment gives
         * aligned blocks. The next power of two always is one. */
        unsigned size_class = tm_class_of(size < alignment ? alignment : size);
        while (tm_classes[size_class].block_size % alignment != 0)
            size_class++;
        bool zero;
        return tm_told(take_small(size_class, &zero), size);
    }
    return tm_told(take_span(size < TM_PAGE ? TM_PAGE : size, alignment, false), size);
}

/* True: ptr was another malloc's, which freed it. */
static bool foreign_free(void *ptr)
{
    tm_hook_foreign_free_fn *hook =
        atomic_load_explicit(&tm_hook_foreign_free, memory_order_acquire);
    return hook != NULL && hook(ptr);
}

/* True: nothing is to become of a free by code at `caller`, though there is no block to free. A
 * function that the program's free jumps into has its caller for its own return address. */
static bool is_pardoned(const void *caller)
{
    tm_hook_pardon_fn *hook = atomic_load_explicit(&tm_hook_pardon, memory_order_relaxed);
    return hook != NULL && hook(caller);
}

/* True: ptr is another malloc's, which resized it, or could not: *result is NULL. */
static bool foreign_resize(void *ptr, size_t size, void **result)
{
    tm_hook_foreign_resize_fn *hook =
        atomic_load_explicit(&tm_hook_foreign_resize, memory_order_acquire);
    return hook != NULL && hook(ptr, size, result);
}

/* 0: no other malloc says that ptr is its own. */
static size_t foreign_usable(const void *ptr)
{
    tm_hook_foreign_usable_fn *hook =
        atomic_load_explicit(&tm_hook_foreign_usable, memory_order_acquire);
    size_t bytes = 0;
    return hook != NULL && hook(ptr, &bytes) ? bytes : 0;
}

/* What the recorder says of a span, which is taken from it; 0: nothing. */
static uint64_t take_cell(void *span)
{
    return tm_unlikely(atomic_load_explicit(&tm_sample_ever, memory_order_relaxed))
               ? tm_tell_take_span_cell(span)
               : 0;
}

void tm_free_span(void *ptr)
{
    if (ptr == NULL)
        return;
    if (tm_unlikely(tm_full))
        tm_guarded_check(ptr);
    uint64_t cell = take_cell(ptr);
    size_t bytes = tm_unlikely(cell != 0) ? tm_span_bytes(ptr) : 0;
    if (!tm_span_give(ptr) && !foreign_free(ptr) && !is_pardoned(__builtin_return_address(0)))
        tm_misuse_no_block("free", ptr);
    if (tm_unlikely(cell != 0))
        tm_tell_end(ptr, bytes, cell);
}

static inline void free_in_pool(struct tm_pool *pool, void *ptr)
{
    if (tm_heap->room[pool->size_class] != 0)
        tm_heap_keep_warm(tm_heap, pool->size_class, ptr);
    else if ((atomic_load_explicit(&pool->owner, memory_order_relaxed) & ~TM_OWNER_TOLD) ==
             tm_thread_self())
        tm_heap_free_own(pool, ptr);
    else
        free_block(pool, ptr);
}

static __attribute__((noinline)) void free_told(struct tm_pool *pool, void *ptr)
{
    bool counted = tm_tell_freed(pool, ptr);
    if (tm_heap->room[pool->size_class] != 0 && tm_sample_is_chosen(pool, ptr))
        tm_sample_keep_warm(tm_heap, pool->size_class, ptr);
    else if (counted && tm_heap->sampler.mode == TM_SAMPLE_SOME)
        free_block(pool, ptr); /* it goes back to its like (move_apart) */
    else
        free_in_pool(pool, ptr);
}

/* check=full: it waits in quarantine, and one that has waited goes where it came from. */
static void free_full(struct tm_pool *pool, void *ptr, const void *caller)
{
    if (tm_full_is_free(pool, ptr) && is_pardoned(caller))
        return;
    tm_full_size("free", pool, ptr);
    if (atomic_load_explicit(&pool->told, memory_order_relaxed) != 0)
        tm_tell_freed(pool, ptr);
    for (void *out = tm_full_quarantine(pool, ptr); out != NULL; out = tm_full_let_out(false))
        free_block(tm_pool_slot(out), out);
}

/* What does not look like a live block that nobody is to be told of. */
static __attribute__((noinline)) void free_odd(struct tm_pool *pool, void *ptr)
{
    if (!pool->taken)
        tm_free_span(ptr);
    else if (tm_unlikely(pool->hardened))
        free_full(pool, ptr, __builtin_return_address(0));
    else if (tm_likely(tm_pool_is_start(pool, ptr) && tm_pool_may_be_live(pool, ptr)))
        free_told(pool, ptr);
    else if (!is_pardoned(__builtin_return_address(0)))
        tm_misuse_no_block("free", ptr);
}

void tm_free_slow(struct tm_pool *pool, void *ptr)
{
    uint16_t odd = tm_pool_closed(pool) | atomic_load_explicit(&pool->told, memory_order_relaxed);
    if (tm_unlikely(!tm_pool_is_start(pool, ptr) || (odd >> tm_pool_page(ptr) & 1) != 0 ||
                    tm_block_is_free(ptr)))
        free_odd(pool, ptr);
    else
        free_in_pool(pool, ptr);
}

void tm_free(void *ptr)
{
    tm_free_fast(ptr);
}

/* What may be used of a live block, for the function of that name; 0: ptr is none of Tidemark's. */
static size_t own_bytes(const char *call, const void *ptr)
{
    struct tm_pool *pool = tm_pool_around(ptr);
    if (pool == NULL)
        return tm_span_bytes(ptr);
    if (tm_unlikely(pool->hardened))
        return tm_full_size(call, pool, ptr);
    if (tm_unlikely(!tm_pool_is_start(pool, ptr) || !tm_pool_may_be_live(pool, ptr)))
        tm_misuse_no_block(call, ptr);
    return tm_classes[pool->size_class].block_size;
}

size_t tm_usable_size(const void *ptr)
{
    if (ptr == NULL)
        return 0;
    size_t bytes = own_bytes("malloc_usable_size", ptr);
    if (tm_unlikely(bytes == 0) && (bytes = foreign_usable(ptr)) == 0)
        tm_misuse_no_block("malloc_usable_size", ptr);
    return bytes;
}

/* In place, or moved by the kernel; a shrinking one gives its last pages back. NULL: neither. For
 * the recorder it is another span. */
static void *resize_span(void *ptr, size_t usable, size_t size)
{
    uint64_t cell = take_cell(ptr);
    void *resized = tm_span_resize(ptr, size);
    if (tm_unlikely(cell != 0)) {
        if (resized == NULL)
            tm_tell_put_span_cell(ptr, cell);
        else
            tm_tell_end(ptr, usable, cell);
    }
    return resized == NULL ? NULL : dealt(resized);
}

/* A block of another size with what is in this one. NULL: no memory. */
static void *move(void *ptr, size_t usable, size_t size)
{
    void *moved = NULL;
    /* What outgrew its place will grow again: leave it room, which costs addresses only. */
    if (size > usable && size > TM_SMALL_MAX && size < TM_SPAN_MAX / 2 && !tm_full)
        moved = take(size + size / 4);
    if (moved == NULL)
        moved = take(size);
    if (moved != NULL) {
        memcpy(moved, ptr, size <= usable ? size : usable);
        tm_free(ptr);
    }
    return moved;
}

void *tm_realloc(void *ptr, size_t size)
{
    if (ptr == NULL)
        return tm_malloc(size);
    if (size == 0) {
        tm_free(ptr);
        return NULL;
    }
    if (size > PTRDIFF_MAX)
        return no_memory();
    size_t usable = own_bytes("realloc", ptr);
    void *foreign;
    if (tm_unlikely(usable == 0)) {
        if (!foreign_resize(ptr, size, &foreign))
            tm_misuse_no_block("realloc", ptr);
        return foreign;
    }
    if (tm_unlikely(tm_full)) {
        struct tm_pool *pool = tm_pool_around(ptr);
        if (pool != NULL && pool->hardened && tm_full_resize(pool, ptr, usable, size))
            return ptr;
    }
    bool span = usable > TM_SMALL_MAX;
    if (span && (size > TM_SMALL_MAX || size >= usable / 2)) {
        void *resized = resize_span(ptr, usable, size);
        if (resized != NULL)
            return tm_told(resized, size);
    }
    /* A block stays while at least half of it is in use. */
    if (size <= usable && size >= usable / 2 && tm_likely(!tm_full))
        return ptr;
    void *moved = move(ptr, usable, size);
    if (moved != NULL)
        return tm_told(moved, size);
    return size <= usable ? ptr : NULL;
}

bool tm_trim(void)
{
    tm_heap_call_for_trim();
    bool apart = tm_thread_trim_apart();
    return trim() || apart;
}

void tm_trim_from_signal(void)
{
    /* The thread's own heap may be in the middle of an operation: it does its part at its next slow
     * path. */
    tm_heap_call_for_trim();
    tm_arena_trim_try();
}

void tm_set_check_full(void)
{
    tm_full_start();
}

void tm_set_retain(size_t bytes, unsigned percent)
{
    tm_cache_set_retain(bytes, percent);
}
