/* site_sums.h: the live blocks of each site, summed up while the heap is walked, and the section
 * SITES.
 */
#ifndef TIDEMARK_RECORD_SITE_SUMS_H
#define TIDEMARK_RECORD_SITE_SUMS_H

#include "profiler/format/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

/* recording stays the caller's, and is read until the section is written. False: no memory. */
bool tm_site_sums_start(const struct tm_snapshot_recording *recording);
/* A live block with a counted cell. */
void tm_site_sums_block(uint64_t cell, size_t usable);
void tm_site_sums_span(uint64_t cell, size_t usable, uint64_t resident_bytes);
void tm_site_sums_write(void);
void tm_site_sums_free(void);

#endif
