/* full.c: see full.h. */
#include "allocator/full.h"

#include <string.h>

#include "allocator/heap.h"
#include "allocator/mix.h"

bool tm_full;
struct tm_lock tm_full_lock;

/* What trailers are mixed with; another one than that of the marks, which a program could compute
 * from a freed block. */
static uint64_t secret;
static _Atomic uint64_t random_state;

enum {
    TRAILER = 8,
    /* Blocks, and bytes, that wait in quarantine. */
    PLACES = 4096,
    PLACES_BYTES = 8 * 1024 * 1024,
};

/* Under tm_full_lock. */
static struct tm_block *waiting[PLACES];
static size_t waiting_bytes;
static uint32_t next_out; /* the place that is looked at next when there are too many bytes */

uint64_t tm_full_random(void)
{
    return tm_mix(atomic_fetch_add_explicit(&random_state, TM_MIX_STEP, memory_order_relaxed) +
                  TM_MIX_STEP);
}

void tm_full_start(void)
{
    tm_block_begin();
    secret = tm_mix(~tm_block_secret);
    atomic_store_explicit(&random_state, tm_mix(secret), memory_order_relaxed);
    tm_full = true;
    tm_heap_leave_behind();
}

unsigned tm_full_class(size_t size, size_t alignment)
{
    static_assert(TRAILER < 16, "of class 1 at least, see heap.h");
    if (size > TM_SMALL_MAX - TRAILER || alignment > TM_PAGE)
        return TM_CLASSES;
    size_t need = size + TRAILER > 16 ? size + TRAILER : 17;
    unsigned size_class = tm_class_of(need < alignment ? alignment : need);
    while (tm_classes[size_class].block_size % alignment != 0)
        size_class++;
    return size_class;
}

/* ---- the trailer ---- */

/* The low byte of the word, and what lies between the requested bytes and it. Never 0, as the
 * commonest overrun is that of a string's end. */
static uint8_t canary(const void *block)
{
    uint8_t byte = (uint8_t)(tm_mix(secret ^ (uintptr_t)block) >> 56);
    return byte != 0 ? byte : 0xa5;
}

static uint64_t word_for(const void *block, size_t size)
{
    return ((tm_mix(secret + (uintptr_t)block) ^ size) << 8) | canary(block);
}

/* The size that the word holds; SIZE_MAX: it is none of the block's. */
static size_t size_in(const void *block, uint64_t word, size_t block_size)
{
    uint64_t size = (word ^ word_for(block, 0)) >> 8;
    return (uint8_t)word == canary(block) && size <= block_size - TRAILER ? (size_t)size : SIZE_MAX;
}

/* Others look at it when they free the block behind. */
static _Atomic uint64_t *word_of(const void *block, size_t block_size)
{
    return (_Atomic uint64_t *)((uintptr_t)block + block_size - TRAILER);
}

static uint64_t load_word(const void *block, size_t block_size)
{
    return atomic_load_explicit(word_of(block, block_size), memory_order_relaxed);
}

/* The first 8 of the canary bytes differ, so that a run of one byte passes for none of them but by
 * the chance of each. */
static uint64_t edge(const void *block)
{
    return (tm_mix(secret - (uintptr_t)block) & ~UINT64_C(0xff)) | canary(block);
}

/* How many of those there are, of so many canary bytes. */
static size_t edge_bytes(size_t canaries)
{
    return canaries < sizeof(uint64_t) ? canaries : sizeof(uint64_t);
}

static bool is_edge_whole(const char *block, size_t size, size_t block_size)
{
    const char *end = block + size;
    size_t canaries = block_size - TRAILER - size, first = edge_bytes(canaries);
    uint64_t bytes = edge(block);
    return memcmp(end, &bytes, first) == 0 &&
           tm_is_filled(end + first, canaries - first, (char)canary(block));
}

static void put_trailer(void *block, size_t size, size_t block_size)
{
    char *end = (char *)block + size;
    size_t canaries = block_size - TRAILER - size;
    uint64_t bytes = edge(block);
    memset(end, canary(block), canaries);
    memcpy(end, &bytes, edge_bytes(canaries));
    atomic_store_explicit(word_of(block, block_size), word_for(block, size), memory_order_relaxed);
}

/* What lies between a pool's last block and the next slot, or the end of that: nobody's, and zero.
 */
static char *rest_of(const struct tm_pool *pool, size_t *bytes)
{
    enum { NEAR = 64 };
    const struct tm_class *class = &tm_classes[pool->size_class];
    size_t rest = TM_SLOT - (size_t) class->capacity * class->block_size;
    *bytes = rest < NEAR ? rest : NEAR;
    return tm_pool_base(pool) + TM_SLOT - *bytes;
}

static bool is_rest_whole(const struct tm_pool *pool)
{
    size_t bytes;
    const char *rest = rest_of(pool, &bytes);
    return tm_is_filled(rest, bytes, 0);
}

void tm_full_take_pool(const struct tm_pool *pool)
{
    size_t bytes;
    char *rest = rest_of(pool, &bytes);
    if (!tm_is_filled(rest, bytes, 0)) /* else its page may stay untouched */
        memset(rest, 0, bytes);
}

