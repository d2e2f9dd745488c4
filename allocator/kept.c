/* kept.c: see kept.h. */
#include "allocator/kept.h"

#include <stdatomic.h>

#include "allocator/bounce.h"

struct tm_lock tm_kept_lock;
_Atomic uint64_t tm_kept_bytes;

enum { PLACES = 32 };

/* address 0: free. */
static struct kept {
    uintptr_t address;
    size_t bytes;
} kept[PLACES];

static struct tm_bounce bounce;

static void count(int64_t bytes)
{
    atomic_fetch_add_explicit(&tm_kept_bytes, (uint64_t)bytes, memory_order_relaxed);
}

static size_t held(void)
{
    return atomic_load_explicit(&tm_kept_bytes, memory_order_relaxed);
}

static struct kept *free_place(void)
{
    for (struct kept *place = kept; place < kept + PLACES; place++)
        if (place->address == 0)
            return place;
    return NULL;
}

static void *take(struct kept *place, size_t *have)
{
    void *address = (void *)place->address;
    *have = place->bytes;
    count(-(int64_t)place->bytes);
    *place = (struct kept){0};
    return address;
}

bool tm_kept_put(void *address, size_t bytes)
{
    tm_lock(&tm_kept_lock);
    tm_bounce_look(&bounce, held());
    struct kept *place = bytes + held() <= bounce.bonus ? free_place() : NULL;
    if (place != NULL) {
        *place = (struct kept){(uintptr_t)address, bytes};
        count((int64_t)bytes);
    } else {
        tm_bounce_gone(&bounce, bytes);
    }
    tm_unlock(&tm_kept_lock);
    return place != NULL;
}

/* a serves a request of `bytes` better than b: it is large enough and the smaller one of such, or
 * neither is and it is the larger one. */
static bool better(const struct kept *a, const struct kept *b, size_t bytes)
{
    if ((a->bytes >= bytes) != (b->bytes >= bytes))
        return a->bytes >= bytes;
    return a->bytes >= bytes ? a->bytes < b->bytes : a->bytes > b->bytes;
}

void *tm_kept_take(size_t bytes, size_t *have)
{
    tm_lock(&tm_kept_lock);
    struct kept *best = NULL;
    for (struct kept *place = kept; place < kept + PLACES; place++)
        if (place->address != 0 && (best == NULL || better(place, best, bytes)))
            best = place;
    void *address = NULL;
    if (best != NULL)
        address = take(best, have);
    else
        tm_bounce_back(&bounce, bytes);
    tm_bounce_look(&bounce, held());
    tm_unlock(&tm_kept_lock);
    return address;
}

void *tm_kept_expired(bool all, size_t *have)
{
    void *address = NULL;
    tm_lock(&tm_kept_lock);
    tm_bounce_look(&bounce, held());
    if (all || held() > bounce.bonus)
        for (struct kept *place = kept; place < kept + PLACES && address == NULL; place++)
            if (place->address != 0)
                address = take(place, have);
    tm_unlock(&tm_kept_lock);
    return address;
}

void tm_kept_each(void (*visit)(uintptr_t base, uint64_t bytes, void *context), void *context)
{
    for (const struct kept *place = kept; place < kept + PLACES; place++)
        if (place->address != 0)
            visit(place->address, place->bytes, context);
}
