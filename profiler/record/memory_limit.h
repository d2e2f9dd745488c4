/* memory_limit.h: how much memory the process may use before the kernel ends it. */
#ifndef TIDEMARK_RECORD_MEMORY_LIMIT_H
#define TIDEMARK_RECORD_MEMORY_LIMIT_H

#include <stdint.h>

/* The smallest memory limit, in bytes, of the control groups that the process is in and of their
 * ancestors, as far as its mounts show them; the machine's RAM where that is smaller. 0: not known.
 * Static memory: for the start, before there is a second thread. */
uint64_t tm_memory_limit(void);

#endif
