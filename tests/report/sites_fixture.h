/* sites_fixture.h: synthetic snapshots with call sites, small enough to be computed by hand: what
 * each site is charged and what comes back without it stands in sites_fixture.c. A test takes the
 * parts, changes what it wants to, and makes a file of them. Addresses of code are those of
 * fake_symbols.c.
 */
#ifndef TIDEMARK_TESTS_SITES_FIXTURE_H
#define TIDEMARK_TESTS_SITES_FIXTURE_H

#include "tests/report/snapshot_fixture.h"

#include <stdbool.h>

struct sites_parts {
    struct tm_snapshot_process process;
    struct tm_snapshot_class classes[3];
    struct tm_snapshot_pool pools[8];
    size_t pool_count;
    struct tm_snapshot_page pages[32];
    size_t page_count;
    struct tm_snapshot_span spans[1];
    struct tm_snapshot_metadata metadata[3];
    bool has_recording;
    struct tm_snapshot_recording recording;
    struct tm_snapshot_frame frames[24];
    size_t frame_count;
    struct tm_snapshot_site sites[8];
    size_t site_count;
    struct tm_snapshot_held held[32];
    size_t held_count;
    struct tm_snapshot_set sets[32];
    size_t set_count;
    uint32_t members[64];
    size_t member_count;
    const char *exe;
};

/* Everything was recorded: sites=all. */
struct sites_parts sites_hand_made(void);

/* The same heap and more of it, of which a page in some pools was chosen: sites=sample. */
struct sites_parts sites_sampled(void);

void fixture_sites(struct fixture *fixture, const struct sites_parts *parts);

/* A pool in the arena of the parts, behind the others, of four pages with so many live blocks
 * each. */
void sites_add_pool(struct sites_parts *parts, uint16_t size_class, uint16_t identity,
                    const uint16_t live[4]);

/* A random heap with so many sites, HELD and SETS that fit each other, and sets of up to so many
 * members. The same seed gives the same bytes. */
void fixture_random_sites(struct fixture *fixture, uint64_t seed, uint32_t sites, uint32_t sets,
                          uint32_t members);

#endif
