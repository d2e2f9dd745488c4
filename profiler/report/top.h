/* top.h: `tidemark top`: rows with their past, the table, the terminal, and what is done to a
 * process at a key. command_top.c has the options and the loop.
 */
#ifndef TIDEMARK_REPORT_TOP_H
#define TIDEMARK_REPORT_TOP_H

#include "profiler/report/live.h"

#include <stdio.h>

enum { TM_TOP_PAST = 60 };

struct tm_top_look {
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t rss_bytes;
};

struct tm_top_row {
    struct tm_live_process process;
    struct tm_top_look past[TM_TOP_PAST]; /* oldest first; the last is now */
    size_t looks;
    bool has_rate;      /* there are two looks at its page */
    bool rate_recorded; /* of what was allocated, as call sites are recorded; else of memory that
                           its heaps took */
    double rate;        /* bytes a second, since the look before */
    bool has_trend;
    double trend; /* of RSS in bytes a minute: the line through the last minute's looks */
};

enum tm_top_key {
    TM_TOP_RSS,
    TM_TOP_LIVE,
    TM_TOP_PINNED,
    TM_TOP_CACHED,
    TM_TOP_ALLOC,
    TM_TOP_TREND,
    TM_TOP_PID,
    TM_TOP_USER,
    TM_TOP_PROGRAM,
    TM_TOP_KEYS,
};

/* The names of keys, as --sort takes them. */
extern const char *const tm_top_key_names[TM_TOP_KEYS];

struct tm_top {
    struct tm_live_list list;
    struct tm_top_row *rows; /* as `key` sorts them */
    size_t count;
    uint64_t time_ns;
    enum tm_top_key key;
};

/* Looks at all processes again. 0, or an errno. */
int tm_top_look(struct tm_top *top);
void tm_top_sort(struct tm_top *top);
void tm_top_free(struct tm_top *top);

/* How the table is shown. */
struct tm_top_view {
    unsigned columns, lines; /* of the terminal; lines 0: as many as there are */
    bool utf8;
    bool terminal;    /* with the escape sequences of one */
    pid_t selected;   /* 0: none */
    size_t first;     /* row that is shown first */
    const char *said; /* for the last line: what a key did */
};

void tm_top_print(FILE *out, const struct tm_top *top, const struct tm_top_view *view);
/* How many rows of processes fit. */
size_t tm_top_rows_that_fit(const struct tm_top *top, const struct tm_top_view *view);
void tm_top_json(FILE *out, const struct tm_top *top);

/* The terminal: raw from begin to end, which is called on every way out. False: errno says why. */
bool tm_terminal_begin(void);
void tm_terminal_end(void);
void tm_terminal_size(unsigned *columns, unsigned *lines);
/* A signal that asks to end came (its number), or to redraw. */
int tm_terminal_ended(void);
bool tm_terminal_changed(void);

enum tm_terminal_key {
    TM_KEY_NONE = 0, /* nothing more to read; other characters are themselves */
    TM_KEY_UP = 256,
    TM_KEY_DOWN,
    TM_KEY_LEFT,
    TM_KEY_RIGHT,
    TM_KEY_GONE, /* the terminal is */
};
int tm_terminal_key(void);

/* A request to a process, made by a process of its own as it may take half a minute. */
struct tm_top_job {
    pid_t pid; /* of that process; 0: none under way */
    int fd;    /* from which its output comes */
    char text[512];
    size_t used;
};
/* command is "snapshot" or "trim". False: errno says why. */
bool tm_top_job_start(struct tm_top_job *job, const char *command, pid_t target);
/* To be called when fd has something: true when the job is over, and text is what it said. */
bool tm_top_job_read(struct tm_top_job *job);
void tm_top_job_stop(struct tm_top_job *job);

#endif
