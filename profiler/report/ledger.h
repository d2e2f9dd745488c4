/* ledger.h: the account of RSS: rows that sum to it exactly, because the last row, `residual`, is
 * what the others leave; it may be negative. A byte is in one row only: the allocator's pages are
 * counted by owner (analyse_heap.h) and taken off the mappings that they lie in (analyse_maps.h).
 * Live memory is told by where it is; where every allocation was recorded from the start, by what
 * the program asked for and what was added to that.
 */
#ifndef TIDEMARK_REPORT_LEDGER_H
#define TIDEMARK_REPORT_LEDGER_H

#include "profiler/report/analyse_maps.h"
#include "profiler/report/analyse_sites.h"

enum tm_ledger_group {
    TM_LEDGER_LIVE,     /* handed out and not freed */
    TM_LEDGER_HELD,     /* resident bytes of the allocator in no live block */
    TM_LEDGER_METADATA, /* the allocator's and the recorder's own */
    TM_LEDGER_PROGRAM,  /* not the allocator's */
    TM_LEDGER_RESIDUAL,
    TM_LEDGER_GROUPS,
};

struct tm_ledger_row {
    char name[40];       /* of metadata rows partly text from the file: escape it */
    const char *meaning; /* static string, one sentence without a full stop */
    int64_t bytes;
    enum tm_ledger_group group;
};

enum { TM_LEDGER_ROWS = 32 };

struct tm_ledger {
    uint64_t rss_bytes;     /* what the rows sum to */
    const char *rss_source; /* static string: where rss_bytes comes from */
    struct tm_ledger_row rows[TM_LEDGER_ROWS];
    size_t count;
    int64_t group_bytes[TM_LEDGER_GROUPS];
    bool is_split; /* live rows are what was requested and the rounding, instead of where it is */
};

void tm_ledger_make(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                    const struct tm_maps *maps, const struct tm_sites *sites,
                    struct tm_ledger *ledger);

/* Name of a group, one word. */
const char *tm_ledger_group_name(enum tm_ledger_group group);

#endif
