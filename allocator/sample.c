/* sample.c: see sample.h. */
#include "allocator/sample.h"

#include <time.h>

#include "allocator/cell.h"
#include "allocator/heap_inner.h"
#include "allocator/large.h"
#include "allocator/span.h"

_Atomic(tm_hook_record_fn *) tm_hook_record;
_Atomic(tm_hook_forget_fn *) tm_hook_forget;
_Atomic bool tm_sample_ever;
_Atomic uint64_t tm_sample_missed;

/* What all heaps follow. Read by each at a call (heap_inner.h); a mix of old and new lasts for one.
 */
static _Atomic uint32_t mode_now;
static _Atomic uint64_t rate_now = 512 * 1024;
static _Atomic uint32_t one_in_now;
static _Atomic uint64_t seed_now;
static _Atomic uint64_t heaps_seeded;

enum { NEVER = UINT32_MAX / 2 };

void tm_sample_seed(uint64_t seed)
{
    atomic_store_explicit(&seed_now, seed, memory_order_relaxed);
}

void tm_sample_set(enum tm_sample_mode mode, uint64_t rate, uint32_t one_in)
{
    atomic_store_explicit(&rate_now, rate == 0 ? 1 : rate, memory_order_relaxed);
    atomic_store_explicit(&one_in_now, one_in, memory_order_relaxed);
    if (mode != TM_SAMPLE_OFF)
        atomic_store_explicit(&tm_sample_ever, true, memory_order_relaxed);
    atomic_store_explicit(&mode_now, mode, memory_order_release);
    atomic_fetch_add_explicit(&tm_heap_calls, 1, memory_order_release);
}

/* ---- chance ---- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(struct tm_sampler *sampler)
{
    uint64_t z = sampler->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* An exponential with mean 1: -ln(u), by u = m * 2^e and the series of atanh. (libm would be one
 * more library in every process.) */
static double exponential(struct tm_sampler *sampler)
{
    static const double LN2 = 0.69314718055994530942;
    uint64_t bits = next_random(sampler) >> 11 | 1; /* of 53 */
    int width = 64 - __builtin_clzll(bits);
    double m = (double)bits / (double)(UINT64_C(1) << width); /* 1/2 to 1 */
    double s = (m - 1) / (m + 1), square = s * s;             /* s is -1/3 to 0 */
    double sum =
        s * (1 + square *
                     (1.0 / 3 +
                      square * (1.0 / 5 +
                                square * (1.0 / 7 + square * (1.0 / 9 + square * (1.0 / 11 +
                                                                                  square / 13))))));
    return (53 - width) * LN2 - 2 * sum;
}

/* Blocks of a class before the next that is a sample: geometric. */
static uint32_t draw_blocks(struct tm_sampler *sampler, unsigned size_class)
{
    double rate = (double)atomic_load_explicit(&rate_now, memory_order_relaxed);
    double blocks = exponential(sampler) * rate / tm_classes[size_class].block_size;
    return blocks < NEVER ? (uint32_t)blocks : NEVER;
}

static uint64_t draw_bytes(struct tm_sampler *sampler)
{
    double rate = (double)atomic_load_explicit(&rate_now, memory_order_relaxed);
    double bytes = exponential(sampler) * rate;
    return bytes < (double)(UINT64_MAX / 2) ? (uint64_t)bytes : UINT64_MAX / 2;
}

static uint64_t fresh_seed(const struct tm_heap *heap)
{
    uint64_t seed = atomic_load_explicit(&seed_now, memory_order_relaxed);
    uint64_t number = atomic_fetch_add_explicit(&heaps_seeded, 1, memory_order_relaxed);
    if (seed == 0) {
        struct timespec now = {0, 0};
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed = (uint64_t)now.tv_nsec * UINT64_C(0xd1342543de82ef95) ^ (uint64_t)now.tv_sec << 32 ^
               (uintptr_t)heap;
    }
    return seed + number * UINT64_C(0xa0761d6478bd642f);
}

/* ---- following what is in force ---- */

static bool any_rest(const struct tm_sampler *sampler)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        if (sampler->rest[size_class] != NULL)
            return true;
    return false;
}

void tm_sample_unask(const struct tm_heap *heap, struct tm_pool *pool)
{
    if (heap->sampler.mode == TM_SAMPLE_OFF)
        pool->identity = TM_POOL_UNASKED;
}

/* An exponential has no memory: drawing anew, at any time, changes nothing. */
void tm_sample_draw(struct tm_heap *heap)
{
    struct tm_sampler *sampler = &heap->sampler;
    uint8_t mode = sampler->mode;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        sampler->until[size_class] = mode == TM_SAMPLE_SOME  ? draw_blocks(sampler, size_class)
                                     : mode == TM_SAMPLE_ALL ? 0
                                                             : NEVER;
    sampler->span_until = draw_bytes(sampler);
}

