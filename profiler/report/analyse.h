/* analyse.h: everything that a report says about one snapshot, computed once and printed by
 * report_text.c and report_json.c, so that the two cannot disagree.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_H
#define TIDEMARK_REPORT_ANALYSE_H

#include "profiler/report/analyse_plan.h"
#include "profiler/report/ledger.h"

/* Whether CPython's own pools sit between the program and the allocator. */
enum tm_python {
    TM_PYTHON_NONE,   /* no Python in sight */
    TM_PYTHON_DIRECT, /* PYTHONMALLOC=malloc or malloc_debug: every object is a block here */
    TM_PYTHON_POOLS,  /* CPython's own pools sit between */
};

/* Sentences for the top of the report; "" where there is nothing to say. Only `who` holds text from
 * the file: escape it. */
struct tm_verdict {
    char summary[400]; /* RSS, live, held */
    char why[400];     /* what accounts for it */
    char who[800];     /* whose survivors pin the most, and what fixing them brings */
    char remedy[400];  /* what would bring it down */
    char python[600];  /* that CPython's pools sit between, and what to do */
    char sites[300];   /* how to record sites, or how to get more out of them */
    bool pinned;       /* that survivors pin memory is what the sentences are about */
};

struct tm_report {
    const struct tm_snapshot_file *snapshot; /* the caller's */
    struct tm_heap heap;
    struct tm_maps maps;
    struct tm_view view;
    struct tm_sites sites;
    struct tm_held held;
    struct tm_plan plan;
    struct tm_ledger ledger;
    size_t peak_moment; /* index of the moment with the most bytes taken; 0 without a timeline */
    enum tm_python python;
    struct tm_verdict verdict;
};

/* view: how sites are grouped and sorted; NULL for the default. False when memory runs out; then
 * nothing is left to free. */
bool tm_report_make(const struct tm_snapshot_file *snapshot, const struct tm_view *view,
                    struct tm_report *report);
void tm_report_free(struct tm_report *report);

/* Bytes that the allocator had taken at a moment: in use and cached. */
uint64_t tm_moment_bytes(const struct tm_snapshot_moment *moment);

/* Live bytes, resident, of pools, spans and mappings; held bytes, pinned and cached. */
uint64_t tm_report_live(const struct tm_report *report);
uint64_t tm_report_held(const struct tm_report *report);

/* Fills `ranked` with the groups of sites, the one with the most of `by` first, without
 * TM_GROUP_UNKNOWN and those that have none of it. Returns how many. */
size_t tm_report_rank(const struct tm_report *report, enum tm_order by, uint32_t *ranked);

/* Whether some recorded stack has a Python function in it (the interpreter wrote a perf map). */
bool tm_report_has_python_frames(const struct tm_report *report);

/* Looks at executable, command line, mappings and PYTHONMALLOC. */
enum tm_python tm_python_of(const struct tm_snapshot_file *snapshot);

/* Fills report->verdict from the rest of *report. */
void tm_verdict_make(struct tm_report *report);

#endif
