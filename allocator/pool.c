/* pool.c: see pool.h. Everything here is done by the pool's owner, or by the thread that holds the
 * OWNED bit.
 */
#include "allocator/pool.h"

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/full.h"
#include "allocator/os.h"

static uint32_t page_of_offset(size_t offset)
{
    return (uint32_t)(offset >> TM_PAGE_SHIFT);
}

static uint16_t mask16(unsigned first, unsigned last)
{
    return (uint16_t)tm_mask64(first, last - first + 1);
}

static uint16_t bit16(unsigned page)
{
    return (uint16_t)(1u << page);
}

static void set_uncarved(struct tm_pool *pool, unsigned pages)
{
    atomic_store_explicit(&pool->closed,
                          (uint16_t)(pages | ~(unsigned)tm_classes[pool->size_class].starts),
                          memory_order_relaxed);
}

static void count_clean(int pages)
{
    atomic_fetch_add_explicit(&tm_bytes_clean_in_pools, (uint64_t)(pages * (int64_t)TM_PAGE),
                              memory_order_relaxed);
}

struct tm_pool *tm_pool_take(unsigned size_class)
{
    const struct tm_class *class = &tm_classes[size_class];
    uint16_t dirty;
    void *base = tm_arena_take_pool(class->pages, &dirty);
    if (base == NULL)
        return NULL;
    struct tm_pool *pool = tm_pool_slot(base);
    pool->free = NULL;
    memset(pool->sifted, 0, sizeof pool->sifted);
    pool->sifted_pages = 0;
    memset(pool->in_use, 0, sizeof pool->in_use);
    memset(pool->drawn, 0, sizeof pool->drawn);
    pool->size_class = (uint8_t)size_class;
    set_uncarved(pool, class->starts);
    pool->hardened = tm_full;
    pool->reciprocal = tm_full ? 0 : class->reciprocal;
    pool->clean = (uint16_t)(mask16(0, class->pages - 1u) & ~dirty);
    pool->drained = dirty & class->starts;
    pool->purged = pool->came_back = pool->counted = 0;
    pool->thin = true;
    pool->place = TM_PLACE_NONE;
    pool->listed = false;
    tm_pool_identify(pool, 0);
    atomic_store_explicit(&pool->told, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_relaxed);
    count_clean(__builtin_popcount(pool->clean));
    pool->taken = true;
    if (tm_unlikely(pool->hardened))
        tm_full_take_pool(pool);
    return pool;
}

void tm_pool_give(struct tm_pool *pool)
{
    unsigned pages = tm_classes[pool->size_class].pages;
    uint16_t dirty = (uint16_t)(mask16(0, pages - 1) & ~pool->clean);
    count_clean(-__builtin_popcount(pool->clean));
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    pool->taken = false;
    pool->reciprocal = 0;
    tm_arena_give_pool(tm_pool_base(pool), pages, dirty);
}

/* ---- blocks that come back ---- */

void tm_pool_put_back(struct tm_pool *pool, struct tm_block *block)
{
    unsigned page = (unsigned)tm_pool_page(block);
    tm_block_link(block, pool->free);
    pool->free = block;
    if (--pool->in_use[page] > 0)
        return;
    if (tm_unlikely(pool->in_use[page] < 0))
        tm_misuse_no_block("free", block);
    pool->drained |= bit16(page);
}

struct tm_block *tm_pool_take_remote(struct tm_pool *pool, uint32_t *count)
{
    *count = 0;
    /* Not only when there are blocks: what it says of blocks in use is over, too, once the pool is
     * owned. */
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    if (remote == TM_REMOTE_OWNED)
        return NULL;
    remote = atomic_exchange_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire);
    *count = tm_remote_count(remote);
    return tm_remote_first(pool, remote);
}

void tm_pool_collect(struct tm_pool *pool)
{
    uint32_t count;
    struct tm_block *block = tm_pool_take_remote(pool, &count);
    /* One that two threads freed at the same instant leads to itself. */
    for (struct tm_block *next; block != NULL; block = next) {
        next = tm_block_next(block);
        if (tm_unlikely(count-- == 0))
            tm_misuse_no_block("free", block);
        tm_pool_put_back(pool, block);
    }
}

/* ---- blocks for the bin ---- */

/* The block that reaches into `page` from before, by the page that it starts in; `page` if there is
 * none. */
static unsigned reaches_from(const struct tm_class *class, unsigned page)
{
    uint32_t index = tm_class_block_index(class, page << TM_PAGE_SHIFT);
    return page_of_offset((size_t)index * class->block_size);
}

/* Notes that pages are about to be written to. */
static void soil(struct tm_pool *pool, uint16_t pages)
{
    unsigned soiled = pool->clean & pages;
    if (soiled == 0)
        return;
    pool->clean &= (uint16_t)~soiled;
    count_clean(-__builtin_popcount(soiled));
    pool->came_back = (uint16_t)(pool->came_back + __builtin_popcount(pool->purged & soiled));
    pool->purged &= (uint16_t)~soiled;
}

