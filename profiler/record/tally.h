/* tally.h: records that are found again by a key: a spool with an index. One user at a time. */
#ifndef TIDEMARK_RECORD_TALLY_H
#define TIDEMARK_RECORD_TALLY_H

#include "profiler/record/spool.h"

#include <stdbool.h>
#include <stdint.h>

struct tm_tally {
    struct tm_spool records;
    struct tm_spool index; /* open addressing: key, and 1 + number of its record; 0: empty */
    uint64_t slots;        /* of the index, a power of two; 0: none yet */
    uint64_t count;        /* records */
};

/* The record with that key for which is(record, context) holds, if `is` is given; else `fresh`,
 * which is added, of `bytes` bytes (always the same). It stays where it is until the next call.
 * NULL: no memory. */
void *tm_tally_find(struct tm_tally *tally, uint64_t key,
                    bool (*is)(const void *record, const void *context), const void *context,
                    const void *fresh, size_t bytes);
void tm_tally_free(struct tm_tally *tally);

#endif
