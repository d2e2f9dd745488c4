/* sites.h: whether call sites are recorded, and how; the door of the rooms that do it. */
#ifndef TIDEMARK_RECORD_SITES_H
#define TIDEMARK_RECORD_SITES_H

#include "profiler/record/record.h"

/* Once, at start, before there is a second thread. */
void tm_sites_start(const struct tm_record_settings *settings);

/* enum tm_snapshot_sites. Async-signal-safe; each thread follows at its next slow path. */
void tm_sites_switch(uint32_t sites);

#endif
