/* forked.h: the child of a fork from several threads: what glibc frees there a second time is no
 * misuse of the program's. Called by start.c.
 */
#ifndef TIDEMARK_PRELOAD_FORKED_H
#define TIDEMARK_PRELOAD_FORKED_H

/* Before the fork, under the allocator's locks. */
void tm_forked_prepare(void);
/* After it, in the child. */
void tm_forked_child(void);

#endif
