/* pool.c: see pool.h. Everything here is done by the pool's owner, or by the thread that holds the
 * OWNED bit.
 *
 * How free pages are found: a free pushes and counts, no more. Now and then the owner looks at the
 * blocks that were pushed since the last look, and counts for each page how many of its blocks are
 * free: one visit for each free, while the block is still in the cache. Only when a page's count
 * says that it is wholly free, and the heap's budget is exceeded, is the whole list walked, once,
 * to unlink the blocks of the pages that go.
 */
#include "allocator/pool.h"

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/os.h"

static uint32_t page_of_offset(size_t offset)
{
    return (uint32_t)(offset >> TM_PAGE_SHIFT);
}

static uint16_t mask16(unsigned first, unsigned last)
{
    return (uint16_t)tm_mask64(first, last - first + 1);
}

void tm_pool_forget_looks(struct tm_pool *pool)
{
    pool->looked = 0;
    pool->page_free.many = 0;
}

static unsigned slots_of(unsigned pages)
{
    return (pages + TM_SLOT_PAGES - 1) / TM_SLOT_PAGES;
}

static void count_purged(int pages)
{
    atomic_fetch_add_explicit(&tm_bytes_purged_in_pools, (uint64_t)(pages * (int64_t)TM_PAGE),
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
    pool->until = pool->floor = 0;
    pool->free = NULL;
    atomic_store_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_relaxed);
    pool->carved = 0;
    pool->uncarved = class->starts;
    pool->clean = (uint16_t)(mask16(0, class->pages - 1u) & ~dirty);
    pool->purged = 0;
    tm_pool_forget_looks(pool);
    pool->size_class = (uint8_t)size_class;
    pool->free_pages = 0;
    pool->listed = false;
    for (unsigned i = 0; i < slots_of(class->pages); i++)
        pool[i].form = (uint8_t)(TM_POOL_HEAD + i);
    return pool;
}

void tm_pool_give(struct tm_pool *pool)
{
    void *base = tm_pool_base(pool);
    unsigned pages = tm_pool_pages(pool);
    uint16_t dirty = (uint16_t)(mask16(0, pages - 1) & ~pool->clean);
    if (pool->purged != 0)
        count_purged(-__builtin_popcount(pool->purged));
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    for (unsigned i = 0; i < slots_of(pages); i++)
        pool[i].form = TM_POOL_NONE;
    tm_arena_give_pool(base, pages, dirty);
}

/* Changes how many blocks are in use, and leaves until as it is where it can. */
static void less_in_use(struct tm_pool *pool, uint32_t blocks)
{
    uint32_t in_use = tm_pool_in_use(pool) - blocks;
    if (tm_pool_attended(pool))
        tm_pool_attend(pool, in_use, pool->until);
    else
        tm_pool_attend_never(pool, in_use);
}

uint32_t tm_pool_collect(struct tm_pool *pool)
{
    /* Not only when there are blocks: what it says of blocks in use is over, too, once the pool is
     * owned. */
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    if (remote == TM_REMOTE_OWNED)
        return 0;
    remote = atomic_exchange_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire);
    uint32_t count = tm_remote_count(remote);
    if (count == 0)
        return 0;
    struct tm_block *list = tm_remote_first(pool, remote);
    less_in_use(pool, count);
    if (pool->free == NULL) {
        pool->free = list;
        return count;
    }
    struct tm_block *last = list;
    while (last->next != NULL)
        last = last->next;
    last->next = pool->free;
    pool->free = list;
    return count;
}

/* The pages that a block overlaps. */
static void block_pages(const struct tm_pool *pool, const void *block, uint32_t *first,
                        uint32_t *last)
{
    size_t offset = (size_t)((const char *)block - tm_pool_base(pool));
    *first = page_of_offset(offset);
    *last = page_of_offset(offset + tm_classes[pool->size_class].block_size - 1);
}

/* Notes that pages are about to be written to. */
static void soil(struct tm_pool *pool, uint16_t pages)
{
    pool->clean &= (uint16_t)~pages;
    unsigned back = pool->purged & pages;
    if (tm_unlikely(back != 0)) {
        pool->purged &= (uint16_t)~pages;
        count_purged(-__builtin_popcount(back));
        tm_cache_bounced((unsigned)__builtin_popcount(back));
    }
}

/* Pages that blocks of the lists reach into from the page before are written to once these are in
 * use. */
