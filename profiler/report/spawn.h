/* spawn.h: what `tidemark run` and `tidemark compare` must know and set before they start a
 * program: what kind of program a command is, whether a library can be preloaded into it, and the
 * environment that does it. The setters change the calling process's own environment; `compare`
 * calls them in the child, between fork and exec.
 */
#ifndef TIDEMARK_REPORT_SPAWN_H
#define TIDEMARK_REPORT_SPAWN_H

#include <stdbool.h>

/* Why LD_PRELOAD has no effect on a program. */
enum tm_preload_obstacle {
    TM_PRELOAD_WORKS,
    TM_PRELOAD_STATIC,     /* no dynamic loader: statically linked */
    TM_PRELOAD_OTHER_ABI,  /* another word size or machine, or a loader that is not glibc's */
    TM_PRELOAD_PRIVILEGED, /* setuid, setgid or file capabilities: the loader ignores LD_PRELOAD */
};

struct tm_program {
    char *path;   /* file that execvp would start; NULL: there is none */
    char *binary; /* the ELF file behind it: itself, or the #! interpreter; may be NULL */
    int error;    /* errno of why it cannot be started; 0: it can */
    bool python;  /* runs under CPython, by its name, its link or its #! line */
    enum tm_preload_obstacle obstacle; /* of `binary` */
};

/* Looks at `command` as execvp would find it. Fills every field; free with tm_program_free(). */
void tm_program_inspect(const char *command, struct tm_program *program);
void tm_program_free(struct tm_program *program);

/* Says on stderr why `program` cannot be preloaded; says nothing if it can. */
void tm_program_warn(const struct tm_program *program);

/* Exit status for a command that cannot be started, as shells and env(1) have it: 127 not found,
 * 126 found but not executable. */
int tm_exec_status(int error);

/* True if `path` is a shared library that a program of this machine's kind can load. */
bool tm_is_library(const char *path);

/* Puts `library` first in LD_PRELOAD and keeps what was there. False, with a message: the path
 * cannot be written in LD_PRELOAD (a colon or a space in it). */
bool tm_preload(const char *library);

/* Merges two lists key=value,key=value: keys of `later` replace those of `earlier`. Either may be
 * NULL. Returns a malloc'ed string. */
char *tm_merge_options(const char *earlier, const char *later);

#endif
