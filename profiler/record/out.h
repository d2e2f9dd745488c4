/* out.h: where the file goes: the pattern made a path, a file that has no name yet or a temporary
 * one, and its final name once it is whole. */
#ifndef TIDEMARK_RECORD_OUT_H
#define TIDEMARK_RECORD_OUT_H

#include "profiler/record/job.h"

/* Expands the pattern into path (TM_PATH_BYTES), made absolute. program: for %e. 0, or
 * ENAMETOOLONG. */
int tm_out_expand(char *path, const char *pattern, int pid, uint64_t number, const char *program);

/* Fills outcome->path and ->number for the first number from job->number on whose path does not
 * exist, and opens a file to write to; ->temporary is its name, "" if it has none. Its descriptor,
 * or a negative errno with outcome->step set. */
int tm_out_open(const struct tm_job *job, const char *program);

/* Closes the file and gives it its final name, never over one that exists (the next number is taken
 * then). 0, or a positive errno with outcome->step set and nothing left of the file. */
int tm_out_commit(const struct tm_job *job, const char *program, int fd);
/* Closes and removes it. */
void tm_out_abandon(const struct tm_job *job, int fd);

#endif
