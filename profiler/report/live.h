/* live.h: the processes that run under the library, and what the live page of each says
 * (profiler/format/live.h), for `tidemark top` and `tidemark metrics`. Nothing is asked of the
 * processes: /proc is read, and no more than PTRACE_MODE_READ is needed for one whose page has a
 * descriptor. What a page says is its process's own word, and is trusted as little.
 */
#ifndef TIDEMARK_REPORT_LIVE_H
#define TIDEMARK_REPORT_LIVE_H

#include "profiler/format/live.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tm_live_state {
    TM_LIVE_READ,     /* there is a page */
    TM_LIVE_NONE,     /* it keeps none: live=no, set-id, an older library, a child just forked */
    TM_LIVE_DENIED,   /* it may keep one, but neither descriptor nor memory may be read */
    TM_LIVE_VERSIONS, /* its page is of another version */
};

struct tm_live_process {
    pid_t pid;       /* as this command sees it */
    pid_t inner_pid; /* as the process does */
    uid_t uid;
    char user[33];
    char program[64];
    uint64_t start_ticks; /* since boot, in 1/sysconf(_SC_CLK_TCK) s: tells it from others of its
                             pid */
    uint64_t rss_bytes;
    uint64_t start_ns, age_ns; /* CLOCK_MONOTONIC of its start; how old the page's figures are */
    enum tm_live_state state;
    struct tm_live page; /* TM_LIVE_READ; else 0 */
    /* What the page comes to: */
    uint64_t live_bytes, pinned_bytes, cached_bytes;
};

struct tm_live_list {
    struct tm_live_process *processes; /* by pid */
    size_t count, room;
    size_t denied;     /* processes whose mappings may not be read */
    pid_t denied_pid;  /* one of them, */
    uid_t denied_user; /* and whose it is */
    size_t without;    /* listed ones without a page */
};

/* Fills the list anew. 0, or an errno if /proc cannot be read. */
int tm_live_scan(struct tm_live_list *list);
void tm_live_free(struct tm_live_list *list);

/* One line on what is not shown and why, with a newline; "" if there is nothing to say. */
void tm_live_explain(const struct tm_live_list *list, char *text, size_t size);

/* Where the library and its page are mapped. */
struct tm_live_place {
    uintptr_t library;    /* its base; 0: not mapped */
    uintptr_t start, end; /* of the memfd; 0: not mapped */
    unsigned long inode;  /* of it */
};

/* Reads the process's page: sets state, page, age_ns and what it comes to. */
void tm_live_read(struct tm_live_process *process, const struct tm_live_place *place);

#endif