bool tm_sample_follow(struct tm_heap *heap)
{
    struct tm_sampler *sampler = &heap->sampler;
    uint32_t mode = atomic_load_explicit(&mode_now, memory_order_acquire);
    if (mode == sampler->mode)
        return false;
    sampler->mode = (uint8_t)mode;
    if (sampler->random == 0)
        sampler->random = fresh_seed(heap);
    sampler->on = mode != TM_SAMPLE_OFF || any_rest(sampler);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        if (heap->current[size_class] != NULL)
            tm_sample_unask(heap, heap->current[size_class]);
    return true;
}

void tm_sample_follow_now(void)
{
    if (tm_heap->id != 0)
        tm_heap_attend(tm_heap);
}

/* ---- dealing ---- */

/* Leaves `keep` blocks of the list, at least one, and returns the others. */
static struct tm_block *cut(struct tm_block *list, uint32_t keep)
{
    while (--keep > 0)
        list = list->next;
    struct tm_block *others = list->next;
    list->next = NULL;
    return others;
}

/* Pages of the pool in which a block starts that reaches into the chosen one. */
static uint16_t told_pages(const struct tm_class *class, unsigned page)
{
    unsigned first =
        tm_class_block_index(class, page << TM_PAGE_SHIFT) * class->block_size >> TM_PAGE_SHIFT;
    return (uint16_t)tm_mask64(first, page - first + 1);
}

uint32_t tm_sample_near_chosen(const struct tm_pool *pool)
{
    uint32_t count = 0;
    uint32_t pages = told_pages(&tm_classes[pool->size_class], pool->identity - TM_POOL_CHOSEN);
    for (; pages != 0; pages &= pages - 1)
        count += pool->in_use[__builtin_ctz(pages)];
    return count;
}

/* Whether a block reaches into the page of its pool that is chosen. */
static bool on_chosen_page(const struct tm_pool *pool, const struct tm_block *block)
{
    if (pool->identity < TM_POOL_CHOSEN)
        return false;
    uint32_t size = tm_classes[pool->size_class].block_size;
    uint32_t page = (uint32_t)(pool->identity - TM_POOL_CHOSEN) << TM_PAGE_SHIFT;
    uint32_t start = (uint16_t)(uintptr_t)block;
    return start < page + TM_PAGE && start + size > page;
}

bool tm_sample_is_chosen(const struct tm_pool *pool, const struct tm_block *block)
{
    return tm_heap->sampler.mode == TM_SAMPLE_SOME && on_chosen_page(pool, block);
}

/* How many blocks at a list's start are not on the chosen page. The order of the list stays, so
 * that a chosen page fills like any other: what survives there is to stand for what survives
 * elsewhere. */
static uint32_t plain_at_start(const struct tm_block *list)
{
    uint32_t count = 0;
    for (; list != NULL && !on_chosen_page(tm_pool_slot(list), list); list = list->next)
        count++;
    return count;
}

/* Whether the block that is handed out now is to be told, and why. */
static unsigned ask(struct tm_sampler *sampler, unsigned size_class, bool plain)
{
    if (sampler->mode == TM_SAMPLE_ALL)
        return TM_WHY_ALL;
    if (sampler->mode == TM_SAMPLE_OFF)
        return 0;
    unsigned why = plain ? 0 : TM_WHY_IDENTITY;
    if (sampler->until[size_class] == 0) {
        sampler->until[size_class] = draw_blocks(sampler, size_class);
        return why | TM_WHY_SAMPLE;
    }
    sampler->until[size_class]--;
    return why;
}

/* Hands out the first block of a list, of whose `count` the first `plain` are on no chosen page. */
static struct tm_block *hand_out(struct tm_heap *heap, unsigned size_class, struct tm_block *list,
                                 uint32_t count, uint32_t plain)
{
    struct tm_sampler *sampler = &heap->sampler;
    if (sampler->mode != TM_SAMPLE_SOME)
        plain = count;
    sampler->due_why = ask(sampler, size_class, plain != 0);
    sampler->due = sampler->due_why != 0 ? list : NULL;
    struct tm_block *others = list->next;
    count--;
    plain -= plain != 0;
    uint32_t bin = sampler->until[size_class] < plain ? sampler->until[size_class] : plain;
    if (sampler->mode == TM_SAMPLE_SOME)
        sampler->until[size_class] -= bin;
    struct tm_block *rest = bin == count ? NULL : bin == 0 ? others : cut(others, bin);
    heap->bin[size_class] = bin == 0 ? NULL : others;
    sampler->rest[size_class] = rest;
    sampler->rest_count[size_class] = count - bin;
    sampler->rest_plain[size_class] = plain - bin;
    if (sampler->mode == TM_SAMPLE_OFF)
        sampler->on = any_rest(sampler);
    return list;
}