static void soil_overlapped_pages(struct tm_pool *pool)
{
    for (uint32_t clean = pool->clean; clean != 0; clean &= clean - 1) {
        uint32_t page = (uint32_t)__builtin_ctz(clean);
        uint32_t index = tm_class_block_index(&tm_classes[pool->size_class], page << TM_PAGE_SHIFT);
        uint32_t start = page_of_offset((size_t)index * tm_classes[pool->size_class].block_size);
        if (start < page && (pool->uncarved >> start & 1) == 0)
            soil(pool, (uint16_t)(1u << page));
    }
}

struct tm_block *tm_pool_take_free(struct tm_pool *pool)
{
    struct tm_block *list = pool->free;
    pool->free = NULL;
    /* A fresh page is carved together with what reaches into the next one; a purged one need not
     * be. */
    if (tm_unlikely((pool->purged & pool->clean) != 0))
        soil_overlapped_pages(pool);
    tm_pool_forget_looks(pool);
    tm_pool_attend_never(pool, pool->carved);
    return list;
}

void tm_pool_lose_free(struct tm_pool *pool)
{
    pool->free = NULL;
    tm_pool_forget_looks(pool);
    tm_pool_attend_never(pool, pool->carved);
}

struct tm_block *tm_pool_carve(struct tm_pool *pool, bool *zero)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint32_t page = (uint32_t)__builtin_ctz(pool->uncarved);
    uint32_t size = class->block_size;
    uint32_t first = (uint32_t)(((page << TM_PAGE_SHIFT) + size - 1) / size);
    uint32_t end = (uint32_t)((((page + 1) << TM_PAGE_SHIFT) + size - 1) / size);
    if (end > class->capacity)
        end = class->capacity;
    char *base = tm_pool_base(pool);
    uint16_t touched = mask16(page, page_of_offset((size_t)end * size - 1));
    *zero = (pool->clean & touched) == touched;
    soil(pool, touched);
    pool->uncarved &= (uint16_t) ~(1u << page);
    pool->carved = (uint16_t)(pool->carved + (end - first));
    tm_pool_attend_never(pool, tm_pool_in_use(pool) + (end - first));
    struct tm_block *list = (struct tm_block *)(base + (size_t)first * size);
    struct tm_block *block = list;
    for (uint32_t i = first + 1; i < end; i++) {
        struct tm_block *next = (struct tm_block *)((char *)block + size);
        block->next = next;
        block = next;
    }
    block->next = NULL;
    return list;
}

void tm_pool_put_back(struct tm_pool *pool, struct tm_block *list)
{
    if (list == NULL)
        return;
    uint32_t count = 1;
    struct tm_block *last = list;
    for (; last->next != NULL; last = last->next)
        count++;
    last->next = pool->free;
    pool->free = list;
    less_in_use(pool, count);
}

/* Counts one more free block of a page; returns how many there are. */
static uint32_t page_free_add(struct tm_pool *pool, uint32_t page)
{
    if (tm_pool_pages(pool) == TM_SLOT_PAGES)
        return ++pool->page_free.few[page];
    pool->page_free.many += UINT64_C(1) << (4 * page);
    return (uint32_t)(pool->page_free.many >> (4 * page)) & 15;
}

/* How many blocks of `free` overlap a page when all of its blocks are free: those that are not in
 * an uncarved page. */
static uint32_t blocks_when_free(const struct tm_pool *pool, uint32_t page)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint32_t first = tm_class_block_index(class, page << TM_PAGE_SHIFT);
    uint32_t last = tm_class_block_index(class, (page << TM_PAGE_SHIFT) + (uint32_t)TM_PAGE - 1);
    if (last >= class->capacity)
        last = class->capacity - 1u;
    uint32_t start = page_of_offset((size_t)first * tm_classes[pool->size_class].block_size);
    bool first_uncarved = start < page && (pool->uncarved >> start & 1) != 0;
    return last - first + 1 - (first_uncarved ? 1 : 0);
}

