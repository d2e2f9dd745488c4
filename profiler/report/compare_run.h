/* compare_run.h: one run of a command under one allocator, watched from outside, and what was seen.
 * For `tidemark compare` alone; single-threaded.
 */
#ifndef TIDEMARK_REPORT_COMPARE_RUN_H
#define TIDEMARK_REPORT_COMPARE_RUN_H

#include "profiler/report/allocators.h"
#include "profiler/report/proctree.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_compare_sample {
    double seconds;     /* since the command was started */
    uint64_t bytes;     /* resident in the whole tree */
    unsigned processes; /* alive in it */
};

enum tm_compare_loaded {
    TM_LOADED_UNSEEN, /* the run was over before its mappings could be read */
    TM_LOADED_YES,
    TM_LOADED_NO, /* the biggest process did not have the library mapped */
};

struct tm_compare_run {
    struct tm_compare_sample *samples; /* in order of time; malloc'ed */
    size_t count, room;
    double wall, user, system; /* seconds; user and system of all processes that were waited for */
    uint64_t minor, major;     /* page faults, likewise */
    uint64_t high_water;   /* peak of the biggest single process by the kernel's own count, less its
                              shared part, bytes; 0: not usable */
    bool failed;           /* exit status not 0, a signal, or it could not be started */
    char failure[160];     /* why, one line */
    char last_words[2048]; /* end of its stderr */
    size_t last_words_length;
    enum tm_compare_loaded loaded;
    char brought[64]; /* file name of another allocator that the biggest process links by itself; ""
                         none */
    unsigned
        outlived; /* processes that were still alive after the command had ended, and were ended */
    bool proportional;    /* all samples are PSS (or RSS corrected by it) */
    double sampling_cost; /* CPU seconds of the sampler */
    int interrupted;      /* signal that ended the whole comparison; 0: none */
};

struct tm_compare_request {
    char **command;           /* NULL-terminated */
    bool pythonmalloc;        /* set PYTHONMALLOC=malloc for rows without own_pools */
    bool show_output;         /* let stdout and stderr through */
    double interval;          /* wanted seconds between samples */
    double duration;          /* end the tree after so many seconds; 0: when the command ends */
    struct tm_proctree *tree; /* borrowed */
    sigset_t signals;         /* blocked by the caller: SIGCHLD and those that end the comparison */
    sigset_t inherited;       /* the mask that the command gets */
    /* Called now and then while the run is under way; may be NULL. */
    void (*progress)(double seconds, uint64_t bytes, void *context);
    void *context;
};

/* Runs the command to its end. Nothing of its tree is left afterwards. Free with
 * tm_compare_run_free(). */
void tm_compare_run(const struct tm_compare_request *request, const struct tm_allocator *allocator,
                    struct tm_compare_run *run);
void tm_compare_run_free(struct tm_compare_run *run);

#endif
