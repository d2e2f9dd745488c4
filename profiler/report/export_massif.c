/* export_massif.c: the text of valgrind's massif, which ms_print and massif-visualizer read. Every
 * moment of the timeline is a snapshot there: pages in use as heap, what is cached as extra. Those
 * of the peak and of the end have the tree of who allocated, and only there heap is what is in live
 * blocks, and all that is held is extra; what of it is not recorded is a branch of its own. As
 * massif does, branches below one percent are put together.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 96 /* innermost frames of a branch; ms_print warns of deeper ones */ };

/* A stack in a tree: frames by number, the innermost first. */
struct branch {
    const uint32_t *frames;
    size_t count;
    uint64_t bytes;
};

struct tree {
    struct tm_intern names;
    uint32_t *frames;
    size_t frame_count;
    struct branch *branches;
    size_t count;
    uint64_t bytes;
};

static int by_frames(const void *left, const void *right)
{
    const struct branch *a = left;
    const struct branch *b = right;
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (a->frames[i] != b->frames[i])
            return a->frames[i] < b->frames[i] ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count);
}

/* Readers take what follows a '#' for a comment, and want a place. */
static uint32_t name_of(struct tree *tree, const struct tm_stack_frame *frame)
{
    return tm_intern_text(&tree->names, tm_export_label(frame, "#", '@', "no file").text);
}

/* Room for all frames of an export, so that branches can point to them. */
static bool make_room(struct tm_export *export, struct tree *tree)
{
    size_t frames = 0;
    for (size_t i = 0; i < export->stack_count; i++)
        frames += tm_export_stack(export, i).count;
    tree->frames = calloc(frames + 1, sizeof *tree->frames);
    tree->branches = calloc(export->stack_count + 2, sizeof *tree->branches);
    return tree->frames && tree->branches;
}

static void add_stacks(struct tm_export *export, enum tm_order by, struct tree *tree)
{
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        uint64_t bytes = tm_whole(tm_stack_value(&stack.values, by));
        if (bytes == 0)
            continue;
        struct branch *branch = &tree->branches[tree->count++];
        branch->frames = tree->frames + tree->frame_count;
        branch->count = stack.count < DEEPEST ? stack.count : DEEPEST;
        branch->bytes = bytes;
        tree->bytes += bytes;
        for (size_t k = 1; k <= branch->count; k++)
            tree->frames[tree->frame_count++] = name_of(tree, &stack.frames[stack.count - k]);
    }
}

/* What is in use and not told by any stack. */
static void add_rest(struct tree *tree, uint64_t bytes)
{
    if (bytes <= tree->bytes)
        return;
    struct branch *branch = &tree->branches[tree->count++];
    branch->frames = tree->frames + tree->frame_count;
    branch->count = 1;
    branch->bytes = bytes - tree->bytes;
    tree->frames[tree->frame_count++] = tm_intern_text(&tree->names, "[not recorded]");
    tree->bytes = bytes;
}

/* The branches from `first` on that share the frame at `depth` with it; their bytes. */
static size_t same(const struct tree *tree, size_t first, size_t end, size_t depth, uint64_t *bytes)
{
    size_t at = first;
    *bytes = 0;
    while (at < end && tree->branches[at].frames[depth] == tree->branches[first].frames[depth])
        *bytes += tree->branches[at++].bytes;
    return at;
}

/* A node that is being written: its branches from `at` to `end` are left, and agree in all frames
 * that are further in. */
struct level {
    size_t at, end;
    size_t small; /* children below the threshold, which are put together */
    uint64_t small_bytes;
};

static bool is_small(const struct tree *tree, uint64_t bytes)
{
    return bytes * 100 < tree->bytes;
}

/* Writes a node's own line; text: without the number of its children. */
static struct level begin_node(FILE *out, const struct tree *tree, size_t first, size_t end,
                               size_t depth, uint64_t bytes, const char *text)
{
    size_t children = 0;
    while (first < end && tree->branches[first].count <= depth)
        first++; /* a stack that ends here has no part in a child */
    struct level level = {first, end, 0, 0};
    for (size_t at = first; at < end;) {
        uint64_t part;
        at = same(tree, at, end, depth, &part);
        children += !is_small(tree, part);
        level.small += is_small(tree, part);
        level.small_bytes += is_small(tree, part) ? part : 0;
    }
    fprintf(out, "%*sn%zu: %" PRIu64 " %s\n", (int)depth, "", children + (level.small > 0), bytes,
            text);
    return level;
}

