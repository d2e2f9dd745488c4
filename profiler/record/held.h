/* held.h: which sites' survivors are where: the live blocks of each site, what free memory they
 * hold on their pages, and which sites share pages. Called while the heap is walked for a snapshot,
 * in the copy of the process; the sums are kept by site, size class and group, so that the file
 * does not grow with the blocks.
 */
#ifndef TIDEMARK_RECORD_HELD_H
#define TIDEMARK_RECORD_HELD_H

#include "allocator/census.h"

#include <stdbool.h>
#include <stdint.h>

/* Before the walk. False: nothing is recorded, and the others are not to be called. */
bool tm_held_start(void);
/* resident: bit i: page i of the pool is. first_page: index in PAGES of its page 0; TM_NO_PAGES. */
void tm_held_pool(const struct tm_census_pool *pool, uint16_t resident, uint32_t first_page);
void tm_held_span(const struct tm_census_span *span, uint64_t resident_bytes);
/* The first error, or 0. */
int tm_held_error(void);
/* Writes RECORDING, FRAMES, SITES, HELD, SETS, MEMBERS and PAGE_SETS, and frees what was gathered.
 * memory_bytes: of the recorder's tables, resident. */
void tm_held_write(uint64_t memory_bytes);
void tm_held_free(void);

#endif
