/* analyse_plan.h: which groups to fix first. "Fixed" means that a group's live blocks are gone. A
 * page goes back when every group that lives on it is fixed, so what a group brings depends on
 * which others are fixed too, and shares cannot tell it.
 *
 * The plan is greedy. Each step takes the groups that bring the most resident bytes for each group
 * added, be it one group or several that hold pages only together (the missing groups of some set
 * of pages): so that "A alone 0, A and B 300 MiB" is found. What comes back are pages whose groups
 * are all fixed, and the groups' own large blocks. It ends where a step would bring next to
 * nothing. Pages with blocks that are not recorded, or of more sites than a set lists, never come
 * back.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_PLAN_H
#define TIDEMARK_REPORT_ANALYSE_PLAN_H

#include "profiler/report/analyse_held.h"

enum { TM_PLAN_GROUPS = 8 /* the most groups of a plan */ };

/* One step, with what comes back when it and all before it are done. */
struct tm_plan_step {
    uint32_t groups[TM_PLAN_GROUPS]; /* that are fixed in this step */
    size_t count;
    struct tm_estimate held;  /* free bytes on the pages */
    struct tm_estimate pages; /* the pages: free and live bytes */
    struct tm_estimate spans; /* resident bytes of large blocks */
    struct tm_estimate back;  /* pages and spans: what RSS falls by */
};

struct tm_plan {
    struct tm_plan_step steps[TM_PLAN_GROUPS];
    size_t count;
};

/* False when memory runs out. */
bool tm_plan_make(const struct tm_snapshot_file *snapshot, const struct tm_sites *sites,
                  const struct tm_held *held, struct tm_plan *plan);

#endif
