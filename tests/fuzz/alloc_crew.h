/* alloc_crew.h: a few threads of which exactly one runs at a time, so that what happens between
 * threads happens in the same order each time. The caller waits meanwhile.
 */
#ifndef TIDEMARK_TESTS_FUZZ_ALLOC_CREW_H
#define TIDEMARK_TESTS_FUZZ_ALLOC_CREW_H

#include <stdbool.h>

enum { CREW = 4 };

/* Lets thread `number` call work(context), starting it if it does not run, and waits until it is
 * done. */
void crew_run(unsigned number, void (*work)(void *context), void *context);
/* Ends the thread, as far as it runs: its heap is given up first. */
void crew_end(unsigned number);
bool crew_runs(unsigned number);

#endif
