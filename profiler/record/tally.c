/* tally.c: see tally.h. */
#include "profiler/record/tally.h"

struct slot {
    uint64_t key, number;
};

static struct slot *slots_of(struct tm_tally *tally)
{
    return (struct slot *)(void *)tally->index.base;
}

static struct slot *empty_slot(struct tm_tally *tally, uint64_t key)
{
    uint64_t at = key * UINT64_C(0xd1342543de82ef95) >> 20;
    while (slots_of(tally)[at & (tally->slots - 1)].number != 0)
        at++;
    return &slots_of(tally)[at & (tally->slots - 1)];
}

/* Makes room for one more: the index is at most half full. */
static bool reserve(struct tm_tally *tally)
{
    enum { FIRST = 4096 };
    if (tally->count * 2 < tally->slots)
        return true;
    struct tm_spool old = tally->index;
    uint64_t old_slots = tally->slots, slots = old_slots == 0 ? FIRST : old_slots * 2;
    tally->index = (struct tm_spool){NULL, 0, 0, 0};
    static const struct slot nothing;
    for (uint64_t i = 0; i < slots; i++)
        tm_spool_add(&tally->index, &nothing, sizeof nothing);
    if (tally->index.error != 0) {
        tally->records.error = tally->index.error;
        tm_spool_free(&tally->index);
        tally->index = old;
        return false;
    }
    tally->slots = slots;
    const struct slot *from = (const struct slot *)(const void *)old.base;
    for (uint64_t i = 0; i < old_slots; i++)
        if (from[i].number != 0)
            *empty_slot(tally, from[i].key) = from[i];
    tm_spool_free(&old);
    return true;
}

void *tm_tally_find(struct tm_tally *tally, uint64_t key,
                    bool (*is)(const void *record, const void *context), const void *context,
                    const void *fresh, size_t bytes)
{
    if (tally->records.error != 0 || !reserve(tally))
        return NULL;
    uint64_t at = key * UINT64_C(0xd1342543de82ef95) >> 20;
    for (;; at++) {
        struct slot *slot = &slots_of(tally)[at & (tally->slots - 1)];
        if (slot->number == 0) {
            tm_spool_add(&tally->records, fresh, bytes);
            if (tally->records.error != 0)
                return NULL;
            *slot = (struct slot){key, ++tally->count};
        } else if (slot->key != key ||
                   (is != NULL && !is(tally->records.base + (slot->number - 1) * bytes, context))) {
            continue;
        }
        return tally->records.base + (slot->number - 1) * bytes;
    }
}

void tm_tally_free(struct tm_tally *tally)
{
    tm_spool_free(&tally->records);
    tm_spool_free(&tally->index);
    tally->slots = tally->count = 0;
}
