/* plan_sets.h: sets of groups with the bytes that come back when all of a set are fixed; for
 * analyse_plan.c only. Equal sets are one, found by a hash that is a sum over the members, so that
 * all subsets of a small set are looked up quickly.
 */
#ifndef TIDEMARK_REPORT_PLAN_SETS_H
#define TIDEMARK_REPORT_PLAN_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_plan_set {
    const uint32_t *members; /* ascending; the caller's */
    uint32_t count;
    double bytes;
};

struct tm_plan_sets {
    struct tm_plan_set *sets;
    size_t count;
    uint64_t *table; /* open addressing: index in sets, plus 1; above it the hash's upper half */
    size_t table_size;
};

/* Room for `most` sets. False when memory runs out. */
bool tm_plan_sets_open(struct tm_plan_sets *sets, size_t most);
void tm_plan_sets_close(struct tm_plan_sets *sets);
void tm_plan_sets_clear(struct tm_plan_sets *sets);

/* Adds bytes to the set of these members, which ascend and stay where they are. */
void tm_plan_sets_add(struct tm_plan_sets *sets, const uint32_t *members, uint32_t count,
                      double bytes);

/* Bytes of all sets that are subsets of this one, itself included. count: up to 8. */
double tm_plan_sets_within(const struct tm_plan_sets *sets, const uint32_t *members,
                           uint32_t count);

#endif
