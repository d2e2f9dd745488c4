/* maps.h: the process's mappings as records of the snapshot file. */
#ifndef TIDEMARK_RECORD_MAPS_H
#define TIDEMARK_RECORD_MAPS_H

#include "profiler/record/spool.h"

/* Reads /proc/PID/smaps (pid 0: /proc/self; that also where the other is refused) into records of
 * struct tm_snapshot_map and strings for the STRINGS section. 0, or an errno; what was read until
 * then stays. */
int tm_maps_read(int pid, struct tm_spool *records, struct tm_spool *strings);

#endif