struct tm_block *tm_sample_deal(struct tm_heap *heap, const struct tm_pool *pool,
                                struct tm_block *list, uint32_t count, bool handed_back)
{
    uint32_t plain = count;
    /* What others handed back was in use before, too: that list says nothing of pages. */
    if (pool->identity >= TM_POOL_CHOSEN && heap->sampler.mode == TM_SAMPLE_SOME &&
        (handed_back || tm_sample_near_chosen(pool) != heap->sampler.near_chosen))
        plain = plain_at_start(list);
    return hand_out(heap, pool->size_class, list, count, plain);
}

struct tm_block *tm_sample_deal_rest(struct tm_heap *heap, unsigned size_class)
{
    struct tm_sampler *sampler = &heap->sampler;
    struct tm_block *rest = sampler->rest[size_class];
    bool all = sampler->mode == TM_SAMPLE_ALL;
    if (sampler->mode == TM_SAMPLE_SOME && sampler->rest_plain[size_class] == 0)
        sampler->rest_plain[size_class] = plain_at_start(rest);
    if (tm_likely(all || (sampler->mode == TM_SAMPLE_SOME && sampler->until[size_class] != 0 &&
                          sampler->rest_plain[size_class] == 0))) {
        sampler->rest[size_class] = rest->next;
        sampler->rest_count[size_class]--;
        sampler->until[size_class] -= !all;
        sampler->due = rest;
        sampler->due_why = all ? TM_WHY_ALL : TM_WHY_IDENTITY;
        return rest;
    }
    return hand_out(heap, size_class, rest, sampler->rest_count[size_class],
                    sampler->rest_plain[size_class]);
}

/* What the bin had room for and did not take is part of the countdown again, too. */
void tm_sample_take_back(struct tm_heap *heap, unsigned size_class, uint32_t count)
{
    struct tm_sampler *sampler = &heap->sampler;
    if (sampler->mode == TM_SAMPLE_SOME) {
        count += heap->room[size_class];
        uint32_t until = sampler->until[size_class] + count;
        sampler->until[size_class] = until < NEVER ? until : NEVER;
    }
    heap->room[size_class] = 0;
}

void tm_sample_keep_warm(struct tm_heap *heap, unsigned size_class, struct tm_block *block)
{
    struct tm_sampler *sampler = &heap->sampler;
    uint32_t count = 0;
    struct tm_block **last = &block->next;
    for (*last = heap->bin[size_class]; *last != NULL; last = &(*last)->next)
        count++;
    *last = sampler->rest[size_class];
    heap->bin[size_class] = NULL;
    sampler->rest[size_class] = block;
    sampler->rest_count[size_class] += count + 1;
    sampler->rest_plain[size_class] = 0;
    /* They are counted when they are handed out; and the room is for one less. */
    sampler->until[size_class] += count + 1;
    heap->bin_zero[size_class] = 0;
    if (--heap->room[size_class] == 0)
        tm_heap_bin_full(heap, size_class);
}

void tm_sample_choose(struct tm_heap *heap, struct tm_pool *pool)
{
    struct tm_sampler *sampler = &heap->sampler;
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint32_t one_in = atomic_load_explicit(&one_in_now, memory_order_relaxed);
    if (sampler->mode != TM_SAMPLE_SOME || one_in == 0)
        return;
    uint64_t random = next_random(sampler);
    if (tm_likely((random >> 32) * one_in >> 32 != 0)) {
        if (pool->identity >= TM_POOL_CHOSEN)
            atomic_store_explicit(&pool->told, 0, memory_order_relaxed);
        pool->identity = TM_POOL_PASSED;
        return;
    }
    if (!tm_cells_make(tm_pool_base(pool)))
        return;
    unsigned page = (unsigned)((random & UINT32_MAX) * class->pages >> 32);
    pool->identity = (uint8_t)(TM_POOL_CHOSEN + page);
    /* A freed block of the page that is kept warm does not go to the bin: who gets it next must be
     * told. */
    if (class->warm != 0) {
        atomic_store_explicit(&pool->told, told_pages(class, page), memory_order_relaxed);
        atomic_fetch_or_explicit(&pool->owner, TM_OWNER_TOLD, memory_order_relaxed);
    }
}

void tm_sample_span(struct tm_heap *heap, void *span, size_t bytes)
{
    struct tm_sampler *sampler = &heap->sampler;
    sampler->due = NULL;
    if (sampler->mode == TM_SAMPLE_OFF)
        return;
    sampler->due_why = sampler->mode == TM_SAMPLE_ALL ? TM_WHY_ALL : TM_WHY_SAMPLE;
    if (sampler->mode == TM_SAMPLE_SOME) {
        if (bytes <= sampler->span_until) {
            sampler->span_until -= bytes;
            return;
        }
        sampler->span_until = draw_bytes(sampler);
    }
    sampler->due = span;
}