unsigned tm_pool_look(struct tm_pool *pool)
{
    unsigned found = 0;
    /* Fewer than this cannot fill a page, which saves the division: at its start a block may reach
     * in from an uncarved page, and behind the last page's last block there may be no room for one
     * more. */
    uint32_t near = (uint32_t)TM_PAGE / tm_classes[pool->size_class].block_size;
    near -= near < 2 ? near : 2;
    char *base = tm_pool_base(pool);
    struct tm_block *looked =
        pool->looked == 0 ? NULL : (struct tm_block *)(base + (pool->looked - 1) * 16);
    for (struct tm_block *block = pool->free; block != looked && block != NULL;
         block = block->next) {
        uint32_t page, last;
        block_pages(pool, block, &page, &last);
        for (; page <= last; page++) {
            uint32_t blocks = page_free_add(pool, page);
            if (blocks >= near && ((pool->uncarved | pool->clean) >> page & 1) == 0)
                found += blocks == blocks_when_free(pool, page);
        }
    }
    pool->looked = (uint16_t)(pool->free == NULL ? 0 : ((char *)pool->free - base) / 16 + 1);
    pool->free_pages = (uint8_t)(pool->free_pages + found);
    return found;
}

uint32_t tm_pool_frees_to_page(const struct tm_pool *pool)
{
    /* Of larger blocks a page has so few that each free may be the one. */
    if (tm_pool_pages(pool) != TM_SLOT_PAGES)
        return 1;
    uint32_t least = UINT32_MAX;
    for (uint32_t page = 0; page < TM_SLOT_PAGES; page++) {
        if ((pool->uncarved | pool->clean) >> page & 1)
            continue;
        uint32_t missing = blocks_when_free(pool, page) - pool->page_free.few[page];
        if (missing != 0 && missing < least)
            least = missing;
    }
    return least;
}

/* Of every page: 1 if all of its blocks are free. bit b of free_blocks: block b is on `free`. */
static uint16_t wholly_free_pages(const struct tm_pool *pool, const uint64_t *free_blocks)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint16_t result = 0;
    for (uint32_t page = 0; page < class->pages; page++) {
        uint32_t first = tm_class_block_index(class, page << TM_PAGE_SHIFT);
        uint32_t last =
            tm_class_block_index(class, (page << TM_PAGE_SHIFT) + (uint32_t)TM_PAGE - 1);
        if (last >= class->capacity)
            last = class->capacity - 1u;
        bool all = true;
        for (uint32_t block = first; all && block <= last; block++) {
            uint32_t start =
                page_of_offset((size_t)block * tm_classes[pool->size_class].block_size);
            all = (free_blocks[block / 64] >> (block % 64) & 1) != 0 ||
                  (pool->uncarved >> start & 1) != 0;
        }
        result |= (uint16_t)(all ? 1u << page : 0);
    }
    return result;
}

unsigned tm_pool_purge(struct tm_pool *pool)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    char *base = tm_pool_base(pool);
    uint64_t free_blocks[(TM_SLOT_PAGES << TM_PAGE_SHIFT) / 16 / 64] = {0};
    for (struct tm_block *block = pool->free; block != NULL; block = block->next) {
        uint32_t index = tm_class_block_index(class, (uint32_t)((char *)block - base));
        free_blocks[index / 64] |= UINT64_C(1) << (index % 64);
    }
    uint16_t going = (uint16_t)(wholly_free_pages(pool, free_blocks) & ~pool->clean);
    tm_pool_forget_looks(pool);
    if (going == 0)
        return 0;
    /* Unlink the blocks that start in a page that goes: their links go with it. */
    struct tm_block **tail = &pool->free;
    uint32_t unlinked = 0;
    for (struct tm_block *block = pool->free, *next; block != NULL; block = next) {
        next = block->next;
        if (going >> page_of_offset((size_t)((char *)block - base)) & 1) {
            unlinked++;
        } else {
            *tail = block;
            tail = &block->next;
        }
    }
    *tail = NULL;
    pool->carved = (uint16_t)(pool->carved - unlinked);
    pool->uncarved = (uint16_t)(pool->uncarved | (going & class->starts));
    /* What is left is looked at already then. */
    tm_pool_look(pool);
    pool->free_pages = 0;
    unsigned went = 0;
    for (uint32_t rest = going; rest != 0;) {
        unsigned first = (unsigned)__builtin_ctz(rest);
        unsigned count = (unsigned)__builtin_ctz(~(rest >> first));
        uint16_t run = mask16(first, first + count - 1);
        if (tm_os_purge(base + first * TM_PAGE, count * TM_PAGE)) {
            count_purged(__builtin_popcount(run & (unsigned)~pool->purged));
            tm_cache_purged(count);
            pool->clean = (uint16_t)(pool->clean | run);
            pool->purged = (uint16_t)(pool->purged | run);
            went += count;
        }
        rest &= ~(uint32_t)run;
    }
    return went;
}
