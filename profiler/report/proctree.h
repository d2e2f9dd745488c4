/* proctree.h: all processes that descend from this one, and the memory that they have resident.
 * Used by `tidemark compare` alone, which is single-threaded; nothing here is safe to call from two
 * threads.
 */
#ifndef TIDEMARK_REPORT_PROCTREE_H
#define TIDEMARK_REPORT_PROCTREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tm_proctree;

struct tm_tree_sample {
    uint64_t
        bytes; /* resident memory of the tree, pages shared inside it counted once where readable */
    unsigned processes; /* alive (not zombies) */
    pid_t biggest;      /* the process with the most resident memory; 0: none */
    uint64_t shared;    /* what was taken off the RSS of `biggest` as shared with others, bytes */
    bool proportional;  /* every process's part is PSS, or RSS corrected by PSS; false: RSS for at
                           least one */
};

/* Makes this process the one that orphans of its descendants fall to (a subreaper), so that a
 * daemon stays in the tree. Children that it has already are left out. Returns NULL with errno on
 * failure. */
struct tm_proctree *tm_proctree_open(void);
void tm_proctree_close(struct tm_proctree *tree);

/* Forgets the processes of the run before, and what sampling cost. */
void tm_proctree_restart(struct tm_proctree *tree);

/* Measures now. False: nothing can be said at this moment (no process, or processes came or went
 * and reading their shares would cost more than the budget allows yet); the next call may. */
bool tm_proctree_sample(struct tm_proctree *tree, struct tm_tree_sample *sample);

/* CPU seconds that the calls of tm_proctree_sample() cost since tm_proctree_restart(), and what the
 * last one cost. */
double tm_proctree_cost(const struct tm_proctree *tree);
double tm_proctree_last_cost(const struct tm_proctree *tree);

/* Sends `signal` to every process of the tree. Returns how many there were. */
unsigned tm_proctree_signal(struct tm_proctree *tree, int signal);

/* Ends the tree: SIGTERM, then after `grace` seconds SIGKILL, until no descendant is left, all of
 * them waited for. `reaped` (may be NULL) is called for each with its wait status and usage.
 * Returns how many were alive at the start. */
struct rusage;
unsigned tm_proctree_end(struct tm_proctree *tree, double grace,
                         void (*reaped)(pid_t pid, int status, const struct rusage *usage,
                                        void *context),
                         void *context);

#endif
