/* diff_match.h: the call sites of several snapshots, each matched with itself. A site is known by
 * what its code is called, never by an address: of code whose file is the same build in all
 * snapshots (by build id), a stack is its frames' places in their files; of other code it is the
 * names of its functions, and its file's name without version. So processes of one program with
 * different load addresses compare, and two builds of it as far as their functions keep their
 * names. What one snapshot tells apart and another does not is put together.
 */
#ifndef TIDEMARK_REPORT_DIFF_MATCH_H
#define TIDEMARK_REPORT_DIFF_MATCH_H

#include "profiler/report/analyse.h"

enum {
    TM_MATCH_NOBODY = UINT32_MAX, /* no group of that snapshot */
    TM_MATCH_UNKNOWN = 0,         /* the site that stands for what is not recorded: always there */
};

/* A site in one snapshot: the sum over its groups there. Errors of live bytes add up as those of
 * independent samples; those of held bytes, where groups share pages, plainly, which is the most
 * that they can be. */
struct tm_match_cell {
    uint32_t group; /* the one with the most live bytes; TM_MATCH_NOBODY: none, all is 0 */
    struct tm_estimate live;
    struct tm_estimate share;
    struct tm_estimate sole; /* resident bytes of pages of its own */
    uint64_t share_bytes;    /* whole, as in the report: all sum to the pinned bytes */
    double live_blocks;
    uint64_t live_samples;
};

struct tm_match {
    struct tm_match_cell *cells; /* of site s in snapshot i: cells[s * snapshots + i] */
    size_t sites, snapshots;
};

/* All reports have the same grouping. False when memory runs out; then nothing is left to free. */
bool tm_match_make(const struct tm_report *const *reports, size_t count, struct tm_match *match);
void tm_match_free(struct tm_match *match);

static inline const struct tm_match_cell *tm_match_cell(const struct tm_match *match, size_t site,
                                                        size_t snapshot)
{
    return &match->cells[site * match->snapshots + snapshot];
}

/* The build id of the file that is mapped by this path; "" where it is not known. */
const char *tm_build_id_of(const struct tm_snapshot_file *snapshot, const char *path);

#endif
