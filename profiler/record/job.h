/* job.h: one snapshot in the making: what request.c knows when it makes the copy, and what comes
 * back from there. */
#ifndef TIDEMARK_RECORD_JOB_H
#define TIDEMARK_RECORD_JOB_H

#include "profiler/record/record.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How a snapshot ended. The copy has one of its own to work with and tells the process by one in
 * shared memory, of which it reads nothing but the pause: a daemon may have given up its rights
 * since, and what it is made to write there must not lead a copy that has them still. */
struct tm_outcome {
    uint64_t pause_ns;        /* set by the process once its copying call returned; 0: not yet */
    uint64_t number;          /* %n of the file */
    int32_t error;            /* 0: written whole; else the errno */
    int32_t finished;         /* 1: the writer came to its end, well or not */
    char step[32];            /* what failed */
    char path[TM_PATH_BYTES]; /* the final name */
    char temporary[TM_PATH_BYTES]; /* "" once it is gone */
};

struct tm_job {
    const struct tm_record_settings *settings;
    int pid;         /* of the process, in its own pid namespace */
    uint64_t number; /* the first %n to try */
    uint32_t flags;  /* enum tm_snapshot_flag */
    bool in_copy;    /* the writer runs in the copy; else in the process itself */
    bool own_files; /* the writer's descriptor table is its own: it may open and close what it likes
                     */
    bool extra_thread;       /* the process has the helper thread, which is not the program's */
    uint64_t since_start_ns; /* when, on the clock of the timeline */
    uint64_t realtime_ns;    /* when, CLOCK_REALTIME */
    uint64_t start_ns;       /* CLOCK_MONOTONIC just before the copying call */
    struct tm_outcome *outcome;
    struct tm_outcome *told; /* for the process to read; the same where the writer is no copy */
};

/* Tells what is known so far. */
static inline void tm_job_tell(const struct tm_job *job)
{
    if (job->told == job->outcome)
        return;
    job->told->number = job->outcome->number;
    job->told->error = job->outcome->error;
    memcpy(job->told->step, job->outcome->step, sizeof job->told->step);
    memcpy(job->told->path, job->outcome->path, sizeof job->told->path);
    memcpy(job->told->temporary, job->outcome->temporary, sizeof job->told->temporary);
}

/* Writes the snapshot of the process whose memory the caller shares or has a copy of, and fills
 * job->outcome. Failures are said on stderr here, where descriptor 2 is. Raw system calls and
 * static memory only; one call at a time. */
void tm_snapshot_write(const struct tm_job *job);

/* The same line for a failure that the writer could not tell of itself. */
void tm_snapshot_say_failure(const struct tm_outcome *outcome);

#endif