/* A free block that starts in `page`, and is about to be handed out, may reach into purged pages.
 */
static void soil_behind(struct tm_pool *pool, unsigned page)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    for (unsigned next = page + 1; next < class->pages; next++) {
        if (reaches_from(class, next) != page)
            return;
        soil(pool, bit16(next));
    }
}

/* Of a page that is carved. */
static unsigned sifted_count(const struct tm_pool *pool, unsigned page)
{
    uint32_t first;
    return tm_class_blocks_of_page(&tm_classes[pool->size_class], page, &first) -
           (unsigned)pool->drawn[page];
}

/* The sifted blocks of a page, which has some. */
static struct tm_block *take_page(struct tm_pool *pool, unsigned page)
{
    struct tm_block *list = tm_pool_sifted(pool, page);
    pool->sifted[page] = 0;
    unsigned more = sifted_count(pool, page);
    pool->in_use[page] = (int16_t)(pool->in_use[page] + (int)more);
    pool->drawn[page] = (int16_t)(pool->drawn[page] + (int)more);
    pool->sifted_pages &= (uint16_t)~bit16(page);
    pool->drained &= (uint16_t)~bit16(page);
    if (pool->clean != 0)
        soil_behind(pool, page);
    return list;
}

/* The lowest pages first, so that the others drain. */
struct tm_block *tm_pool_take_sifted(struct tm_pool *pool)
{
    enum { ENOUGH = 16 };
    struct tm_block *list = NULL;
    unsigned count = 0;
    for (uint32_t rest = pool->sifted_pages; rest != 0 && count < ENOUGH; rest &= rest - 1) {
        unsigned page = (unsigned)__builtin_ctz(rest);
        unsigned more = sifted_count(pool, page);
        /* The first list keeps its end. Those of further pages go before it, and are walked for
         * that: the loads are of blocks that are wanted next. */
        if (list != NULL && more > ENOUGH)
            continue;
        struct tm_block *head = take_page(pool, page);
        if (list != NULL) {
            struct tm_block *last = head;
            unsigned left = more;
            for (struct tm_block *next; (next = tm_block_next(last)) != NULL; last = next)
                if (tm_unlikely(left-- == 0))
                    tm_misuse_written(last); /* it leads to itself */
            tm_block_link(last, list);
        }
        list = head;
        count += more;
    }
    return list;
}

void tm_pool_lose_free(struct tm_pool *pool)
{
    for (uint32_t rest = pool->sifted_pages; rest != 0; rest &= rest - 1)
        take_page(pool, (unsigned)__builtin_ctz(rest));
    tm_pool_take_free(pool);
}

/* How many pages to carve: one, as the blocks of the next may never be needed; of pages that are
 * resident anyway, enough to keep a bin going. */
static unsigned pages_to_carve(const struct tm_pool *pool, unsigned first)
{
    enum { AT_ONCE = 4 };
    unsigned pages = 1;
    while (pages < AT_ONCE && first + pages < TM_SLOT_PAGES &&
           (tm_pool_uncarved(pool) & ~pool->clean) >> (first + pages) & 1)
        pages++;
    return pages;
}

/* check=full: the blocks of a page, which are zero then, in random order. */
static struct tm_block *link_at_random(char *base, uint32_t count, uint32_t size,
                                       struct tm_block *rest)
{
    uint16_t order[TM_PAGE / 16];
    memset(base, 0, (size_t)count * size);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = (uint32_t)((tm_full_random() >> 32) * (i + 1) >> 32);
        order[i] = order[other];
        order[other] = (uint16_t)i;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tm_block *block = (struct tm_block *)(base + (size_t)order[i] * size);
        tm_block_link(block, rest);
        rest = block;
    }
    return rest;
}

/* One page of them; the list goes on with `rest`. */
static struct tm_block *carve_page(struct tm_pool *pool, unsigned page, struct tm_block *rest)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint32_t size = class->block_size;
    uint32_t first;
    uint32_t end = tm_class_blocks_of_page(class, page, &first);
    end += first;
    char *base = tm_pool_base(pool);
    soil(pool, mask16(page, page_of_offset((size_t)end * size - 1)));
    set_uncarved(pool, tm_pool_uncarved(pool) & (uint16_t)~bit16(page));
    pool->drained &= (uint16_t)~bit16(page);
    pool->drawn[page] = pool->in_use[page] = (int16_t)(end - first);
    if (tm_unlikely(pool->hardened))
        return link_at_random(base + (size_t)first * size, end - first, size, rest);
    struct tm_block *list = (struct tm_block *)(base + (size_t)first * size);
    struct tm_block *block = list;
    for (uint32_t i = first + 1; i < end; i++) {
        struct tm_block *next = (struct tm_block *)((char *)block + size);
        tm_block_link(block, next);
        block = next;
    }
    tm_block_link(block, rest);
    /* What is behind the last block is none, but an address like one. */
    size_t behind = (size_t) class->capacity * size;
    if (end == class->capacity && page_of_offset(behind) == page)
        tm_block_link((struct tm_block *)(base + behind), NULL);
    return list;
}

