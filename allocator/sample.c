/* sample.c: see sample.h. */
#include "allocator/sample.h"

#include <string.h>
#include <time.h>

#include "allocator/cell.h"
#include "allocator/heap_inner.h"
#include "allocator/mix.h"

_Atomic bool tm_sample_ever;

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

static uint64_t next_random(struct tm_sampler *sampler)
{
    return tm_mix(sampler->random += TM_MIX_STEP);
}

/* An exponential with mean 1: -ln(u), by u = m * 2^e and the series of atanh, which is off by less
 * than 1e-7. (libm would be one more library in every process.) */
static double exponential(struct tm_sampler *sampler)
{
    static const double LN2 = 0.69314718055994530942, ROOT_HALF = 0.70710678118654752440;
    enum { MANTISSA = 52, BIAS = 1022 };
    double u = (double)(int64_t)(next_random(sampler) >> 12 | 1) * 0x1p-52; /* 0 to 1 */
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    int e = (int)(bits >> MANTISSA) - BIAS;
    bits = (bits & ((UINT64_C(1) << MANTISSA) - 1)) | (uint64_t)BIAS << MANTISSA;
    double m; /* 1/2 to 1, then up to sqrt(2) */
    memcpy(&m, &bits, sizeof m);
    if (m < ROOT_HALF) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), square = s * s;
    return -e * LN2 - 2 * s * (1 + square * (1.0 / 3 + square * (1.0 / 5 + square / 7)));
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
        tm_pool_identify(pool, TM_POOL_UNASKED);
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
    uint32_t pages =
        told_pages(&tm_classes[pool->size_class], tm_pool_identity(pool) - TM_POOL_CHOSEN);
    for (; pages != 0; pages &= pages - 1)
        count += (uint32_t)pool->in_use[__builtin_ctz(pages)];
    return count;
}

/* Where blocks of a pool start that reach into its chosen page, by the offset in the pool. */
struct stretch {
    uint32_t from, length; /* length 0: the pool has no such page */
};

static struct stretch chosen_stretch(const struct tm_pool *pool)
{
    unsigned identity = tm_pool_identity(pool);
    if (tm_likely(identity < TM_POOL_CHOSEN))
        return (struct stretch){0, 0};
    uint32_t before = tm_classes[pool->size_class].block_size - 1u;
    uint32_t page = (uint32_t)(identity - TM_POOL_CHOSEN) << TM_PAGE_SHIFT;
    return (struct stretch){page - before, TM_PAGE + before}; /* from wraps, as what is compared */
}

static bool is_in(struct stretch stretch, const struct tm_block *block)
{
    return (uint16_t)(uintptr_t)block - stretch.from < stretch.length;
}

bool tm_sample_is_chosen(const struct tm_pool *pool, const struct tm_block *block)
{
    return tm_heap->sampler.mode == TM_SAMPLE_SOME && is_in(chosen_stretch(pool), block);
}

bool tm_sample_always_told(const struct tm_pool *pool, unsigned page)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    return class->warm != 0 && tm_pool_identity(pool) >= TM_POOL_CHOSEN &&
           (told_pages(class, tm_pool_identity(pool) - TM_POOL_CHOSEN) >> page & 1) != 0;
}

/* Whether the block that is handed out now is to be told, and why. */
static unsigned ask(struct tm_sampler *sampler, unsigned size_class, bool chosen)
{
    if (sampler->mode == TM_SAMPLE_ALL)
        return TM_WHY_ALL;
    if (sampler->mode == TM_SAMPLE_OFF)
        return 0;
    unsigned why = chosen ? TM_WHY_IDENTITY : 0;
    if (sampler->until[size_class] == 0) {
        sampler->until[size_class] = draw_blocks(sampler, size_class);
        return why | TM_WHY_SAMPLE;
    }
    sampler->until[size_class]--;
    return why;
}

static struct tm_block *due(struct tm_sampler *sampler, struct tm_block *block, unsigned why)
{
    sampler->due_why = why;
    sampler->due = why != 0 ? block : NULL;
    return block;
}

/* The last of the blocks from the first of a list on that go into the bin behind it: those that are
 * neither on a chosen page nor the next sample. Counts them. The order of the list stays, so that a
 * chosen page fills like any other: what survives there is to stand for what survives elsewhere.
 * plain: no block of the list is on a chosen page. */
static struct tm_block *last_for_bin(struct tm_heap *heap, unsigned size_class,
                                     struct tm_block *last, bool plain)
{
    struct tm_sampler *sampler = &heap->sampler;
    if (sampler->mode != TM_SAMPLE_SOME) {
        for (struct tm_block *next;
             sampler->mode == TM_SAMPLE_OFF && (next = tm_block_next(last)) != NULL;)
            last = next;
        return last;
    }
    bool one_pool = tm_classes[size_class].warm == 0;
    struct stretch chosen = {0, 0};
    if (one_pool && !plain)
        chosen = chosen_stretch(heap->current[size_class]);
    uint32_t until = sampler->until[size_class];
    for (struct tm_block *next; until != 0 && (next = tm_block_next(last)) != NULL;
         last = next, until--) {
        if (!one_pool && !plain)
            chosen = chosen_stretch(tm_pool_slot(next));
        if (is_in(chosen, next))
            break;
    }
    sampler->until[size_class] = until;
    return last;
}

