/* analyse_sites.h: who allocates: the recorded sites, put into groups as the reader of the report
 * asked (by stack, function, line, file, library or thread), with what SITES tells of each group.
 * What is charged to a group is in analyse_held.h, what fixing it brings in analyse_plan.h.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_SITES_H
#define TIDEMARK_REPORT_ANALYSE_SITES_H

#include "profiler/report/estimate.h"
#include "profiler/report/stacks.h"

enum tm_grouping {
    TM_GROUP_STACK,
    TM_GROUP_FUNCTION,
    TM_GROUP_LINE,
    TM_GROUP_FILE,
    TM_GROUP_LIBRARY,
    TM_GROUP_THREAD,
    TM_GROUPINGS,
};

enum tm_order {
    TM_BY_HELD,
    TM_BY_SOLE,
    TM_BY_LIVE,
    TM_BY_PEAK,
    TM_BY_ALLOCATED,
    TM_BY_TEMPORARY,
    TM_ORDERS,
};

/* What a reader asks for; zero is what one gets who asks for nothing. */
struct tm_view {
    enum tm_grouping grouping;
    enum tm_order by;
    size_t depth;               /* innermost frames that tell stacks apart; 0: all */
    struct tm_symbols *symbols; /* the caller's; NULL: addresses only */
};

/* Names of both, as the options have them. */
const char *tm_grouping_name(enum tm_grouping grouping);
const char *tm_order_name(enum tm_order order);

/* Sums over the sites of a group, fields as in struct tm_snapshot_site. */
struct tm_site_sums {
    uint64_t samples, live_samples;
    uint64_t allocated_blocks, allocated_bytes, allocated_requested;
    uint64_t temporary_blocks;
    uint64_t ended_blocks[TM_LIFETIMES];
    uint64_t live_blocks, live_bytes, live_requested;
    uint64_t span_bytes, span_resident_bytes;
    uint64_t peak_blocks, peak_bytes;
    uint64_t born_blocks[TM_BIRTHS];
    uint64_t oldest_ns, youngest_ns; /* where live_samples is not 0 */
    uint64_t size_samples[TM_SIZE_STEPS];
    double allocated_bytes_variance, live_blocks_variance, live_bytes_variance;
};

struct tm_group {
    struct tm_who who;  /* what stands for it; of the stack that has the most live bytes */
    uint32_t node;      /* that stack */
    uint32_t held_node; /* the stack that is charged the most; as node where none is charged */
    uint32_t stacks;    /* how many different ones it has */
    uint64_t thread;    /* by thread: its id; 0: not known */
    struct tm_site_sums sums;
    struct tm_estimate live_bytes, live_blocks, allocated_bytes;
};

enum { TM_GROUP_UNKNOWN = 0 /* the group of what is not recorded: always there */ };

struct tm_sites {
    enum tm_grouping grouping;
    struct tm_stacks stacks;
    uint32_t *group_of_site; /* by index in the snapshot's SITES */
    struct tm_group *groups;
    size_t count;
    struct tm_site_sums total;
    uint64_t peak_ns; /* when live bytes were highest, on the clock of the timeline; 0: unknown */
    bool sampled;     /* at least some of the figures are estimates */
    bool complete;    /* everything was recorded from the start, and nothing else than that */
};

/* python: as for tm_stacks_who(). False when memory runs out; then nothing is left to free. */
bool tm_sites_analyse(const struct tm_snapshot_file *snapshot, const struct tm_view *view,
                      bool python, struct tm_sites *sites);
void tm_sites_free(struct tm_sites *sites);

/* Group of a site's number, TM_GROUP_UNKNOWN for 0. */
uint32_t tm_sites_group(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                        uint32_t number);

/* A group's live blocks that were born around the moment of the peak, in percent of all of its, and
 * how much of the time of recording counts as around it, in percent; false where there is no peak
 * or no live block. */
bool tm_group_peak_births(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                          const struct tm_group *group, unsigned *births, unsigned *time);

#endif
