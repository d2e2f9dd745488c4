/* control.h: finding and asking a running process that has the library, for `tidemark snapshot`,
 * `trim`, `start` and `stop`. Everything that can be known before a signal is sent is found out
 * before: a signal to a process that does not expect it ends it.
 */
#ifndef TIDEMARK_REPORT_CONTROL_H
#define TIDEMARK_REPORT_CONTROL_H

#include "profiler/format/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TM_TARGET_USERS = 8 };

struct tm_target {
    pid_t pid;               /* as this command sees it */
    pid_t inner_pid;         /* as the process itself does, in its pid namespace */
    uintptr_t status_at;     /* address of its tidemark_status; 0: its memory may not be read */
    struct tm_status status; /* as last read, 0 beyond its `bytes`; without memory only `signal`,
                                which its environment tells */
    char out[1024];          /* the out pattern that its environment tells */
    char program[256];       /* its name, for people: plain (report_format.h) */
    char file[256];          /* the same as it is */
    uid_t users[TM_TARGET_USERS]; /* the four that it is and has, and those of the look before */
    bool apart;                   /* it has another mount namespace or root directory */
};

/* Finds the process that text names. 0, or the command's exit status after printing what is wrong.
 */
int tm_target_find(const char *text, struct tm_target *target);

/* Whether it may be signalled: the signal is set, is the library's, and some thread takes it. 0, or
 * 1 after printing why not. */
int tm_target_check_signal(const struct tm_target *target);

/* Sends the request. 0, or 1 after printing why not. */
int tm_target_send(const struct tm_target *target, enum tm_request request);

/* Sends the request and waits until `counter`, a field of target->status, has moved; where its
 * memory may not be read it waits for nothing. 0, or 1 after printing why not. */
int tm_target_ask(struct tm_target *target, enum tm_request request, const uint32_t *counter);

/* Finds the process that pid names and switches its recording of call sites (enum
 * tm_snapshot_sites). 0, or the command's exit status after printing what is wrong. */
int tm_target_switch_sites(const char *pid, int32_t sites, struct tm_target *target);

/* Between two looks at the status: 5 ms. */
void tm_target_pause(void);

/* Reads status again. False: the process is gone, or its memory may no longer be read. */
bool tm_target_refresh(struct tm_target *target);
/* It exists and is not a zombie. */
bool tm_target_is_alive(const struct tm_target *target);
/* The request waits in the kernel: no thread has taken it yet. */
bool tm_target_is_pending(const struct tm_target *target);
/* 'T' stopped, 'R' running…, as /proc/PID/status has it; '?' if not readable. */
char tm_target_state(const struct tm_target *target);

/* What follows "name:" in /proc/PID/status, without leading blanks; false if it is not there. */
bool tm_target_field(const struct tm_target *target, const char *name, char *value, size_t size);

/* Fills program and file; users. */
void tm_target_find_program(struct tm_target *target);
void tm_target_find_users(struct tm_target *target);

enum tm_target_file {
    TM_TARGET_FILE_NONE,    /* nothing is there, as far as this command may look */
    TM_TARGET_FILE_OWN,     /* a regular file of the process's user */
    TM_TARGET_FILE_STRANGE, /* something else, which is nobody's snapshot of this process */
};

/* What is under a path of the process's; *why says what is strange. */
enum tm_target_file tm_target_look_at(struct tm_target *target, const char *path, const char **why);

/* The path of its snapshot of that number, by `out`. */
void tm_target_expand(const struct tm_target *target, unsigned number, char *to, size_t size);

/* Prints a path as one line: on a terminal nothing of it is obeyed. False after saying that it is
 * no line. */
bool tm_target_print_path(const struct tm_target *target, const char *path);

/* path as this command can open it: through /proc/PID/root if the process is apart. */
void tm_target_outside_path(const struct tm_target *target, const char *path, char *to,
                            size_t size);

/* The address of the symbol in the ELF library mapped at base in process pid, read from its memory.
 * 0: not there. -1: memory may not be read (errno). */
uintptr_t tm_remote_symbol(pid_t pid, uintptr_t base, const char *name);
/* Reads exactly size bytes of its memory. */
bool tm_remote_read(pid_t pid, uintptr_t from, void *to, size_t size);

#endif
