/* stack_values.c: see stack_values.h. */
#include "profiler/report/stack_values.h"

#include "profiler/report/who.h"

#include <inttypes.h>
#include <stdio.h>

struct tm_stack_values tm_stack_values(const struct tm_report *report, uint32_t group)
{
    const struct tm_site_sums *sums = &report->sites.groups[group].sums;
    const struct tm_group_held *held = &report->held.groups[group];
    struct tm_stack_values values = {
        .live_bytes = sums->live_bytes,
        .held_bytes = held->share_bytes,
        .sole_bytes = tm_whole(held->sole.value),
        .sole_resident_bytes = tm_whole(held->sole_resident.value),
        .peak_bytes = sums->peak_bytes,
        .allocated_bytes = sums->allocated_bytes,
        .live_blocks = (double)sums->live_blocks / TM_BLOCK_UNITS,
        .peak_blocks = (double)sums->peak_blocks / TM_BLOCK_UNITS,
        .allocated_blocks = (double)sums->allocated_blocks / TM_BLOCK_UNITS,
        .temporary_blocks = (double)sums->temporary_blocks / TM_BLOCK_UNITS,
    };
    if (group == TM_GROUP_UNKNOWN)
        values.held_bytes += report->held.older_bytes + report->held.unchosen_bytes;
    return values;
}

double tm_stack_value(const struct tm_stack_values *values, enum tm_order by)
{
    switch (by) {
    case TM_BY_SOLE:
        return (double)values->sole_bytes;
    case TM_BY_LIVE:
        return (double)values->live_bytes;
    case TM_BY_PEAK:
        return (double)values->peak_bytes;
    case TM_BY_ALLOCATED:
        return (double)values->allocated_bytes;
    case TM_BY_TEMPORARY:
        return values->temporary_blocks;
    default:
        return (double)values->held_bytes;
    }
}

void tm_stack_walk_start(struct tm_stack_walk *walk, const struct tm_report *report, uint32_t group)
{
    uint32_t node = report->sites.groups[group].node;
    walk->report = report;
    walk->count = 0;
    walk->left = 0;
    for (; node != 0 && walk->count < TM_STACK_DEEPEST;
         node = report->sites.stacks.nodes[node].parent)
        walk->nodes[walk->count++] = node;
    walk->truncated = node != 0;
    walk->unknown = walk->count == 0;
}

static const struct tm_symbol nobody = {.module = ""};

/* A frame that stands for something else than code. */
static struct tm_stack_frame stand_in(enum tm_stack_frame_kind kind, uint32_t node,
                                      uint64_t address)
{
    return (struct tm_stack_frame){
        .kind = kind, .node = node, .address = address, .instruction = address, .symbol = &nobody};
}

bool tm_stack_walk_next(struct tm_stack_walk *walk, struct tm_stack_frame *frame)
{
    const struct tm_stacks *stacks = &walk->report->sites.stacks;
    if (walk->unknown || walk->truncated) {
        *frame = stand_in(walk->unknown ? TM_STACK_UNKNOWN : TM_STACK_TRUNCATED, 0, 0);
        walk->unknown = walk->truncated = false;
        return true;
    }
    if (walk->count == 0)
        return false;
    uint32_t node = walk->nodes[walk->count - 1];
    const struct tm_node *at = &stacks->nodes[node];
    if (at->flags & (TM_FRAME_TRUNCATED | TM_FRAME_THREAD)) {
        walk->count--;
        *frame = stand_in(at->flags & TM_FRAME_THREAD ? TM_STACK_THREAD : TM_STACK_TRUNCATED, node,
                          at->flags & TM_FRAME_THREAD ? at->address : 0);
        return true;
    }
    if (walk->left == 0)
        walk->list = tm_stacks_symbols(stacks, node, walk->report->view.symbols, &walk->left);
    const struct tm_symbol *symbol = &walk->list[--walk->left];
    bool exact = at->flags & TM_FRAME_EXACT;
    *frame = (struct tm_stack_frame){
        .kind = TM_STACK_CODE,
        .inlined = symbol->inlined,
        .exact = exact,
        .node = node,
        .address = at->address,
        .instruction = exact || at->address == 0 ? at->address : at->address - 1,
        .symbol = symbol,
    };
    if (walk->left == 0)
        walk->count--;
    return true;
}

const char *tm_stack_frame_name(const struct tm_stack_frame *frame, char *buffer, size_t size)
{
    const struct tm_symbol *symbol = frame->symbol;
    switch (frame->kind) {
    case TM_STACK_THREAD:
        snprintf(buffer, size, "thread %" PRIu64, frame->address);
        return buffer;
    case TM_STACK_TRUNCATED:
        return "[callers not recorded]";
    case TM_STACK_UNKNOWN:
        return "[not recorded]";
    case TM_STACK_OTHERS:
        return "[other stacks]";
    default:
        break;
    }
    if (symbol->function)
        return symbol->function;
    if (symbol->module && *symbol->module)
        snprintf(buffer, size, "%.120s+0x%" PRIx64, tm_base_name(symbol->module), symbol->offset);
    else
        snprintf(buffer, size, "0x%" PRIx64, frame->address);
    return buffer;
}