/* ---- telling ---- */

static void tell_span(void *span, size_t requested, unsigned why, const struct tm_caller *caller,
                      tm_hook_record_fn *record)
{
    uint64_t value = record(span, requested, tm_span_bytes(span), why, caller);
    if (value != 0)
        tm_sample_put_span_cell(span, value);
}

void tm_sample_tell(struct tm_heap *heap, void *block, size_t requested,
                    const struct tm_caller *caller)
{
    unsigned why = heap->sampler.due_why;
    heap->sampler.due = NULL;
    tm_hook_record_fn *record = atomic_load_explicit(&tm_hook_record, memory_order_acquire);
    struct tm_pool *pool = tm_in_chunk(block) ? tm_pool_of(block) : NULL;
    if (tm_unlikely(pool == NULL)) {
        tell_span(block, requested, why, caller, record);
        return;
    }
    if (tm_unlikely(tm_cells_of_slot(block) == NULL) && !tm_cells_make(block)) {
        atomic_fetch_add_explicit(&tm_sample_missed, 1, memory_order_relaxed);
        return;
    }
    uint64_t value = record(block, requested, tm_classes[pool->size_class].block_size, why, caller);
    atomic_store_explicit(tm_cell_of(block), value, memory_order_relaxed);
    if ((value & TM_CELL_COUNTED) == 0)
        return;
    uint16_t bit = (uint16_t)(1u << tm_pool_page(block));
    if ((atomic_load_explicit(&pool->told, memory_order_relaxed) & bit) != 0)
        return;
    atomic_fetch_or_explicit(&pool->told, bit, memory_order_relaxed);
    if (tm_pool_owner(pool) == heap->owner)
        atomic_fetch_or_explicit(&pool->owner, TM_OWNER_TOLD, memory_order_relaxed);
}

void tm_sample_end(const void *block, size_t usable, uint64_t cell)
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

/* Frees of blocks that start in that page are looked at for good: one may reach into the chosen
 * page, and who gets it next must be told. */
static bool always_told(const struct tm_pool *pool, unsigned page)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    return class->warm != 0 && pool->identity >= TM_POOL_CHOSEN &&
           (told_pages(class, pool->identity - TM_POOL_CHOSEN) >> page & 1) != 0;
}

/* The owner alone makes counted cells: what he does not find is not there. */
static void look_at_page(struct tm_pool *pool, unsigned page)
{
    if (always_told(pool, page) || any_counted(pool, tm_cells_of_slot(tm_pool_base(pool)), page))
        return;
    uint16_t bit = (uint16_t)(1u << page);
    uint16_t before = atomic_fetch_and_explicit(&pool->told, (uint16_t)~bit, memory_order_relaxed);
    if (before == bit)
        atomic_fetch_and_explicit(&pool->owner, ~TM_OWNER_TOLD, memory_order_relaxed);
}

void tm_sample_forget(struct tm_pool *pool, void *block)
{
    tm_cell *cell = tm_cell_of(block);
    if (cell == NULL)
        return;
    if ((atomic_load_explicit(cell, memory_order_relaxed) & TM_CELL_COUNTED) == 0) {
        /* The last counted one of the page may have gone while nobody owned the pool, as full pools
         * are. Looked for now and then, since small blocks have many neighbours. */
        enum { LOOK_EVERY = 8 };
        if (tm_pool_owner(pool) == tm_thread_self() && ++tm_heap->sampler.in_vain % LOOK_EVERY == 0)
            look_at_page(pool, (unsigned)tm_pool_page(block));
        return;
    }
    uint64_t value = atomic_exchange_explicit(cell, 0, memory_order_relaxed);
    if ((value & TM_CELL_COUNTED) == 0)
        return; /* freed twice at the same time */
    if (tm_heap->sampler.mode != TM_SAMPLE_ALL && tm_pool_owner(pool) == tm_thread_self())
        look_at_page(pool, (unsigned)tm_pool_page(block));
    tm_sample_end(block, tm_classes[pool->size_class].block_size, value);
}

uint64_t tm_sample_take_span_cell(void *span)
{
    if (!tm_in_arena(span))
        return tm_large_swap_cell(span, 0);
    tm_cell *cell = tm_cell_of(span);
    return cell == NULL || atomic_load_explicit(cell, memory_order_relaxed) == 0
               ? 0
               : atomic_exchange_explicit(cell, 0, memory_order_relaxed);
}

void tm_sample_put_span_cell(void *span, uint64_t value)
{
    if (!tm_in_arena(span))
        tm_large_swap_cell(span, value);
    else if (tm_cells_make(span))
        atomic_store_explicit(tm_cell_of(span), value, memory_order_relaxed);
}
