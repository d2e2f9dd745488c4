/* out.h: where the file goes: the pattern made a path, a temporary name beside it, the rename. */
#ifndef TIDEMARK_RECORD_OUT_H
#define TIDEMARK_RECORD_OUT_H

#include "profiler/record/job.h"

/* Expands the pattern into path (TM_PATH_BYTES), made absolute. program: for %e. 0, or
 * ENAMETOOLONG. */
int tm_out_expand(char *path, const char *pattern, int pid, uint64_t number, const char *program);

/* Fills outcome->path, ->number and ->temporary for the first number from job->number on whose path
 * does not exist, and opens the temporary file. Its descriptor, or a negative errno with
 * outcome->step set. */
int tm_out_open(const struct tm_job *job, const char *program);

/* Gives the file its final name, never over one that exists (the next number is taken then). 0, or
 * a positive errno with outcome->step set and the temporary file removed. */
int tm_out_commit(const struct tm_job *job, const char *program);
void tm_out_abandon(const struct tm_job *job);

#endif
