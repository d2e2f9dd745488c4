/* guarded.c: see guarded.h. Their addresses are in large.c's table, as those of all mappings. */
#include "allocator/guarded.h"

#include <string.h>

#include "allocator/large.h"
#include "allocator/layout.h"
#include "allocator/misuse.h"
#include "allocator/mix.h"
#include "allocator/os.h"

struct tm_lock tm_guarded_lock;

enum {
    WAITING = 256,
    CANARY = 0xa5, /* behind the span, where it does not end with its last page */
};
#define WAITING_BYTES ((size_t)1 << 30)

struct mapping {
    char *base; /* NULL: none */
    size_t bytes;
};

/* Freed mappings, oldest first from `oldest` on. */
static struct mapping waiting[WAITING];
static unsigned oldest;
static size_t waiting_bytes;

/* Where the span's pages begin and end. */
static char *first_page(const char *address)
{
    return (char *)((uintptr_t)address & ~(tm_os_page() - 1));
}

static char *end_page(const char *address, size_t size)
{
    return (char *)tm_round_up((uintptr_t)address + size, tm_os_page());
}

void *tm_guarded_take(size_t size, size_t alignment)
{
    size_t page = tm_os_page();
    if (alignment < 16)
        alignment = 16;
    size_t room = alignment > page ? alignment - page : 0;
    if (size > PTRDIFF_MAX - 3 * page || room > PTRDIFF_MAX - 3 * page - size)
        return NULL;
    size = size == 0 ? 1 : size;
    size_t data = tm_round_up(size, page);
    size_t bytes = page + data + room + page;
    char *base = tm_os_map(bytes);
    if (base == NULL)
        return NULL;
    /* As near to its last page's end as the alignment lets it. */
    char *address = (char *)(((uintptr_t)base + bytes - page - size) & ~(alignment - 1));
    /* What the alignment leaves over goes back. */
    char *start = first_page(address) - page, *end = end_page(address, size) + page;
    if (start > base)
        tm_os_unmap(base, (size_t)(start - base));
    if (base + bytes > end)
        tm_os_unmap(end, (size_t)(base + bytes - end));
    tm_os_guard(start, page, true);
    tm_os_guard(end - page, page, true);
    memset(address + size, CANARY, (size_t)(end - page - (address + size)));
    if (tm_large_add(address, size, (size_t)(address - start)))
        return address;
    tm_os_unmap(start, (size_t)(end - start));
    return NULL;
}

/* Takes the mapping out of a place. Under tm_guarded_lock. */
static struct mapping empty(struct mapping *place)
{
    struct mapping out = *place;
    *place = (struct mapping){NULL, 0};
    waiting_bytes -= out.bytes;
    return out;
}

/* Lets a mapping wait. Returns the one that has waited longest, if it has to go now. */
static struct mapping wait_for_its_end(struct mapping mapping)
{
    tm_lock(&tm_guarded_lock);
    struct mapping out = empty(&waiting[oldest]);
    waiting[oldest] = mapping;
    oldest = (oldest + 1) % WAITING;
    waiting_bytes += mapping.bytes;
    tm_unlock(&tm_guarded_lock);
    return out;
}

/* One of those that are too many, or any; base NULL: there is none. */
static struct mapping let_out(bool any)
{
    struct mapping out = {NULL, 0};
    tm_lock(&tm_guarded_lock);
    for (unsigned i = 0; i < WAITING && out.base == NULL; i++)
        if (waiting_bytes > (any ? 0 : WAITING_BYTES))
            out = empty(&waiting[(oldest + i) % WAITING]);
    tm_unlock(&tm_guarded_lock);
    return out;
}

void tm_guarded_check(const void *address)
{
    const char *start = address, *first = first_page(start);
    bool overrun = false, underrun = false;
    /* Under the lock: another thread that frees it, too, cannot have made it unreadable. */
    tm_lock(&tm_large_lock);
    size_t size = tm_large_bytes_locked(address);
    if (size != 0) {
        overrun = !tm_is_filled(start + size, (size_t)(end_page(start, size) - start) - size,
                                (char)CANARY);
        underrun = !tm_is_filled(first, (size_t)(start - first), 0);
    }
    tm_unlock(&tm_large_lock);
    if (overrun)
        tm_misuse_overrun("free", address, size);
    if (underrun)
        tm_misuse_underrun("free", address, size);
}

bool tm_guarded_give(void *address)
{
    size_t size, before;
    if (!tm_large_remove(address, &size, &before))
        return false;
    char *start = address, *end = end_page(start, size);
    struct mapping mapping = {start - before, (size_t)(end + tm_os_page() - (start - before))};
    /* Unreadable, and its pages gone; where that is refused its addresses go at once. */
    if (tm_os_guard(mapping.base, mapping.bytes, true))
        mapping = wait_for_its_end(mapping);
    for (; mapping.base != NULL; mapping = let_out(false))
        tm_os_unmap(mapping.base, mapping.bytes);
    return true;
}

bool tm_guarded_flush(void)
{
    bool any = false;
    for (struct mapping out; (out = let_out(true)).base != NULL; any = true)
        tm_os_unmap(out.base, out.bytes);
    return any;
}
