/* large.c: see large.h. The table is open addressing with linear probing, doubled when half full;
 * it is small (an entry is a mapping of megabytes), so one lock does.
 */
#include "allocator/large.h"

#include <stdatomic.h>

#include "allocator/cache.h"
#include "allocator/hooks.h"
#include "allocator/kept.h"
#include "allocator/os.h"

struct tm_lock tm_large_lock;

struct entry {
    uintptr_t address; /* 0: never used; GRAVE: free, but the probing goes on */
    size_t bytes;      /* of the mapping, or of what a guarded one has for the program */
    size_t before;     /* what a guarded one has before that; 0: it is not guarded */
    uint64_t cell;     /* what the recorder says of it (cell.h) */
};
#define GRAVE ((uintptr_t)1)

static struct entry *table;
static size_t table_size; /* entries, a power of two; 0: no table yet */
static size_t table_used; /* entries that are not 0: live and graves */

static size_t slot_of(uintptr_t address)
{
    return (size_t)((address >> TM_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) >> 20) &
           (table_size - 1);
}

static struct entry *find(uintptr_t address)
{
    if (table_size == 0 || address <= GRAVE)
        return NULL;
    size_t slot = slot_of(address);
    for (size_t probes = 0; probes < table_size; probes++, slot = (slot + 1) & (table_size - 1)) {
        if (table[slot].address == address)
            return &table[slot];
        if (table[slot].address == 0)
            return NULL;
    }
    return NULL;
}

static struct entry *put(uintptr_t address, size_t bytes)
{
    size_t slot = slot_of(address);
    while (table[slot].address > GRAVE)
        slot = (slot + 1) & (table_size - 1);
    if (table[slot].address == 0)
        table_used++;
    table[slot].address = address;
    table[slot].bytes = bytes;
    table[slot].before = 0;
    table[slot].cell = 0;
    return &table[slot];
}

/* Resizes may have taken so many entries out to put them back, and found no memory for a larger
 * table. */
enum { AT_ONCE = 64 };

/* Makes sure that one more entry fits. */
static bool reserve(void)
{
    if ((table_used + 1) * 2 <= table_size)
        return true;
    struct entry *old = table;
    size_t old_size = table_size;
    size_t live = 0;
    for (size_t i = 0; i < old_size; i++)
        live += old[i].address > GRAVE;
    size_t size = 256;
    while (size < (live + 1) * 4)
        size *= 2;
    struct entry *fresh = tm_os_map_apart(size * sizeof *fresh);
    if (fresh == NULL)
        return table_used + AT_ONCE < table_size;
    table = fresh;
    /* A frozen copy of the process may see one without the other: the larger size must not come
     * first. */
    __atomic_store_n(&table_size, size, __ATOMIC_RELEASE);
    table_used = 0;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].address > GRAVE)
            *put(old[i].address, old[i].bytes) = old[i];
    if (old != NULL)
        tm_os_unmap_apart(old, old_size * sizeof *old);
    return true;
}

static void count(int64_t bytes)
{
    atomic_fetch_add_explicit(&tm_bytes_in_mappings, (uint64_t)bytes, memory_order_relaxed);
    if (bytes > 0)
        atomic_fetch_add_explicit(&tm_bytes_taken, (uint64_t)bytes, memory_order_relaxed);
    tm_hook_tick_fn *tick = atomic_load_explicit(&tm_hook_tick, memory_order_relaxed);
    if (tick != NULL)
        tick();
}

/* A mapping that was kept, brought to the size; NULL: there is none, or the kernel does not resize
 * it.
 */
static void *take_kept(size_t bytes)
{
    size_t have;
    void *address = tm_kept_take(bytes, &have);
    if (address == NULL || have == bytes)
        return address;
    /* The pages that it has are what it is kept for: growing brings in no more than the others. */
    void *fitting = tm_os_remap(address, have, bytes);
    if (fitting == NULL)
        tm_os_unmap(address, have);
    return fitting;
}

static bool give_kept_back(bool all)
{
    bool any = false;
    size_t bytes;
    for (void *address; (address = tm_kept_expired(all, &bytes)) != NULL; any = true)
        tm_os_unmap(address, bytes);
    return any;
}

bool tm_large_trim(void)
{
    return give_kept_back(true);
}

void tm_large_settle(void)
{
    give_kept_back(false);
}

void *tm_large_take(size_t bytes, size_t alignment, bool zero)
{
    size_t page = tm_os_page();
    if (bytes > PTRDIFF_MAX - page)
        return NULL;
    bytes = tm_round_up(bytes, page);
    void *address = zero || alignment > page ? NULL : take_kept(bytes);
    if (address == NULL)
        address = tm_os_map_aligned(bytes, alignment);
    if (address == NULL && tm_large_trim())
        address = tm_os_map_aligned(bytes, alignment);
    if (address == NULL)
        return NULL;
    tm_lock(&tm_large_lock);
    bool fits = reserve();
    if (fits)
        put((uintptr_t)address, bytes);
    tm_unlock(&tm_large_lock);
    if (!fits) {
        tm_os_unmap(address, bytes);
        return NULL;
    }
    count((int64_t)bytes);
    return address;
}