/* The word of the block before: whole, or 0. What is before the first block of a pool may be the
 * last one of another hardened pool of this thread, which ends where this begins or leaves a rest.
 */
static bool is_whole_before(const struct tm_pool *pool, const char *block)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    if (block == tm_pool_base(pool)) {
        if (((uintptr_t)block & (TM_CHUNK - 1)) == TM_ARENA)
            return true; /* behind the chunk's head */
        pool = tm_pool_slot(block - 1);
        /* Only the owner knows that it stays one meanwhile: another's may become a span, with
         * anything in it. */
        if (tm_pool_owner(pool) != tm_thread_self() || !pool->taken || !pool->hardened)
            return true;
        class = &tm_classes[pool->size_class];
        if ((size_t) class->capacity * class->block_size < TM_SLOT)
            return is_rest_whole(pool);
    }
    const char *before = block - class->block_size;
    uint64_t word = load_word(before, class->block_size);
    return word == 0 || size_in(before, word, class->block_size) != SIZE_MAX;
}

static bool is_start(const struct tm_pool *pool, const void *address)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    unsigned index = tm_class_block_index(class, (uint16_t)(uintptr_t)address);
    return tm_pool_base(pool) + (size_t)index * class->block_size == address &&
           index < class->capacity;
}

bool tm_full_is_free(const struct tm_pool *pool, const void *address)
{
    return is_start(pool, address) && !tm_full_is_live(pool, address);
}

size_t tm_full_size(const char *call, const struct tm_pool *pool, const void *address)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    const char *block = address;
    if (!is_start(pool, address))
        tm_misuse_no_block(call, address);
    uint64_t word = load_word(block, class->block_size);
    if (word == 0)
        tm_misuse_no_block(call, address);
    size_t size = size_in(block, word, class->block_size);
    if (size == SIZE_MAX || !is_edge_whole(block, size, class->block_size))
        tm_misuse_overrun(call, block, size);
    if (!is_whole_before(pool, block))
        tm_misuse_underrun(call, block, size);
    /* That block's own thread may not look here, see above; and it may be in use for long. */
    if (!is_rest_whole(pool))
        tm_misuse_behind(call, block, size);
    return size;
}

bool tm_full_is_live(const struct tm_pool *pool, const void *block)
{
    return load_word(block, tm_classes[pool->size_class].block_size) != 0;
}

/* ---- a block's life ---- */

void tm_full_hand_out(void *block, size_t size)
{
    size_t block_size = tm_classes[tm_pool_slot(block)->size_class].block_size;
    if (!tm_is_filled((char *)block + sizeof(struct tm_block), block_size - sizeof(struct tm_block),
                      0))
        tm_misuse_written(block);
    memset(block, 0, sizeof(struct tm_block));
    put_trailer(block, size, block_size);
}

bool tm_full_resize(const struct tm_pool *pool, void *block, size_t old_size, size_t size)
{
    if (tm_full_class(size, 16) != pool->size_class)
        return false;
    if (size > old_size)
        memset((char *)block + old_size, 0, size - old_size);
    put_trailer(block, size, tm_classes[pool->size_class].block_size);
    return true;
}

static size_t bytes_of(const struct tm_block *block)
{
    return tm_classes[tm_pool_slot(block)->size_class].block_size;
}

/* Takes the block out of a place. Under tm_full_lock. */
static struct tm_block *empty(struct tm_block **place)
{
    struct tm_block *block = *place;
    *place = NULL;
    if (block != NULL)
        waiting_bytes -= bytes_of(block);
    return block;
}

static void *look_at(struct tm_block *out)
{
    if (out != NULL && !tm_is_filled((char *)out, bytes_of(out), 0))
        tm_misuse_written(out);
    return out;
}

void *tm_full_quarantine(const struct tm_pool *pool, void *block)
{
    size_t block_size = tm_classes[pool->size_class].block_size;
    /* Of threads that free it at the same instant one goes on. */
    if (atomic_exchange_explicit(word_of(block, block_size), 0, memory_order_relaxed) == 0)
        tm_misuse_no_block("free", block);
    memset(block, 0, block_size - TRAILER);
    tm_lock(&tm_full_lock);
    struct tm_block **place = &waiting[tm_full_random() % PLACES];
    struct tm_block *out = empty(place);
    *place = block;
    waiting_bytes += block_size;
    tm_unlock(&tm_full_lock);
    return out != NULL ? look_at(out) : tm_full_let_out(false);
}

void tm_full_fork_child(void)
{
    if (waiting_bytes != 0) /* else the pages stay the parent's */
        memset(waiting, 0, sizeof waiting);
    waiting_bytes = 0;
}

void *tm_full_let_out(bool any)
{
    struct tm_block *out = NULL;
    tm_lock(&tm_full_lock);
    while (out == NULL && waiting_bytes > (any ? 0 : PLACES_BYTES))
        out = empty(&waiting[next_out++ % PLACES]);
    tm_unlock(&tm_full_lock);
    return look_at(out);
}
