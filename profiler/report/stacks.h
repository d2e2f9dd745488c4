/* stacks.h: the stacks of a snapshot, each once. The target may have given one stack several
 * numbers, when two threads met it first at the same time; here frames are merged by address and
 * caller, so that equal stacks are one. A stack is the number of its innermost node; 0 is none.
 */
#ifndef TIDEMARK_REPORT_STACKS_H
#define TIDEMARK_REPORT_STACKS_H

#include "profiler/report/snapshot_read.h"
#include "profiler/report/symbols.h"

struct tm_node {
    uint64_t address;
    uint32_t parent; /* node that called this one, smaller than its own; 0: none */
    uint32_t flags;  /* enum tm_snapshot_frame_flag */
};

struct tm_stacks {
    struct tm_node *nodes; /* [0] is none */
    size_t count, room;
    uint32_t *of_frame; /* node of each frame of the snapshot */
    uint32_t *table;    /* open addressing: nodes by what they are */
    size_t table_size;  /* a power of two */
};

/* False when memory runs out; then nothing is left to free. */
bool tm_stacks_make(const struct tm_snapshot_file *snapshot, struct tm_stacks *stacks);
void tm_stacks_free(struct tm_stacks *stacks);

/* The node with the innermost `depth` frames of a stack and no more; frames that stand for a thread
 * or for what is not recorded are left out. May add nodes. False when memory runs out. */
bool tm_stacks_cut(struct tm_stacks *stacks, uint32_t node, size_t depth, uint32_t *cut);

/* The thread that a stack belongs to; false if it is not known. */
bool tm_stacks_thread(const struct tm_stacks *stacks, uint32_t node, uint64_t *thread);

/* Who a stack stands for: the innermost function that is no wrapper of the allocator (wrappers.h).
 * Where all are, the innermost of all. In a Python process, python, it is the innermost Python
 * function if the stack has one, else the innermost of an extension module: the interpreter's
 * functions are the same whoever calls them. */
struct tm_who {
    const struct tm_symbol *symbol; /* never NULL; its function may be */
    uint64_t address;               /* of the frame that it is in; 0: the stack is empty */
};
struct tm_who tm_stacks_who(const struct tm_stacks *stacks, uint32_t node,
                            struct tm_symbols *symbols, bool python);

/* The functions at a node, innermost first, at least one. symbols may be NULL: then nothing is
 * known of them. */
const struct tm_symbol *tm_stacks_symbols(const struct tm_stacks *stacks, uint32_t node,
                                          struct tm_symbols *symbols, size_t *count);

#endif
