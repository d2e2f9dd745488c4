/* stack_values.h: what a stack has, as plain figures, and its frames from the outermost inwards:
 * for what draws or exports stacks (flame graphs, other tools' formats), so that all of them count
 * and walk alike. For reports made with a view of TM_GROUP_STACK, where a group is one stack.
 */
#ifndef TIDEMARK_REPORT_STACK_VALUES_H
#define TIDEMARK_REPORT_STACK_VALUES_H

#include "profiler/report/analyse.h"

/* Bytes and blocks of one stack. All but sole and sole_resident can be summed over stacks; a page
 * whose survivors are of two stacks of one function is of its own for the function, and for neither
 * stack, so a sum of those two is a lower bound. */
struct tm_stack_values {
    uint64_t live_bytes;
    uint64_t held_bytes;          /* its share of the pinned bytes */
    uint64_t sole_bytes;          /* of the pinned bytes, those on pages of its own */
    uint64_t sole_resident_bytes; /* these pages whole: what RSS falls by */
    uint64_t peak_bytes;
    uint64_t allocated_bytes;
    double live_blocks, peak_blocks, allocated_blocks, temporary_blocks;
};

/* Of TM_GROUP_UNKNOWN: of stacks that are not known, and the pinned bytes that no site can be
 * charged with (older pools, sizes of which no page was chosen). With it, the held bytes of all
 * groups sum to the ledger's pinned bytes less tm_held.inconsistent_bytes. */
struct tm_stack_values tm_stack_values(const struct tm_report *report, uint32_t group);

/* The one figure that an order ranks by; of TM_BY_SOLE sole_bytes. Blocks for TM_BY_TEMPORARY,
 * bytes for all others. */
double tm_stack_value(const struct tm_stack_values *values, enum tm_order by);

enum tm_stack_frame_kind {
    TM_STACK_CODE,
    TM_STACK_THREAD,    /* stands for a thread: its id is the address */
    TM_STACK_TRUNCATED, /* stands for callers that are not recorded, or too many to be shown */
    TM_STACK_UNKNOWN,   /* the only frame of TM_GROUP_UNKNOWN */
    TM_STACK_OTHERS,    /* for who shows a part of the stacks: stands for all others */
};

/* One function of a stack. Strings are raw text from files: escape them. */
struct tm_stack_frame {
    enum tm_stack_frame_kind kind;
    bool inlined;         /* into the frame that comes before it, at the same address */
    bool exact;           /* address is the instruction's own, else the one behind a call */
    uint32_t node;        /* of report->sites.stacks; one for all functions inlined there */
    uint64_t address;     /* as recorded; 0 where there is none */
    uint64_t instruction; /* what belongs to the call: address, or the byte before it */
    const struct tm_symbol *symbol; /* function (or NULL), file, line, module; never NULL */
};

enum { TM_STACK_DEEPEST = 1024 /* of a longer stack the innermost addresses are walked */ };

/* Where a walk is. Zero before the first tm_stack_walk_start(). */
struct tm_stack_walk {
    const struct tm_report *report;
    uint32_t nodes[TM_STACK_DEEPEST];
    size_t count;                 /* nodes that are left, the outermost one the last */
    const struct tm_symbol *list; /* functions at the node that is walked */
    size_t left;                  /* of them, the outermost one the last */
    bool truncated;               /* to be told first */
    bool unknown;                 /* to be told as the only one */
};

/* Starts at the outermost frame of a group's stack. */
void tm_stack_walk_start(struct tm_stack_walk *walk, const struct tm_report *report,
                         uint32_t group);
/* The next frame inwards; false behind the innermost one. */
bool tm_stack_walk_next(struct tm_stack_walk *walk, struct tm_stack_frame *frame);

/* What a frame is called: its function, "libfoo.so+0x1234", "thread 17", "[not recorded]",
 * "[other stacks]".
 * Where the name has to be made, it is made in buffer. */
const char *tm_stack_frame_name(const struct tm_stack_frame *frame, char *buffer, size_t size);

#endif
