/* alloc_shadow.c: see alloc_shadow.h. Live blocks are kept in the order of their addresses, so that
 * a new one has only two neighbours that it could overlap. Of large blocks the ends are written and
 * read whole, between them a few bytes of each page.
 */
#include "tests/fuzz/alloc_shadow.h"

#include "allocator/census.h"
#include "allocator/hooks.h"
#include "allocator/tidemark_alloc.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum {
    WHOLE = 16 * 1024,  /* bytes of blocks that are written and read whole */
    END = 4096,         /* of others, bytes at each end */
    STRIDE = 32 * 1024, /* and so far apart some between */
    SOME = 16,
    RECORDS = 1 << 16,
};

struct shadow_block shadow_slots[SHADOW_SLOTS];
size_t shadow_live_bytes;

static uint16_t by_address[SHADOW_SLOTS];
static size_t live_count;

/* The first place in by_address of a block that does not lie before the address. */
static size_t place_of(const unsigned char *address)
{
    size_t low = 0;
    size_t high = live_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shadow_slots[by_address[middle]].block < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void fill(unsigned char *block, unsigned char value, size_t size)
{
    if (size <= WHOLE) {
        memset(block, value, size);
        return;
    }
    memset(block, value, END);
    memset(block + size - END, value, END);
    for (size_t at = END; at + SOME <= size; at += STRIDE)
        memset(block + at, value, SOME);
}

static bool all(const unsigned char *bytes, unsigned char value, size_t size)
{
    return size == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* written: how large the block was when it was filled. */
static bool is_filled(const unsigned char *block, unsigned char value, size_t size, size_t written)
{
    if (written <= WHOLE)
        return all(block, value, size);
    bool good = all(block, value, size < END ? size : END);
    for (size_t at = END; at + SOME <= size; at += STRIDE)
        good = good && all(block + at, value, SOME);
    return good && (size < written || all(block + size - END, value, END));
}

void shadow_take(unsigned slot, void *block, size_t size, size_t alignment)
{
    static unsigned char fills;
    struct shadow_block *entry = &shadow_slots[slot];
    size_t usable = tm_usable_size(block);
    fuzz_promise((uintptr_t)block % (alignment < 16 ? 16 : alignment) == 0,
                 "a block is aligned as it was asked for");
    fuzz_promise(usable >= size, "a block is as large as it was asked for");
    size_t place = place_of(block);
    fuzz_promise(place == live_count ||
                     shadow_slots[by_address[place]].block >= (unsigned char *)block + usable,
                 "a block ends before the next live one");
    if (place > 0) {
        const struct shadow_block *before = &shadow_slots[by_address[place - 1]];
        fuzz_promise(before->block + before->usable <= (unsigned char *)block,
                     "a block starts behind the live one before it");
    }
    memmove(by_address + place + 1, by_address + place, (live_count - place) * sizeof *by_address);
    by_address[place] = (uint16_t)slot;
    live_count++;
    shadow_live_bytes += usable;
    *entry = (struct shadow_block){block, size, usable, ++fills};
    fill(block, entry->fill, usable);
}

void shadow_check(unsigned slot)
{
    const struct shadow_block *entry = &shadow_slots[slot];
    fuzz_promise(tm_usable_size(entry->block) == entry->usable,
                 "a block's usable size stays what it is");
    fuzz_promise(is_filled(entry->block, entry->fill, entry->usable, entry->usable),
                 "a block's contents stay what they are");
}

void shadow_check_moved(unsigned slot, const void *block, size_t kept)
{
    const struct shadow_block *entry = &shadow_slots[slot];
    fuzz_promise(is_filled(block, entry->fill, kept, entry->usable), "realloc keeps the contents");
}

void shadow_drop(unsigned slot)
{
    struct shadow_block *entry = &shadow_slots[slot];
    size_t place = place_of(entry->block);
    live_count--;
    memmove(by_address + place, by_address + place + 1, (live_count - place) * sizeof *by_address);
    shadow_live_bytes -= entry->usable;
    entry->block = NULL;
}

void shadow_check_zero(const void *block, size_t size)
{
    const unsigned char *bytes = block;
    bool zero = all(bytes, 0, size <= 4 * WHOLE ? size : 4 * WHOLE);
    for (size_t at = 4 * WHOLE; at + SOME <= size; at += STRIDE / 16)
        zero = zero && all(bytes + at, 0, SOME);
    if (size > SOME)
        zero = zero && all(bytes + size - SOME, 0, SOME);
    fuzz_promise(zero, "calloc gives zeros");
}

static void count_pool(const struct tm_census_pool *pool, void *context)
{
    *(uint64_t *)context += pool->live;
}

static void count_span(const struct tm_census_span *span, void *context)
{
    *(uint64_t *)context += span->kind != TM_CENSUS_SPAN_CACHED;
}

void shadow_check_census(void)
{
    uint64_t counted = 0;
    struct tm_census_visitor visitor = {.pool = count_pool, .span = count_span};
    fuzz_promise(tm_census_walk(&visitor, &counted) == 0, "the census meets no contradiction");
    if (counted != live_count)
        fprintf(stderr, "the census counts %llu blocks, %zu are live\n",
                (unsigned long long)counted, live_count);
    fuzz_promise(counted == live_count, "the census counts the live blocks");
}

/* ---- the recorder ---- */

static struct {
    const void *block; /* NULL: over */
    size_t usable;
} records[RECORDS];
static size_t record_count, records_open;
unsigned long shadow_told;

/* Some records are counted, some are names only, and of some there is nothing to say. */
static uint64_t record(const void *block, size_t requested, size_t usable, unsigned why,
                       const struct tm_caller *caller)
{
    (void)caller;
    fuzz_promise(why != 0, "there is a reason why the recorder is told");
    fuzz_promise(usable >= requested, "the recorder is told the usable size");
    shadow_told++;
    if (record_count == RECORDS || shadow_told % 8 == 7)
        return shadow_told % 16 == 7 ? 0 : shadow_told;
    records[record_count].block = block;
    records[record_count].usable = usable;
    records_open++;
    return TM_CELL_COUNTED | record_count++;
}

static uint64_t name(const struct tm_caller *caller)
{
    (void)caller;
    return 5;
}

static void forget(const void *block, size_t usable, uint64_t cell)
{
    uint64_t number = cell & ~TM_CELL_COUNTED;
    fuzz_promise((cell & TM_CELL_COUNTED) != 0, "only a counted record is told to be over");
    fuzz_promise(number < record_count && records[number].block != NULL,
                 "a record is told to be over once");
    fuzz_promise(records[number].block == block, "a record is over with its block");
    fuzz_promise(records[number].usable == usable, "a record is over with its size");
    records[number].block = NULL;
    records_open--;
}

void shadow_record_start(void)
{
    atomic_store(&tm_hook_record, record);
    atomic_store(&tm_hook_name, name);
    atomic_store(&tm_hook_forget, forget);
}

void shadow_record_end(bool lost)
{
    fuzz_promise(records_open == 0 || lost, "every counted record is told to be over");
    records_open = 0;
    record_count = 0;
}
