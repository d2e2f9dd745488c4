/* analyse_held.h: who holds the pinned memory. Each group of sites is charged
 *   share: its part of the free bytes on pages with its survivors, in equal parts for each live
 *     block (the Shapley value of "a page goes back when all its blocks are gone"); shares and the
 *     rows of what cannot be charged sum to the ledger's pinned bytes exactly;
 *   sole: what is on pages whose every survivor is its own, and so would go back with it alone.
 * With every page's sites known this is counted; else it is an estimate from the chosen pages
 * (estimate.h): what is true of them, size class by size class, is scaled up to all pages that
 * could have been chosen.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_HELD_H
#define TIDEMARK_REPORT_ANALYSE_HELD_H

#include "profiler/report/analyse_heap.h"
#include "profiler/report/analyse_sites.h"

struct tm_group_held {
    struct tm_estimate share;         /* of pinned bytes */
    uint64_t share_bytes;             /* the same in whole bytes, so that sums are exact */
    struct tm_estimate sole;          /* pinned bytes on pages of its own */
    struct tm_estimate sole_resident; /* these pages whole: what RSS falls by */
};

/* A set of the snapshot by groups instead of sites. */
struct tm_group_set {
    size_t first; /* in members */
    uint32_t count;
};

struct tm_held {
    bool recorded;                /* the snapshot tells which sites hold pages */
    struct tm_group_held *groups; /* by group of struct tm_sites */
    uint64_t pinned_bytes;      /* as in the ledger: the groups' shares and the four that follow */
    uint64_t older_bytes;       /* in pools that were taken while nothing was recorded */
    uint64_t unchosen_bytes;    /* in pools of size classes none of which was chosen */
    int64_t inconsistent_bytes; /* what POOLS and HELD differ by; not 0 only if they contradict */
    uint64_t all_pages, chosen_pages; /* with pinned bytes: that could be chosen, and were */
    struct tm_ratio pinned, resident; /* how figures of chosen pages are scaled */
    struct tm_stratum *strata[2];     /* theirs */
    /* SETS by groups, those that list no members left out as sets of nobody. */
    struct tm_group_set *sets;
    uint32_t *members;
    struct tm_estimate crowded; /* pinned bytes on pages with more sites than a set lists */
};

/* False when memory runs out; then nothing is left to free. */
bool tm_held_analyse(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                     const struct tm_sites *sites, struct tm_held *held);
void tm_held_free(struct tm_held *held);

#endif
