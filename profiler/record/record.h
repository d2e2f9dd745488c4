/* record.h: the recorder's door, for preload/. The recorder makes snapshots and keeps the timeline;
 * it allocates nothing from the heap that it watches and, where a signal can reach it, uses only
 * raw system calls and static memory.
 *
 * preload/ calls tm_record_start once, before there is a second thread; then tm_record_request from
 * the signal handler, tm_record_fork_child first thing in the child of fork, tm_record_exit when
 * the process ends of its own accord.
 */
#ifndef TIDEMARK_RECORD_H
#define TIDEMARK_RECORD_H

#include "profiler/format/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TM_OUT_BYTES = 512,   /* of the out pattern, with its NUL */
    TM_PATH_BYTES = 1024, /* of a snapshot's path, with its NUL: what tm_status.last_path holds */
    TM_LINES_BYTES = 1024,
};

enum tm_record_exit_kind { TM_EXIT_NONE, TM_EXIT_SUMMARY, TM_EXIT_SNAPSHOT };

struct tm_record_settings {
    int signal;                         /* that asks for a snapshot; 0: none */
    bool closed;                        /* records nothing and writes nothing, whoever asks */
    enum tm_record_exit_kind exit_kind; /* what to do at exit */
    uint64_t timeline_ns;               /* interval of the timeline; 0: off */
    uint32_t sites;             /* enum tm_snapshot_sites: record call sites from the start */
    uint64_t rate_bytes;        /* mean bytes between samples, at least 1 */
    bool by_thread;             /* keep sites apart by thread */
    uint64_t seed;              /* of the samples; 0: a different one in each process */
    bool children;              /* forked children go on recording, and end as `exit_kind` says */
    bool live;                  /* keep counters where others can read them (live.h) */
    uint64_t at_bytes;          /* take a snapshot when RSS gets there; 0: no */
    char out[TM_OUT_BYTES];     /* pattern of the path: %p pid, %n number, %e program, %% */
    char lines[TM_LINES_BYTES]; /* the configuration in force as key=value lines, for the CONFIG
                                   section */
};

/* What the command reads from outside: the one exported object of the library. Written with atomic
 * operations. */
extern struct tm_status tidemark_status;

/* What `closed` is. */
bool tm_record_is_closed(void);

/* Starts the timeline and fills tidemark_status. Keeps a copy of settings. */
void tm_record_start(const struct tm_record_settings *settings);

/* Once libc is ready and before main: the first point at which a library can be loaded. */
void tm_record_main(void);

/* Asks for a snapshot. Async-signal-safe, keeps errno, returns after about the time of one
 * clone(2): the work goes on in a thread that lives only for it. All signals are blocked while it
 * runs. */
void tm_record_request(void);

/* Switches the recording of call sites (enum tm_snapshot_sites). Async-signal-safe, keeps errno;
 * each thread follows at its next slow path. */
void tm_record_sites(uint32_t sites);

/* Does what exit= asks for; returns when it is done. */
void tm_record_exit(void);

/* Before a library is unloaded, and after. Any thread. */
void tm_record_unloading(void);
void tm_record_unloaded(void);

/* Before the loader's list of objects is gone through (dl_iterate_phdr), and after. Any thread;
 * keeps errno. */
void tm_record_listing(void);
void tm_record_listed(void);

/* The calling thread may end; it may also go on. */
void tm_record_thread_ends(void);

/* Before fork, ahead of the allocator's part, and after it in the parent. */
void tm_record_fork_prepare(void);
void tm_record_fork_parent(void);

/* Makes the recorder of a forked child its own: no snapshot under way, counters at 0. The timeline
 * is kept: the heap it tells of is the same. */
void tm_record_fork_child(void);

#endif
