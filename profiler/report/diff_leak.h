/* diff_leak.h: which call sites leak, as far as three or more snapshots of one process can tell: a
 * leak's live bytes grow steadily, a cache's stop growing, a buffer's rise and fall.
 *
 * The trend is the median of the slopes of all pairs of snapshots (Theil 1950; Sen, Estimates of
 * the regression coefficient based on Kendall's tau, JASA 63, 1968), which one odd snapshot does
 * not move. Its spread is the standard error of a slope through as many points: from their mean
 * absolute distance from the trend line, scaled to a standard deviation, and from their own errors
 * as estimates. What the trend is taken for follows from fixed rules on it, on the intervals
 * between snapshots, and on the ages of the blocks; sites are ranked by that, then by growth. An
 * interval has grown, or fallen, if it changed by more than two errors, and by more than a quarter
 * of what the range of the figures would give each interval.
 */
#ifndef TIDEMARK_REPORT_DIFF_LEAK_H
#define TIDEMARK_REPORT_DIFF_LEAK_H

#include "profiler/report/diff.h"

enum { TM_LEAK_LEAST = 3 /* snapshots */ };

/* The likeliest leaks first. */
enum tm_leak_kind {
    TM_LEAK_STEADY,   /* the trend is more than two spreads, at least three of four intervals grew
                         and the last third did, none fell, half the blocks of the first may live */
    TM_LEAK_UNSTEADY, /* grows to the end, but not like that */
    TM_LEAK_SAW,      /* rises and falls, without a trend of two spreads */
    TM_LEAK_PLATEAU,  /* grew, and not in the last third */
    TM_LEAK_FALLS,
    TM_LEAK_FLAT, /* no interval is sure to have changed */
    TM_LEAK_KINDS,
};

/* "steady growth" and so on. */
const char *tm_leak_kind_name(enum tm_leak_kind kind);

/* A part of 1 lies between these; low -1: it is not known. */
struct tm_range {
    double low, high;
};

struct tm_leak {
    uint32_t site; /* in struct tm_match */
    enum tm_leak_kind kind;
    double per_hour, spread; /* growth of live bytes, and its spread */
    uint32_t grew, fell;     /* intervals */
    /* What the births of the blocks that live in the last snapshot say. */
    struct tm_range survived; /* of the blocks live in the first snapshot, the part that still is */
    struct tm_range young; /* of the blocks live in the last, the part born after the one before */
    double stays;  /* of the blocks live in the last but one, about the part that still is */
    bool replaced; /* every block that was live in the first is gone */
};

struct tm_leaks {
    const struct tm_report *const *reports; /* in order of time */
    size_t snapshots;
    const struct tm_diff_check *check;
    struct tm_match match;
    struct tm_leak *list; /* the likeliest first */
    size_t count;
    size_t kinds[TM_LEAK_KINDS]; /* how many of each */
    char verdict[1000];          /* names from the files in it: escape it */
};

/* reports: of one process, in order of time; they and check stay the caller's. False when memory
 * runs out; then nothing is left to free. */
bool tm_leak_make(const struct tm_report *const *reports, size_t count,
                  const struct tm_diff_check *check, struct tm_leaks *leaks);
void tm_leak_free(struct tm_leaks *leaks);

/* The latest report that has the site, and its group there. */
const struct tm_report *tm_leak_report_of(const struct tm_leaks *leaks, uint32_t site,
                                          uint32_t *group);

#endif
