/* threshold.h: a snapshot when the process's RSS gets to a limit (at=), so that there is one before
 * the kernel ends the process. */
#ifndef TIDEMARK_RECORD_THRESHOLD_H
#define TIDEMARK_RECORD_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

/* Once, at start, after tm_timeline_start and before there is a second thread. at_bytes 0: does
 * nothing. */
void tm_threshold_start(uint64_t at_bytes);

/* In the child of a fork, whose RSS stands on the same side of the limit as its parent's. watch:
 * false: the child takes no snapshots of its own accord. */
void tm_threshold_fork_child(bool watch);

#endif
