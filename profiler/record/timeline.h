/* timeline.h: the allocator's counters over time, in memory of a fixed size, kept by whoever
 * happens to be on a slow path. */
#ifndef TIDEMARK_RECORD_TIMELINE_H
#define TIDEMARK_RECORD_TIMELINE_H

#include "profiler/format/snapshot.h"

#include <stddef.h>
#include <stdint.h>

enum { TM_TIMELINE_MOMENTS = 1024 };

/* Starts the clock and, if interval_ns is not 0, listens to the allocator. */
void tm_timeline_start(uint64_t interval_ns);
void tm_timeline_fork_child(void);

/* Nanoseconds since tm_timeline_start. */
uint64_t tm_timeline_now_ns(void);

/* Copies the moments, oldest first, to where there is room for TM_TIMELINE_MOMENTS + 1, the last
 * being now. Returns how many. Safe in a copy of the process frozen at any instruction; in the live
 * process one moment may be torn. */
size_t tm_timeline_copy(struct tm_snapshot_moment *to);

/* The static memory of the moments, whole pages of which only those in use are touched. */
const void *tm_timeline_place(size_t *bytes);

#endif
