/* export_gperftools.c: the text format of gperftools, which google-pprof and `go tool pprof` read:
 * addresses and a copy of the mappings; names are found by the reader. Figures are unsampled, so
 * the header's tag is "heapprofile", which readers do not scale. They take 1 off every address to
 * get from where a call returns to the call, `go tool pprof` off all but the innermost; a call
 * is two bytes long at least, so the innermost is written less 1 and both find it. What has no
 * address (stacks that are not known, the sum of those left out) is at 0; google-pprof calls that
 * by the first symbol of the program, `go tool pprof` <unknown>.
 */
#include "profiler/report/export.h"

#include <inttypes.h>
#include <string.h>

static void write_values(FILE *out, const struct tm_stack_values *values)
{
    fprintf(out, "%" PRIu64 ": %" PRIu64 " [%" PRIu64 ": %" PRIu64 "] @",
            tm_export_blocks(values->live_blocks, values->live_bytes), values->live_bytes,
            tm_export_blocks(values->allocated_blocks, values->allocated_bytes),
            values->allocated_bytes);
}

/* Whether the format has a figure for the stack. */
static bool is_told(const struct tm_stack_values *values)
{
    return values->live_bytes > 0 || values->allocated_bytes > 0;
}

static void write_stack(FILE *out, const struct tm_export_stack *stack)
{
    bool innermost = true;
    write_values(out, &stack->values);
    for (size_t i = stack->count; i-- > 0;) {
        const struct tm_stack_frame *frame = &stack->frames[i];
        bool inlined = i + 1 < stack->count && frame[1].node == frame->node;
        if (frame->kind != TM_STACK_CODE || inlined)
            continue;
        fprintf(out, " 0x%" PRIx64, innermost ? frame->instruction : frame->instruction + 1);
        innermost = false;
    }
    if (innermost)
        fputs(" 0x0", out); /* readers want an address; nothing is there */
    fputc('\n', out);
}

static void write_maps(FILE *out, const struct tm_snapshot_file *snapshot)
{
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const struct tm_snapshot_map *map = &snapshot->maps[i];
        struct tm_export_text path =
            tm_export_clean(tm_snapshot_string(snapshot, map->path), "", '?');
        fprintf(out, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " 00:00 %" PRIu64 " %s\n",
                map->start, map->end, map->permissions & 1 ? 'r' : '-',
                map->permissions & 2 ? 'w' : '-', map->permissions & 4 ? 'x' : '-',
                map->permissions & 8 ? 's' : 'p', map->offset, map->inode, path.text);
    }
}

bool tm_export_gperftools(struct tm_export *export)
{
    struct tm_stack_values total = {.live_bytes = 0};
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        total.live_bytes += stack.values.live_bytes;
        total.live_blocks += stack.values.live_blocks;
        total.allocated_bytes += stack.values.allocated_bytes;
        total.allocated_blocks += stack.values.allocated_blocks;
    }
    fputs("heap profile: ", export->out);
    write_values(export->out, &total);
    fputs(" heapprofile\n", export->out);
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        if (is_told(&stack.values))
            write_stack(export->out, &stack);
    }
    fputs("\nMAPPED_LIBRARIES:\n", export->out);
    write_maps(export->out, export->report->snapshot);
    return true;
}