static void write_tree(FILE *out, const struct tree *tree)
{
    struct level levels[DEEPEST + 1];
    size_t depth = 0;
    levels[0] = begin_node(out, tree, 0, tree->count, 0, tree->bytes,
                           "(heap allocation functions) malloc/new/new[], --alloc-fns, etc.");
    for (;;) {
        struct level *level = &levels[depth];
        if (level->at < level->end) {
            uint64_t part;
            size_t first = level->at;
            level->at = same(tree, first, level->end, depth, &part);
            if (is_small(tree, part))
                continue;
            const char *name = tm_intern_bytes(&tree->names, tree->branches[first].frames[depth]);
            depth++;
            levels[depth] = begin_node(out, tree, first, level->at, depth, part, name);
            continue;
        }
        if (level->small > 0)
            fprintf(out, "%*sn0: %" PRIu64 " in %zu place%s, below massif's threshold (1.00%%)\n",
                    (int)depth + 1, "", level->small_bytes, level->small,
                    level->small > 1 ? "s, all" : "");
        if (depth-- == 0)
            return;
    }
}

static void write_numbers(FILE *out, size_t number, uint64_t ms, uint64_t heap, uint64_t extra)
{
    fprintf(out,
            "#-----------\nsnapshot=%zu\n#-----------\ntime=%" PRIu64 "\nmem_heap_B=%" PRIu64
            "\nmem_heap_extra_B=%" PRIu64 "\nmem_stacks_B=0\n",
            number, ms, heap, extra);
}

/* A snapshot with a tree, of at least so many bytes in use. */
static bool write_detailed(struct tm_export *export, size_t number, uint64_t ms, uint64_t heap,
                           uint64_t extra, enum tm_order by)
{
    struct tree tree = {.frames = NULL};
    bool made = make_room(export, &tree);
    if (made) {
        add_stacks(export, by, &tree);
        add_rest(&tree, heap);
        made = !tree.names.failed;
    }
    if (made) {
        qsort(tree.branches, tree.count, sizeof *tree.branches, by_frames);
        write_numbers(export->out, number, ms, tree.bytes, extra);
        fprintf(export->out, "heap_tree=%s\n", by == TM_BY_PEAK ? "peak" : "detailed");
        write_tree(export->out, &tree);
    }
    tm_intern_free(&tree.names);
    free(tree.frames);
    free(tree.branches);
    return made;
}

bool tm_export_massif(struct tm_export *export)
{
    enum { NS_OF_MS = 1000000 };
    const struct tm_report *report = export->report;
    const struct tm_snapshot_file *snapshot = report->snapshot;
    uint64_t end = snapshot->process.since_start_ns / NS_OF_MS;
    bool told = !snapshot->has_recording || report->sites.total.peak_bytes == 0;
    size_t number = 0;
    struct tm_export_text command = tm_export_command(snapshot);
    fprintf(export->out, "desc: tidemark export\ncmd: %s\ntime_unit: ms\n", command.text);
    for (size_t i = 0; i <= snapshot->moment_count; i++) {
        const struct tm_snapshot_moment *moment =
            i < snapshot->moment_count ? &snapshot->moments[i] : NULL;
        if (moment && moment->since_start_ns / NS_OF_MS >= end)
            continue;
        /* The stacks have a peak of their own, whose moment may have none in the timeline. */
        if (!told && (!moment || moment->since_start_ns >= report->sites.peak_ns)) {
            uint64_t ms = report->sites.peak_ns / NS_OF_MS;
            told = true;
            uint64_t taken = moment ? tm_moment_bytes(moment) : 0;
            uint64_t peak = report->sites.total.peak_bytes;
            if (!write_detailed(export, number++, ms < end ? ms : end, 0,
                                taken > peak ? taken - peak : 0, TM_BY_PEAK))
                return false;
        }
        if (!moment)
            break;
        write_numbers(export->out, number++, moment->since_start_ns / NS_OF_MS,
                      moment->pool_bytes + moment->span_bytes + moment->mapping_bytes,
                      moment->cached_bytes);
        fputs("heap_tree=empty\n", export->out);
    }
    return write_detailed(export, number, end, tm_report_live(report), tm_report_held(report),
                          TM_BY_LIVE);
}