/* Small blocks of which fewer than this are carved get one more page at each refill. Not larger
 * ones, which would go round through more of the processor's cache than the refills cost. */
enum { THIN_BLOCKS = 16, THIN_SIZE = 1024, TINY_BLOCKS = 32, TINY_SIZE = 256 };

struct tm_block *tm_pool_carve(struct tm_pool *pool, bool *zero)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    unsigned first = (unsigned)__builtin_ctz(tm_pool_uncarved(pool));
    unsigned count = pages_to_carve(pool, first);
    /* Several are dirty ones. */
    size_t end = ((size_t)(first + 1) << TM_PAGE_SHIFT) + class->block_size - 1;
    uint16_t touched =
        mask16(first, end / TM_PAGE < class->pages ? page_of_offset(end - 1) : class->pages - 1u);
    *zero = count == 1 && (pool->clean & touched) == touched;
    struct tm_block *list = NULL;
    for (unsigned page = first + count; page-- > first;)
        list = carve_page(pool, page, list);
    if (class->block_size > THIN_SIZE || tm_pool_uncarved(pool) == 0 ||
        tm_pool_sum(pool->drawn) >= (class->block_size > TINY_SIZE ? THIN_BLOCKS : TINY_BLOCKS))
        pool->thin = false;
    return list;
}

/* ---- pages that go back ---- */

static void sift(struct tm_pool *pool)
{
    for (struct tm_block *block = pool->free, *next; block != NULL; block = next) {
        unsigned page = (unsigned)tm_pool_page(block);
        next = tm_block_next(block);
        tm_block_link(block, tm_pool_sifted(pool, page));
        pool->sifted[page] = (uint16_t)tm_pool_place(block);
        pool->drawn[page]--;
        pool->sifted_pages |= bit16(page);
    }
    pool->free = NULL;
}

/* Of the drained pages, those that no block reaches into that is in use. All is sifted. */
static uint16_t free_pages(const struct tm_pool *pool)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint16_t going = 0, asked = 0;
    for (uint32_t page = 0; page < class->pages; page++) {
        if ((pool->clean >> page & 1) != 0 || pool->in_use[page] != 0)
            continue;
        going |= bit16(page);
        unsigned start = reaches_from(class, page);
        if (start < page && pool->in_use[start] != 0)
            asked |= bit16(page);
    }
    if (asked == 0)
        return going;
    /* The page before is not drained, but its last block may be free. */
    for (uint32_t rest = asked; rest != 0; rest &= rest - 1) {
        uint32_t page = (uint32_t)__builtin_ctz(rest);
        unsigned start = reaches_from(class, page);
        const char *reaching =
            tm_pool_base(pool) +
            (size_t)tm_class_block_index(class, page << TM_PAGE_SHIFT) * class->block_size;
        const struct tm_block *block = tm_pool_sifted(pool, start);
        while (block != NULL && (const char *)block != reaching)
            block = tm_block_next(block);
        if (block == NULL)
            going &= (uint16_t)~bit16(page);
    }
    return going;
}

/* Of pages that are free, those whose kernel page is: what is clean goes with them, and so does
 * what lies behind the pool's last page in its slot, which nobody uses. */
static uint16_t with_their_kernel_pages(const struct tm_pool *pool, uint16_t pages)
{
    uint16_t all = (uint16_t)((1u << tm_classes[pool->size_class].pages) - 1);
    return (uint16_t)tm_os_pages_alone(pages, all & ~(pages | pool->clean));
}

/* Forgets the free blocks that start in these pages: their links go with the pages. */
static void forget_blocks(struct tm_pool *pool, uint16_t pages)
{
    pages &= tm_classes[pool->size_class].starts;
    for (uint32_t rest = pages; rest != 0; rest &= rest - 1) {
        unsigned page = (unsigned)__builtin_ctz(rest);
        pool->sifted[page] = 0;
        pool->drawn[page] = 0;
    }
    pool->sifted_pages &= (uint16_t)~pages;
    set_uncarved(pool, tm_pool_uncarved(pool) | pages);
}

unsigned tm_pool_purge(struct tm_pool *pool)
{
    sift(pool);
    uint16_t going = with_their_kernel_pages(pool, free_pages(pool));
    pool->drained = 0;
    if (going == 0)
        return 0;
    forget_blocks(pool, going);
    unsigned went = 0;
    char *base = tm_pool_base(pool);
    for (uint32_t rest = (uint16_t)tm_os_pages_around(going); rest != 0;) {
        unsigned first = (unsigned)__builtin_ctz(rest);
        unsigned count = (unsigned)__builtin_ctz(~(rest >> first));
        uint32_t run = mask16(first, first + count - 1);
        if (tm_os_purge(base + first * TM_PAGE, count * TM_PAGE)) {
            uint16_t gone = going & (uint16_t)run;
            pool->clean |= gone;
            pool->purged |= gone;
            went += tm_count16(gone);
        }
        rest &= ~run;
    }
    count_clean((int)went);
    return went;
}
