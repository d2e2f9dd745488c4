/* tell.c: see tell.h. */
#include "allocator/tell.h"

#include "allocator/heap_inner.h"
#include "allocator/large.h"
#include "allocator/span.h"

_Atomic(tm_hook_record_fn *) tm_hook_record;
_Atomic(tm_hook_name_fn *) tm_hook_name;
_Atomic(tm_hook_forget_fn *) tm_hook_forget;
_Atomic(tm_hook_where_fn *) tm_hook_where;
_Atomic uint64_t tm_tell_missed;

static void tell_span(void *span, size_t requested, unsigned why, const struct tm_caller *caller,
                      tm_hook_record_fn *record)
{
    uint64_t value = record(span, requested, tm_span_bytes(span), why, caller);
    if (value != 0)
        tm_tell_put_span_cell(span, value);
}

/* A chosen page has cells since it is one. */
void tm_tell_name(struct tm_heap *heap, void *block, const struct tm_caller *caller)
{
    heap->sampler.due = NULL;
    tm_hook_name_fn *name = atomic_load_explicit(&tm_hook_name, memory_order_acquire);
    atomic_store_explicit(tm_cell_of(block), name(caller), memory_order_relaxed);
}

void tm_tell_block(struct tm_heap *heap, void *block, size_t requested,
                   const struct tm_caller *caller)
{
    unsigned why = heap->sampler.due_why;
    heap->sampler.due = NULL;
    tm_hook_record_fn *record = atomic_load_explicit(&tm_hook_record, memory_order_acquire);
    struct tm_pool *pool = tm_pool_around(block);
    if (tm_unlikely(pool == NULL)) {
        tell_span(block, requested, why, caller, record);
        return;
    }
    if (tm_unlikely(tm_cells_of_slot(block) == NULL) && !tm_cells_make(block)) {
        atomic_fetch_add_explicit(&tm_tell_missed, 1, memory_order_relaxed);
        return;
    }
    uint64_t value = record(block, requested, tm_classes[pool->size_class].block_size, why, caller);
    atomic_store_explicit(tm_cell_of(block), value, memory_order_relaxed);
    if ((value & TM_CELL_COUNTED) == 0)
        return;
    uint16_t bit = (uint16_t)(1u << tm_pool_page(block));
    /* Behind the cell, and also where it is set already: see look_at_page(). */
    atomic_fetch_or_explicit(&pool->told, bit, memory_order_release);
    if (tm_pool_owner(pool) == heap->owner)
        atomic_fetch_or_explicit(&pool->owner, TM_OWNER_TOLD, memory_order_relaxed);
}

void tm_tell_end(const void *block, size_t usable, uint64_t cell)
{
    tm_hook_forget_fn *forget = atomic_load_explicit(&tm_hook_forget, memory_order_acquire);
    if ((cell & TM_CELL_COUNTED) != 0)
        forget(block, usable, cell);
}

static bool any_counted(const struct tm_pool *pool, const tm_cell *cells, unsigned page)
{
    uint32_t first;
    uint32_t count = tm_class_blocks_of_page(&tm_classes[pool->size_class], page, &first);
    for (uint32_t i = first; i < first + count; i++)
        if ((atomic_load_explicit(&cells[i], memory_order_relaxed) & TM_CELL_COUNTED) != 0)
            return true;
    return false;
}

/* Counted cells of small blocks are made by the pool's owner, or lie there before he became it
 * (thread.c): what he does not find is not there. Blocks of warm classes are handed out by whoever
 * has them in his bin: he sets the bit behind the cell, so that one that was set before this clears
 * it shows in the second look, and one that is set later stays. */
static void look_at_page(struct tm_pool *pool, unsigned page)
{
    if (tm_sample_always_told(pool, page) ||
        any_counted(pool, tm_cells_of_slot(tm_pool_base(pool)), page))
        return;
    uint16_t bit = (uint16_t)(1u << page);
    uint16_t before = atomic_fetch_and_explicit(&pool->told, (uint16_t)~bit, memory_order_acq_rel);
    if (tm_classes[pool->size_class].warm != 0 &&
        any_counted(pool, tm_cells_of_slot(tm_pool_base(pool)), page))
        atomic_fetch_or_explicit(&pool->told, bit, memory_order_relaxed);
    else if (before == bit)
        atomic_fetch_and_explicit(&pool->owner, ~TM_OWNER_TOLD, memory_order_relaxed);
}

bool tm_tell_freed(struct tm_pool *pool, void *block)
{
    tm_cell *cell = tm_cell_of(block);
    if (cell == NULL)
        return false;
    if ((atomic_load_explicit(cell, memory_order_relaxed) & TM_CELL_COUNTED) == 0) {
        /* The last counted one of the page may have gone while nobody owned the pool, as full pools
         * are. Looked for now and then, since small blocks have many neighbours. */
        enum { LOOK_EVERY = 8 };
        if (tm_pool_owner(pool) == tm_thread_self() && ++tm_heap->sampler.in_vain % LOOK_EVERY == 0)
            look_at_page(pool, (unsigned)tm_pool_page(block));
        return false;
    }
    uint64_t value = atomic_exchange_explicit(cell, 0, memory_order_relaxed);
    if ((value & TM_CELL_COUNTED) == 0)
        return false; /* freed twice at the same time */
    if (tm_heap->sampler.mode != TM_SAMPLE_ALL && tm_pool_owner(pool) == tm_thread_self())
        look_at_page(pool, (unsigned)tm_pool_page(block));
    tm_tell_end(block, tm_classes[pool->size_class].block_size, value);
    return true;
}

uint64_t tm_tell_take_span_cell(void *span)
{
    if (!tm_in_arena(span))
        return tm_large_swap_cell(span, 0);
    tm_cell *cell = tm_cell_of(span);
    return cell == NULL || atomic_load_explicit(cell, memory_order_relaxed) == 0
               ? 0
               : atomic_exchange_explicit(cell, 0, memory_order_relaxed);
}

void tm_tell_put_span_cell(void *span, uint64_t value)
{
    if (!tm_in_arena(span))
        tm_large_swap_cell(span, value);
    else if (tm_cells_make(span))
        atomic_store_explicit(tm_cell_of(span), value, memory_order_relaxed);
}
