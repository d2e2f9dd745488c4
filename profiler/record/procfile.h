/* procfile.h: reading files of /proc without libc: whole, or line by line. Static memory: one user
 * at a time. */
#ifndef TIDEMARK_RECORD_PROCFILE_H
#define TIDEMARK_RECORD_PROCFILE_H

#include <stddef.h>
#include <stdint.h>

/* "/proc/PID/name" in static memory that the next call takes again. pid 0: /proc/self. */
const char *tm_proc_path(int pid, const char *name);

/* Reads at most size - 1 bytes and ends them with NUL. The number of bytes, or a negative errno. */
long tm_proc_read(const char *path, char *to, size_t size);

/* Calls line(text, context) for each line of the file, without its newline; of a line longer than
 * 4095 bytes, its start. 0, or a negative errno. */
int tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context);

/* The number behind "name" at the start of a line of text (as in /proc/PID/status: name "VmHWM:"),
 * or 0. */
uint64_t tm_proc_field(const char *text, const char *name);

#endif
