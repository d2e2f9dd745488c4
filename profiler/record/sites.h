/* sites.h: the sites that allocate, what each did since recording began, and whether that is
 * recorded. A site is a stack; its figures are kept here, in a table outside the heap, while which
 * of its blocks are live is known from the blocks' cells.
 */
#ifndef TIDEMARK_RECORD_SITES_H
#define TIDEMARK_RECORD_SITES_H

#include "profiler/format/snapshot.h"
#include "profiler/record/record.h"

#include <stddef.h>

enum { TM_SITES_MAX = 1 << 17 };

/* All of it is written with relaxed atomic operations by any thread. Sums of blocks are in units of
 * TM_BLOCK_UNITS. */
struct tm_site {
    uint32_t frame; /* the innermost of its stack (frames.h); 0: the site for what no other has room
                       for */
    uint32_t peak_turn; /* peak_* are those of this height of all (sites.c) */
    uint64_t allocated_blocks, allocated_bytes, allocated_requested;
    uint64_t ended_bytes;
    uint64_t ended_blocks[TM_LIFETIMES];
    uint64_t temporary_blocks;
    uint64_t peak_blocks, peak_bytes;
    double allocated_bytes_variance;
    uint32_t size_samples[TM_SIZE_STEPS];
};

/* Once, at start, before there is a second thread. */
void tm_sites_start(const struct tm_record_settings *settings);
/* Before main, once libraries can be loaded. */
void tm_sites_main(void);
/* enum tm_snapshot_sites. Async-signal-safe; each thread follows at its next slow path. */
void tm_sites_switch(uint32_t sites);
/* The calling thread may end. */
void tm_sites_thread_ends(void);
void tm_sites_fork_prepare(void);
void tm_sites_fork_parent(void);
/* children: the child goes on recording. */
void tm_sites_fork_child(bool children);

/* For the snapshot. The table, of which 1 to tm_sites_count() - 1 are sites; NULL: nothing was ever
 * recorded. */
const struct tm_site *tm_sites(void);
uint32_t tm_sites_count(void);
/* Blocks and bytes of a site when the live bytes of all were highest. */
void tm_site_peak(const struct tm_site *site, uint64_t *blocks, uint64_t *bytes);
/* What of the recording the sites tell; the rest of *out is left as it is. */
void tm_sites_describe(struct tm_snapshot_recording *out);
/* Address and bytes of what is mapped; 0 bytes: nothing. */
const void *tm_sites_place(size_t *bytes);

#endif