size_t tm_large_bytes_locked(const void *address)
{
    struct entry *entry = find((uintptr_t)address);
    return entry == NULL ? 0 : entry->bytes;
}

size_t tm_large_bytes(const void *address)
{
    tm_lock(&tm_large_lock);
    size_t bytes = tm_large_bytes_locked(address);
    tm_unlock(&tm_large_lock);
    return bytes;
}

uint64_t tm_large_swap_cell(const void *address, uint64_t cell)
{
    tm_lock(&tm_large_lock);
    struct entry *entry = find((uintptr_t)address);
    uint64_t old = entry == NULL ? 0 : entry->cell;
    if (entry != NULL)
        entry->cell = cell;
    tm_unlock(&tm_large_lock);
    return old;
}

/* Takes the entry out. The mapping is the caller's alone from then on. */
static size_t forget(const void *address)
{
    tm_lock(&tm_large_lock);
    struct entry *entry = find((uintptr_t)address);
    size_t bytes = 0;
    if (entry != NULL) {
        bytes = entry->bytes;
        entry->address = GRAVE;
        entry->bytes = 0;
    }
    tm_unlock(&tm_large_lock);
    return bytes;
}

bool tm_large_give(void *address)
{
    size_t bytes = forget(address);
    if (bytes == 0)
        return false;
    /* If the kernel refuses to unmap (the mapping limit), the pages are purged and the addresses
     * lost. */
    if (!tm_kept_put(address, bytes))
        tm_os_unmap(address, bytes);
    count(-(int64_t)bytes);
    return true;
}

bool tm_large_add(void *address, size_t bytes, size_t before)
{
    tm_lock(&tm_large_lock);
    bool fits = reserve();
    if (fits)
        put((uintptr_t)address, bytes)->before = before;
    tm_unlock(&tm_large_lock);
    if (fits)
        count((int64_t)bytes);
    return fits;
}

bool tm_large_remove(void *address, size_t *bytes, size_t *before)
{
    tm_lock(&tm_large_lock);
    struct entry *entry = find((uintptr_t)address);
    bool found = entry != NULL && entry->before != 0;
    if (found) {
        *bytes = entry->bytes;
        *before = entry->before;
        entry->address = GRAVE;
    }
    tm_unlock(&tm_large_lock);
    if (found)
        count(-(int64_t)*bytes);
    return found;
}

void *tm_large_resize(void *address, size_t bytes)
{
    size_t page = tm_os_page();
    if (bytes > PTRDIFF_MAX - page)
        return NULL;
    bytes = tm_round_up(bytes, page);
    /* Out of the table while it moves: its old address may be another's before the call is back. */
    size_t old = forget(address);
    if (old == 0)
        return NULL;
    void *moved = old == bytes ? address : tm_os_remap(address, old, bytes);
    if (moved == NULL && tm_large_trim())
        moved = tm_os_remap(address, old, bytes);
    tm_lock(&tm_large_lock);
    /* Its grave may be taken, but the table cannot be full: see AT_ONCE. */
    reserve();
    put((uintptr_t)(moved == NULL ? address : moved), moved == NULL ? old : bytes);
    tm_unlock(&tm_large_lock);
    if (moved != NULL)
        count((int64_t)bytes - (int64_t)old);
    return moved;
}

uintptr_t tm_large_around(uintptr_t address, size_t *bytes)
{
    /* Who is stopped for misuse may have the lock, or nobody gives it back any more. */
    if (!tm_lock_try(&tm_large_lock))
        return 0;
    uintptr_t found = 0;
    for (size_t i = 0; i < table_size && found == 0; i++)
        if (table[i].address > GRAVE && address - table[i].address < table[i].bytes) {
            found = table[i].address;
            *bytes = table[i].bytes;
        }
    tm_unlock(&tm_large_lock);
    return found;
}

void tm_large_each(tm_large_visit_fn *visit, void *context)
{
    struct entry *entries = table;
    size_t size = table_size;
    for (size_t i = 0; entries != NULL && i < size; i++)
        if (entries[i].address > GRAVE) {
            /* Whole pages: a guarded one begins and ends anywhere. */
            uintptr_t base = entries[i].address & ~(TM_PAGE - 1);
            visit(base, tm_round_up(entries[i].address - base + entries[i].bytes, TM_PAGE),
                  entries[i].cell, context);
        }
}

void tm_large_table(uintptr_t *base, uint64_t *bytes)
{
    *base = (uintptr_t)table;
    *bytes = tm_round_up(table_size * sizeof *table, tm_os_page()); /* as it is mapped */
}
