/* live.h: keeps the process's slot of the live page (profiler/format/live.h) up to date. */
#ifndef TIDEMARK_RECORD_LIVE_H
#define TIDEMARK_RECORD_LIVE_H

/* Once, at start, before there is a second thread and after the others that listen to the
 * allocator: makes the page and listens. Fails in silence. */
void tm_live_start(void);
/* The process ends of its own accord: its slot is free. */
void tm_live_exit(void);
void tm_live_fork_child(void);

#endif
