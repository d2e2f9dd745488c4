/* snapshot_fixture.h: synthetic snapshots for the tests of the reader and the report. A fixture is
 * a file in memory, built section by section; a test may put in anything, right or wrong. Running
 * out of memory aborts.
 */
#ifndef TIDEMARK_TESTS_SNAPSHOT_FIXTURE_H
#define TIDEMARK_TESTS_SNAPSHOT_FIXTURE_H

#include "allocator/census.h"
#include "profiler/format/snapshot.h"

#include <stddef.h>

struct fixture {
    unsigned char *bytes;
    size_t size;
    size_t room;
    uint32_t sections;
};

/* Starts a file with a header of the current version. */
void fixture_start(struct fixture *fixture, uint32_t flags);
/* Adds raw bytes, or a section with its padding. */
void fixture_raw(struct fixture *fixture, const void *bytes, size_t count);
void fixture_section(struct fixture *fixture, uint32_t tag, uint32_t record_bytes,
                     const void *payload, size_t bytes);
/* Adds END with the right checksum and number of sections. */
void fixture_end(struct fixture *fixture);
void fixture_free(struct fixture *fixture);

#define FIXTURE_ARRAY(fixture, tag, array)                                                         \
    fixture_section(fixture, tag, sizeof(array)[0], array, sizeof(array))
#define FIXTURE_TEXT(fixture, tag, text) fixture_section(fixture, tag, 1, text, strlen(text))

/* A process record that a real one could be, with 1,500,000 bytes of RSS. */
struct tm_snapshot_process fixture_process(void);

/* A whole snapshot with every section, small enough to be computed by hand: the figures are in the
 * comments of snapshot_fixture.c and asserted by the tests. */
void fixture_hand_made(struct fixture *fixture);

/* The same with hostile bytes in every name: terminal escapes, broken UTF-8, quotes. */
void fixture_hostile(struct fixture *fixture);

/* A snapshot with a random heap of `arenas` arenas; the same seed gives the same bytes. */
void fixture_random(struct fixture *fixture, uint64_t seed, size_t arenas);

/* Next number of a small generator (splitmix64). */
uint64_t fixture_next(uint64_t *state);

#endif
