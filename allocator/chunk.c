/* chunk.c: chunks from the OS and back: mapping, growing in place, finding empty arenas, unmapping.
 *
 * Chunks are unmapped whole only: a hole in the middle would split the mapping, and mappings are
 * scarce (vm.max_map_count). One chunk that became empty is kept, so that a program at the border
 * does not map and unmap for ever, and others as long as the cache may keep their pages.
 *
 * The head of a chunk stays when its arenas are unmapped, a page of it resident: another thread may
 * be looking there for the descriptor of an address that is not the chunk's (the kernel puts other
 * mappings into the unmapped rest of a chunk's 16 MiB). Such places are the first to become chunks
 * again.
 */
#include "allocator/chunk.h"

#include <stdatomic.h>
#include <string.h>

#include "allocator/cache.h"
#include "allocator/os.h"

_Atomic uint8_t tm_chunk_valid[TM_CHUNK_INDEXES];
struct tm_lock tm_arena_lock;
struct tm_chunk *tm_chunks;
_Atomic uint64_t tm_chunk_mapped_bytes;

enum { GROW_MIN = 4 }; /* arenas asked of the OS at once, at least */

/* Chunks by their number of empty arenas. */
static struct tm_buckets chunk_index;
/* Heads of chunks whose arenas were unmapped, linked by next. */
static struct tm_chunk *bare_heads;
/* The one that may grow in place; NULL if there is none. */
static struct tm_chunk *growing;
static unsigned all_empty_chunks;

static uint64_t all_arenas(const struct tm_chunk *chunk)
{
    return chunk->arenas == 1 ? 0 : tm_mask64(1, chunk->arenas - 1);
}

/* Brings the index in line with chunk->empty. */
static void reindex(struct tm_chunk *chunk)
{
    if (chunk->index.next != NULL)
        tm_bucket_remove(&chunk_index, chunk->bucket, &chunk->index);
    if (chunk->empty != 0) {
        chunk->bucket = (uint8_t)__builtin_popcountll(chunk->empty);
        tm_bucket_insert(&chunk_index, chunk->bucket, &chunk->index);
    }
    bool all_empty = chunk->empty == all_arenas(chunk);
    if (all_empty != chunk->all_empty) {
        chunk->all_empty = all_empty;
        all_empty_chunks += all_empty ? 1 : -1u;
    }
}

/* How many arenas to ask for: a quarter of what there is, so that calls and mappings grow with the
 * logarithm. */
static unsigned growth(unsigned at_least)
{
    uint64_t arenas =
        atomic_load_explicit(&tm_chunk_mapped_bytes, memory_order_relaxed) >> TM_ARENA_SHIFT;
    unsigned want = arenas / 4 > TM_CHUNK_ARENAS ? TM_CHUNK_ARENAS : (unsigned)arenas / 4;
    if (want < GROW_MIN)
        want = GROW_MIN;
    return want < at_least ? at_least : want;
}

static bool grow(struct tm_chunk *chunk, unsigned at_least)
{
    unsigned room = TM_CHUNK_ARENAS - chunk->arenas;
    if (at_least > room)
        return false;
    unsigned count = growth(at_least);
    if (count > room)
        count = room;
    char *end = (char *)chunk + chunk->arenas * TM_ARENA;
    while (!tm_os_map_at(end, count * TM_ARENA)) {
        if (count == at_least)
            return false;
        count = at_least;
    }
    chunk->empty |= tm_mask64(chunk->arenas, count);
    chunk->arenas += count;
    atomic_fetch_add_explicit(&tm_chunk_mapped_bytes, count * TM_ARENA, memory_order_relaxed);
    reindex(chunk);
    return true;
}

static bool map_at(char *address, size_t bytes)
{
    return address != NULL && (uintptr_t)address < TM_CHUNK_INDEXES << TM_CHUNK_SHIFT &&
           tm_os_map_at(address, bytes);
}

/* An aligned place for a chunk of which `bytes` are mapped; NULL if there is none. */
static char *map_chunk(size_t bytes)
{
    /* The kernel maps downwards: the place below the last chunk is free more often than not. */
    char *place = tm_chunks == NULL ? NULL : (char *)tm_chunks - TM_CHUNK;
    if (map_at(place, bytes))
        return place;
    char *gap = tm_os_probe(2 * TM_CHUNK);
    if (gap != NULL) {
        place = (char *)tm_round_up((uintptr_t)gap, TM_CHUNK);
        if (map_at(place, bytes))
            return place;
    }
    /* Little address space is left to us (RLIMIT_AS): ask for no more than is needed, at aligned
     * places near where the kernel would put it. */
    place = tm_os_probe(bytes);
    if (place == NULL)
        return NULL;
    place = (char *)((uintptr_t)place & ~(TM_CHUNK - 1));
    for (int tries = 0; tries < 8 && place != NULL; tries++, place -= TM_CHUNK)
        if (map_at(place, bytes))
            return place;
    return NULL;
}

