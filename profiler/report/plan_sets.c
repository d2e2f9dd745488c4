/* plan_sets.c: see plan_sets.h. */
#include "profiler/report/plan_sets.h"

#include <stdlib.h>
#include <string.h>

static uint64_t code_of(uint32_t member)
{
    uint64_t z = (member + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool tm_plan_sets_open(struct tm_plan_sets *sets, size_t most)
{
    *sets = (struct tm_plan_sets){.table_size = 16};
    while (sets->table_size < most * 2)
        sets->table_size *= 2;
    sets->sets = calloc(most + 1, sizeof *sets->sets);
    sets->table = calloc(sets->table_size, sizeof *sets->table);
    return sets->sets && sets->table;
}

void tm_plan_sets_close(struct tm_plan_sets *sets)
{
    free(sets->sets);
    free(sets->table);
}

void tm_plan_sets_clear(struct tm_plan_sets *sets)
{
    memset(sets->table, 0, sets->table_size * sizeof *sets->table);
    sets->count = 0;
}

static const uint64_t upper_half = UINT64_C(0xffffffff00000000);

/* The set of a place in the table that is taken. */
static struct tm_plan_set *set_at(const struct tm_plan_sets *sets, size_t at)
{
    return &sets->sets[(uint32_t)sets->table[at] - 1];
}

/* Where the set is in the table, or would be. Others are told apart without a look at them. */
static size_t place_of(const struct tm_plan_sets *sets, uint64_t hash, const uint32_t *members,
                       uint32_t count)
{
    size_t at = hash & (sets->table_size - 1);
    for (; sets->table[at] != 0; at = (at + 1) & (sets->table_size - 1)) {
        if (((sets->table[at] ^ hash) & upper_half) != 0)
            continue;
        const struct tm_plan_set *set = set_at(sets, at);
        if (set->count == count && memcmp(set->members, members, count * sizeof *members) == 0)
            break;
    }
    return at;
}

void tm_plan_sets_add(struct tm_plan_sets *sets, const uint32_t *members, uint32_t count,
                      double bytes)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < count; i++)
        hash += code_of(members[i]);
    size_t at = place_of(sets, hash, members, count);
    if (sets->table[at] == 0) {
        sets->sets[sets->count++] = (struct tm_plan_set){members, count, 0};
        sets->table[at] = (hash & upper_half) | sets->count;
    }
    set_at(sets, at)->bytes += bytes;
}

double tm_plan_sets_within(const struct tm_plan_sets *sets, const uint32_t *members, uint32_t count)
{
    double bytes = 0;
    for (uint32_t chosen = 1; chosen < 1U << count; chosen++) {
        uint32_t subset[32];
        uint32_t used = 0;
        uint64_t hash = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (!(chosen >> i & 1))
                continue;
            subset[used++] = members[i];
            hash += code_of(members[i]);
        }
        size_t at = place_of(sets, hash, subset, used);
        if (sets->table[at] != 0)
            bytes += set_at(sets, at)->bytes;
    }
    return bytes;
}