/* Hands out the first block of a list; the bin is empty. */
static struct tm_block *hand_out(struct tm_heap *heap, unsigned size_class, struct tm_block *list,
                                 bool plain)
{
    struct tm_sampler *sampler = &heap->sampler;
    bool chosen = !plain && is_in(chosen_stretch(tm_pool_slot(list)), list);
    unsigned why = ask(sampler, size_class, chosen);
    struct tm_block *last = last_for_bin(heap, size_class, list, plain);
    sampler->rest[size_class] = tm_block_next(last);
    tm_block_link(last, NULL);
    heap->bin[size_class] = tm_block_take(list);
    if (sampler->mode == TM_SAMPLE_OFF)
        sampler->on = any_rest(sampler);
    return due(sampler, list, why);
}

struct tm_block *tm_sample_deal(struct tm_heap *heap, const struct tm_pool *pool,
                                struct tm_block *list, bool handed_back)
{
    /* What others handed back was in use before, too: that list says nothing of pages. */
    bool plain = tm_pool_identity(pool) < TM_POOL_CHOSEN ||
                 (!handed_back && tm_sample_near_chosen(pool) == heap->sampler.near_chosen);
    return hand_out(heap, pool->size_class, list, plain);
}

struct tm_block *tm_sample_deal_rest(struct tm_heap *heap, unsigned size_class)
{
    struct tm_sampler *sampler = &heap->sampler;
    struct tm_block *rest = sampler->rest[size_class];
    if (sampler->mode == TM_SAMPLE_ALL && sampler->front[size_class] == 0) {
        sampler->rest[size_class] = tm_block_take(rest);
        return due(sampler, rest, TM_WHY_ALL);
    }
    if (sampler->front[size_class] == 0)
        return hand_out(heap, size_class, rest, false);
    bool last = --sampler->front[size_class] == 0;
    struct tm_block *next = tm_block_take(rest);
    heap->bin[size_class] = last ? next : NULL;
    sampler->rest[size_class] = last ? NULL : next;
    if (sampler->mode == TM_SAMPLE_OFF)
        sampler->on = any_rest(sampler);
    return due(sampler, rest, ask(sampler, size_class, true));
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

struct tm_block *tm_sample_take_rest(struct tm_heap *heap, unsigned size_class)
{
    struct tm_sampler *sampler = &heap->sampler;
    struct tm_block *rest = sampler->rest[size_class], *block = rest;
    sampler->rest[size_class] = NULL;
    if (sampler->front[size_class] != 0) {
        uint32_t counted = 0;
        for (; block != NULL; block = tm_block_next(block))
            counted++;
        if (sampler->mode == TM_SAMPLE_SOME)
            sampler->until[size_class] += counted - sampler->front[size_class];
        sampler->front[size_class] = 0;
    }
    return rest;
}

void tm_sample_keep_warm(struct tm_heap *heap, unsigned size_class, struct tm_block *block)
{
    struct tm_sampler *sampler = &heap->sampler;
    struct tm_block *bin = heap->bin[size_class];
    uint32_t uncounted = 1;
    /* Behind it the bin's blocks, or if that is empty what it stood in front of; else all of it is
     * counted anew. */
    if (bin == NULL && sampler->front[size_class] != 0 && sampler->front[size_class] < UINT8_MAX) {
        tm_block_link(block, sampler->rest[size_class]);
        sampler->front[size_class]++;
    } else if (sampler->rest[size_class] == NULL) {
        tm_block_link(block, bin);
        sampler->front[size_class] = 1;
    } else {
        struct tm_block *rest = tm_sample_take_rest(heap, size_class);
        struct tm_block *last = block;
        tm_block_link(block, bin);
        for (struct tm_block *next; (next = tm_block_next(last)) != NULL; last = next)
            uncounted++;
        tm_block_link(last, rest);
    }
    heap->bin[size_class] = NULL;
    sampler->rest[size_class] = block;
    sampler->until[size_class] += uncounted; /* of this one, the room for it */
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
        if (tm_pool_identity(pool) >= TM_POOL_CHOSEN)
            atomic_store_explicit(&pool->told, 0, memory_order_relaxed);
        tm_pool_identify(pool, TM_POOL_PASSED);
        return;
    }
    if (!tm_cells_make(tm_pool_base(pool)))
        return;
    unsigned page = (unsigned)((random & UINT32_MAX) * class->pages >> 32);
    tm_pool_identify(pool, TM_POOL_CHOSEN + page);
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