/* Maps arenas behind the head of a chunk that was unmapped; NULL if no such place is free. */
static struct tm_chunk *revive(unsigned count)
{
    struct tm_chunk **link = &bare_heads;
    for (int tries = 0; tries < 4 && *link != NULL; tries++, link = &(*link)->next) {
        struct tm_chunk *chunk = *link;
        if (tm_os_map_at((char *)chunk + TM_ARENA, count * TM_ARENA)) {
            *link = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

/* A place for a chunk with `count` arenas besides its head. */
static struct tm_chunk *place_chunk(unsigned count)
{
    struct tm_chunk *chunk = revive(count);
    if (chunk == NULL) {
        chunk = (struct tm_chunk *)map_chunk((count + 1) * TM_ARENA);
        if (chunk != NULL) {
            tm_os_guard(chunk->guard, sizeof chunk->guard, false);
            tm_os_guard((char *)chunk + TM_ARENA - tm_os_page(), tm_os_page(), false);
        }
    }
    return chunk;
}

/* A new chunk with `at_least` empty arenas. */
static struct tm_chunk *new_chunk(unsigned at_least)
{
    unsigned count = growth(at_least);
    if (count > TM_CHUNK_ARENAS - 1)
        count = TM_CHUNK_ARENAS - 1;
    struct tm_chunk *chunk = place_chunk(count);
    if (chunk == NULL && count > at_least) {
        count = at_least;
        chunk = place_chunk(count);
    }
    if (chunk == NULL)
        return NULL;
    chunk->arenas = count + 1;
    chunk->empty = all_arenas(chunk);
    chunk->next = tm_chunks;
    chunk->previous = NULL;
    if (tm_chunks != NULL)
        tm_chunks->previous = chunk;
    growing = chunk;
    atomic_store_explicit(&tm_chunk_valid[(uintptr_t)chunk >> TM_CHUNK_SHIFT], 1,
                          memory_order_release);
    /* A walk in a frozen copy of the process finds it whole, or not at all. */
    __atomic_store_n(&tm_chunks, chunk, __ATOMIC_RELEASE);
    atomic_fetch_add_explicit(&tm_chunk_mapped_bytes, (count + 1) * TM_ARENA, memory_order_relaxed);
    reindex(chunk);
    return chunk;
}

/* So many attempts to unmap are skipped, as the last one was refused. */
static unsigned fruitless;

/* An all-empty chunk. False: the kernel refuses (the mapping limit), and all is as before, but for
 * pages that it purged. */
static bool unmap_chunk(struct tm_chunk *chunk)
{
    enum { SKIPS = 1024 };
    if (fruitless > 0 && --fruitless > 0)
        return false;
    unsigned arenas = chunk->arenas;
    /* Before the kernel can put others' mappings there. */
    chunk->arenas = 0;
    if (!tm_os_unmap((char *)chunk + TM_ARENA, (arenas - 1) * TM_ARENA)) {
        chunk->arenas = arenas;
        fruitless = SKIPS;
        return false;
    }
    for (unsigned i = 1; i < arenas; i++)
        tm_cache_drop(&chunk->arena[i], chunk->arena[i].dirty);
    tm_bucket_remove(&chunk_index, chunk->bucket, &chunk->index);
    chunk->empty = 0;
    chunk->all_empty = false;
    all_empty_chunks--;
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
    if (chunk->previous != NULL)
        chunk->previous->next = chunk->next;
    else
        tm_chunks = chunk->next;
    if (growing == chunk)
        growing = NULL;
    atomic_fetch_sub_explicit(&tm_chunk_mapped_bytes, arenas * TM_ARENA, memory_order_relaxed);
    void *cells = (void *)atomic_exchange_explicit(&chunk->cells, NULL, memory_order_relaxed);
    if (cells != NULL)
        tm_os_unmap(cells, TM_CHUNK_CELLS_BYTES);
    /* If the kernel refuses to purge the head, what it says of arenas and pools must be gone all
     * the same. */
    char *head = (char *)chunk + sizeof chunk->guard;
    if (!tm_os_purge(head, TM_ARENA - sizeof chunk->guard))
        memset(head, 0, sizeof *chunk - sizeof chunk->guard);
    chunk->next = bare_heads;
    bare_heads = chunk;
    return true;
}

bool tm_chunk_unmap_empty(void)
{
    bool any = false;
    for (struct tm_chunk *chunk = tm_chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        if (chunk->all_empty) {
            /* One at the edge of a mapping may go where one in its middle may not. */
            fruitless = 0;
            any |= unmap_chunk(chunk);
        }
    }
    return any;
}

const struct tm_chunk *tm_chunk_bare_heads(void)
{
    return bare_heads;
}

static void take(struct tm_arena *first, unsigned count)
{
    struct tm_chunk *chunk = tm_chunk_of(first);
    chunk->empty &= ~tm_mask64(tm_arena_number(first), count);
    reindex(chunk);
}

struct tm_arena *tm_chunk_take_arena(void)
{
    struct tm_arena *arena = tm_cache_warm_arena();
    if (arena == NULL) {
        struct tm_link *link = tm_bucket_first(&chunk_index, ~UINT64_C(0));
        struct tm_chunk *chunk;
        if (link != NULL)
            chunk = tm_chunk_of(link);
        else if (growing != NULL && grow(growing, 1))
            chunk = growing;
        else
            chunk = new_chunk(1);
        if (chunk == NULL)
            return NULL;
        arena = &chunk->arena[__builtin_ctzll(chunk->empty)];
    }
    take(arena, 1);
    return arena;
}

/* Number of the first of `count` neighbouring ones of `mask` at a multiple of `step`; -1 if there
 * is none. */
static int find_run(uint64_t mask, unsigned count, unsigned step)
{
    for (unsigned i = 0; i + count <= 64; i += step) {
        uint64_t run = tm_mask64(i, count);
        if ((mask & run) == run)
            return (int)i;
    }
    return -1;
}

struct tm_arena *tm_chunk_take_arenas(unsigned count, size_t alignment)
{
    unsigned step = alignment <= TM_ARENA ? 1 : (unsigned)(alignment >> TM_ARENA_SHIFT);
    /* The fullest first; of very many chunks with holes only some are looked at. */
    int looks = 64;
    for (unsigned bucket = count; bucket < 64 && looks > 0; bucket++) {
        struct tm_link *head = &chunk_index.heads[bucket];
        if (tm_list_empty(head))
            continue;
        for (struct tm_link *link = head->next; link != head && looks > 0;
             link = link->next, looks--) {
            struct tm_chunk *chunk = tm_chunk_of(link);
            int first = find_run(chunk->empty, count, step);
            if (first >= 0) {
                take(&chunk->arena[first], count);
                return &chunk->arena[first];
            }
        }
    }
    unsigned at_least = count + step - 1;
    if (at_least > TM_CHUNK_ARENAS - 1)
        return NULL;
    struct tm_chunk *chunk = growing;
    if (chunk == NULL || !grow(chunk, at_least))
        chunk = new_chunk(at_least);
    int first = chunk == NULL ? -1 : find_run(chunk->empty, count, step);
    if (first < 0)
        return NULL;
    take(&chunk->arena[first], count);
    return &chunk->arena[first];
}

bool tm_chunk_take_next(struct tm_arena *arena, unsigned count)
{
    struct tm_chunk *chunk = tm_chunk_of(arena);
    unsigned first = tm_arena_number(arena) + 1;
    if (first + count > TM_CHUNK_ARENAS)
        return false;
    unsigned mapped = chunk->arenas - first;
    if (mapped < count) {
        uint64_t behind = mapped == 0 ? 0 : tm_mask64(first, mapped);
        if ((chunk->empty & behind) != behind || !grow(chunk, count - mapped))
            return false;
    }
    uint64_t run = tm_mask64(first, count);
    if ((chunk->empty & run) != run)
        return false;
    take(arena + 1, count);
    return true;
}

static unsigned dirty_pages(const struct tm_chunk *chunk)
{
    unsigned pages = 0;
    for (unsigned i = 1; i < chunk->arenas; i++)
        pages += (unsigned)__builtin_popcountll(chunk->arena[i].dirty);
    return pages;
}

void tm_chunk_give_arena(struct tm_arena *arena)
{
    struct tm_chunk *chunk = tm_chunk_of(arena);
    arena->kind = TM_ARENA_EMPTY;
    chunk->empty |= UINT64_C(1) << tm_arena_number(arena);
    reindex(chunk);
    /* One that has cached pages stays while these may. */
    if (chunk->all_empty && all_empty_chunks > 1 && dirty_pages(chunk) == 0)
        unmap_chunk(chunk);
}

unsigned tm_chunk_unmap_surplus(struct tm_arena *arena)
{
    struct tm_chunk *chunk = tm_chunk_of(arena);
    if (!chunk->all_empty || all_empty_chunks == 1)
        return 0;
    unsigned pages = dirty_pages(chunk);
    return unmap_chunk(chunk) ? pages : 0;
}

void tm_chunk_hide_arena(struct tm_arena *arena)
{
    take(arena, 1);
}
