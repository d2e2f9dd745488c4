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
    tm_os_guard(first_page(address) - page, page);
    tm_os_guard(end_page(address, size), page);
    memset(address + size, CANARY, (size_t)(end_page(address, size) - (address + size)));
    if (tm_large_add(address, size, (size_t)(address - base)))
        return address;
    tm_os_unmap(base, bytes);
    return NULL;
}

/* Lets a mapping wait. Returns one that has waited long enough, which may be this one; base NULL:
 * none has. */
static struct mapping wait_for_its_end(struct mapping mapping)
{
    tm_lock(&tm_guarded_lock);
    struct mapping out = {NULL, 0};
    if (mapping.bytes > WAITING_BYTES / 4) {
        out = mapping;
    } else {
        out = waiting[oldest];
        waiting[oldest] = mapping;
        oldest = (oldest + 1) % WAITING;
        waiting_bytes += mapping.bytes - out.bytes;
    }
    for (unsigned place = oldest; out.base == NULL && waiting_bytes > WAITING_BYTES;
         place = (place + 1) % WAITING) {
        out = waiting[place];
        waiting_bytes -= out.bytes;
        waiting[place] = (struct mapping){NULL, 0};
    }
    tm_unlock(&tm_guarded_lock);
    return out;
}

bool tm_guarded_give(void *address)
{
    size_t size, before;
    if (!tm_large_remove(address, &size, &before))
        return false;
    char *start = address, *end = end_page(start, size);
    if (!tm_is_filled(start + size, (size_t)(end - start) - size, (char)CANARY))
        tm_misuse_overrun("free", address, size);
    if (!tm_is_filled(first_page(start), (size_t)(start - first_page(start)), 0))
        tm_misuse_underrun("free", address, size);
    struct mapping mapping = {start - before, (size_t)(end + tm_os_page() - (start - before))};
    /* Unreadable, and its pages gone; where that is refused its addresses go at once. */
    if (tm_os_guard(mapping.base, mapping.bytes))
        mapping = wait_for_its_end(mapping);
    if (mapping.base != NULL)
        tm_os_unmap(mapping.base, mapping.bytes);
    return true;
}

bool tm_guarded_flush(void)
{
    bool any = false;
    for (unsigned place = 0; place < WAITING; place++) {
        tm_lock(&tm_guarded_lock);
        struct mapping out = waiting[place];
        waiting[place] = (struct mapping){NULL, 0};
        waiting_bytes -= out.bytes;
        tm_unlock(&tm_guarded_lock);
        if (out.base != NULL)
            any = tm_os_unmap(out.base, out.bytes) || any;
    }
    return any;
}
