/* snapshot_read_sites.h: the reader's check of what a snapshot tells of call sites; for
 * snapshot_read.c only.
 */
#ifndef TIDEMARK_REPORT_SNAPSHOT_READ_SITES_H
#define TIDEMARK_REPORT_SNAPSHOT_READ_SITES_H

#include "profiler/report/snapshot_read.h"

/* True if RECORDING, FRAMES, SITES, HELD, SETS, MEMBERS and PAGE_SETS hold only what a report may
 * rely on: references in range, numbers that ascend, bytes that a process can have. Else false,
 * with what is wrong in words, without a path and a full stop. */
bool tm_snapshot_sites_sound(const struct tm_snapshot_file *file, char *words, size_t size);

#endif
