/* diff_html_flame.c: the stacks of two snapshots as one tree, of which each node has live and held
 * bytes before and after. A node is told from its brothers by its function's name and file, and, as
 * long as both are of one program, by the line. Where the tree is too large for a page, what is
 * small in every figure counts for its caller instead.
 */
#include "profiler/report/diff_html.h"
#include "profiler/report/html_page.h"
#include "profiler/report/stack_values.h"
#include "profiler/report/who.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS = 2, MOST_NODES = 25000 };

static const struct {
    const char *key, *label;
} metrics[METRICS] = {{"live", "live"}, {"held", "held"}};

struct frame {
    char *name, *place, *module;
    uint32_t number;  /* in order of making */
    uint32_t written; /* place in the page's list, plus 1; 0: in no node that is shown */
};

struct node {
    uint32_t number; /* in order of making: parents come first */
    uint32_t parent, frame;
    uint32_t written; /* place in the page's list */
    bool shown;
    double self[METRICS][2], all[METRICS][2];
};

struct tree {
    void *frames_by_text, *nodes_by_place; /* of tsearch() */
    struct frame **frames;
    struct node **nodes;
    size_t frame_count, frame_room, node_count, node_room;
    bool same_program;
};

static int by_text(const void *left, const void *right)
{
    const struct frame *a = left;
    const struct frame *b = right;
    int order = strcmp(a->name, b->name);
    order = order ? order : strcmp(a->place, b->place);
    return order ? order : strcmp(a->module, b->module);
}

static int by_place(const void *left, const void *right)
{
    const struct node *a = left;
    const struct node *b = right;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return (a->frame > b->frame) - (a->frame < b->frame);
}

/* Room for one more pointer. */
static bool make_room(void *list, size_t count, size_t *room)
{
    if (count < *room)
        return true;
    size_t wanted = *room ? *room * 2 : 1024;
    void *larger = reallocarray(*(void **)list, wanted, sizeof(void *));
    if (!larger)
        return false;
    *(void **)list = larger;
    *room = wanted;
    return true;
}

static void free_frame(struct frame *frame)
{
    free(frame->name);
    free(frame->place);
    free(frame->module);
    free(frame);
}

/* The number of a frame, which is copied if it is new; false without memory. */
static bool find_frame(struct tree *tree, const struct frame *wanted, uint32_t *number)
{
    struct frame *const *found = tfind(wanted, &tree->frames_by_text, by_text);
    if (found) {
        *number = (*found)->number;
        return true;
    }
    struct frame *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return false;
    *fresh = (struct frame){.name = strdup(wanted->name),
                            .place = strdup(wanted->place),
                            .module = strdup(wanted->module),
                            .number = (uint32_t)tree->frame_count};
    if (!fresh->name || !fresh->place || !fresh->module ||
        !make_room(&tree->frames, tree->frame_count, &tree->frame_room) ||
        !tsearch(fresh, &tree->frames_by_text, by_text)) {
        free_frame(fresh);
        return false;
    }
    *number = fresh->number;
    tree->frames[tree->frame_count++] = fresh;
    return true;
}

/* The child of a node; NULL without memory. */
static struct node *find_node(struct tree *tree, uint32_t parent, uint32_t frame)
{
    struct node wanted = {.parent = parent, .frame = frame};
    struct node *const *found = tfind(&wanted, &tree->nodes_by_place, by_place);
    if (found)
        return *found;
    struct node *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    *fresh = (struct node){.number = (uint32_t)tree->node_count, .parent = parent, .frame = frame};
    bool root = tree->node_count == 0; /* nobody's child */
    if (!make_room(&tree->nodes, tree->node_count, &tree->node_room) ||
        (!root && !tsearch(fresh, &tree->nodes_by_place, by_place))) {
        free(fresh);
        return NULL;
    }
    tree->nodes[tree->node_count++] = fresh;
    return fresh;
}

static struct node *step_in(struct tree *tree, const struct node *from,
                            const struct tm_stack_frame *step)
{
    char name[256];
    char place[256] = "";
    const struct tm_symbol *symbol = step->symbol;
    if (tree->same_program && symbol->file && symbol->line)
        snprintf(place, sizeof place, "%.200s:%u", tm_base_name(symbol->file), symbol->line);
    else if (symbol->file)
        snprintf(place, sizeof place, "%.200s", tm_base_name(symbol->file));
    struct frame frame = {
        .name = (char *)tm_stack_frame_name(step, name, sizeof name),
        .place = place,
        .module = (char *)(symbol->module ? tm_base_name(symbol->module) : ""),
    };
    uint32_t number;
    return find_frame(tree, &frame, &number) ? find_node(tree, from->number, number) : NULL;
}

static bool add_stacks(struct tree *tree, const struct tm_report *report, int side)
{
    struct tm_stack_walk *walk = calloc(1, sizeof *walk);
    bool good = walk != NULL;
    for (uint32_t i = 0; i < report->sites.count && good; i++) {
        struct tm_stack_values values = tm_stack_values(report, i);
        struct tm_stack_frame step;
        struct node *at = tree->nodes[0];
        if (values.live_bytes == 0 && values.held_bytes == 0)
            continue;
        tm_stack_walk_start(walk, report, i);
        while (at && tm_stack_walk_next(walk, &step))
            if (step.kind != TM_STACK_THREAD)
                at = step_in(tree, at, &step);
        good = at != NULL;
        if (!good)
            break;
        at->self[0][side] += (double)values.live_bytes;
        at->self[1][side] += (double)values.held_bytes;
    }
    free(walk);
    return good;
}

static bool is_large(const struct tree *tree, const struct node *node, double part)
{
    for (int i = 0; i < METRICS; i++)
        for (int side = 0; side < 2; side++)
            if (node->all[i][side] > 0 && node->all[i][side] >= part * tree->nodes[0]->all[i][side])
                return true;
    return false;
}

static void add_to(struct node *parent, const struct node *node, bool self)
{
    for (int i = 0; i < METRICS; i++)
        for (int side = 0; side < 2; side++)
            *(self ? &parent->self[i][side] : &parent->all[i][side]) += node->all[i][side];
}

/* Marks the nodes that are shown, MOST_NODES at most, and gives what is left out to their callers.
 */
static void choose(struct tree *tree)
{
    for (size_t i = tree->node_count; i-- > 0;) {
        struct node *node = tree->nodes[i];
        for (int k = 0; k < METRICS; k++)
            for (int side = 0; side < 2; side++)
                node->all[k][side] += node->self[k][side];
        if (i > 0)
            add_to(tree->nodes[node->parent], node, false);
    }
    for (int step = 0; step < 20; step++) {
        double part = step > 0 ? ldexp(1e-6, step) : 0;
        size_t shown = 0;
        for (size_t i = 0; i < tree->node_count; i++) {
            struct node *node = tree->nodes[i];
            node->shown = i == 0 || is_large(tree, node, part);
            node->written = (uint32_t)shown;
            shown += node->shown;
        }
        if (shown <= MOST_NODES)
            break;
    }
    /* A node is never larger than its caller, so the caller of the outermost that is left out is
     * shown. */
    for (size_t i = 1; i < tree->node_count; i++) {
        struct node *parent = tree->nodes[tree->nodes[i]->parent];
        if (!tree->nodes[i]->shown && parent->shown)
            add_to(parent, tree->nodes[i], true);
    }
}

static void write_frames(struct tm_json *json, struct tree *tree)
{
    uint32_t written = 0;
    tm_json_start(json, "frames", '[');
    for (size_t i = 1; i < tree->node_count; i++) {
        struct frame *frame = tree->frames[tree->nodes[i]->frame];
        if (!tree->nodes[i]->shown || frame->written)
            continue;
        frame->written = ++written;
        tm_html_frame(json, frame->name, frame->place, frame->module);
    }
    tm_json_end(json, ']');
}

static void write_selves(struct tm_json *json, const char *key, const struct tree *tree, int metric,
                         int side)
{
    tm_json_start(json, key, '[');
    for (size_t i = 0; i < tree->node_count; i++)
        if (tree->nodes[i]->shown)
            tm_json_number(json, NULL, tm_whole(tree->nodes[i]->self[metric][side]));
    tm_json_end(json, ']');
}

static void write_tree(struct tm_json *json, struct tree *tree)
{
    tm_json_start(json, "flame", '{');
    write_frames(json, tree);
    tm_json_start(json, "parent", '[');
    for (size_t i = 0; i < tree->node_count; i++)
        if (tree->nodes[i]->shown)
            tm_json_number(json, NULL, tree->nodes[tree->nodes[i]->parent]->written);
    tm_json_end(json, ']');
    tm_json_start(json, "frame", '[');
    for (size_t i = 0; i < tree->node_count; i++)
        if (tree->nodes[i]->shown)
            tm_json_number(json, NULL,
                           i == 0 ? 0 : tree->frames[tree->nodes[i]->frame]->written - 1);
    tm_json_end(json, ']');
    tm_json_start(json, "metrics", '[');
    for (int i = 0; i < METRICS; i++) {
        tm_json_start(json, NULL, '{');
        tm_json_string(json, "key", metrics[i].key);
        tm_json_string(json, "label", metrics[i].label);
        tm_json_string(json, "unit", "bytes");
        write_selves(json, "before", tree, i, 0);
        write_selves(json, "self", tree, i, 1);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_end(json, '}');
}

static void keep(void *node)
{
    (void)node; /* the lists free it */
}

bool tm_diff_html_flame(struct tm_json *json, const struct tm_report *const by_stack[2],
                        bool same_program)
{
    struct tree tree = {.same_program = same_program};
    bool made = find_node(&tree, 0, 0) != NULL;
    for (int side = 0; side < 2 && made; side++)
        made = add_stacks(&tree, by_stack[side], side);
    if (made) {
        choose(&tree);
        write_tree(json, &tree);
    }
    tdestroy(tree.nodes_by_place, keep);
    tdestroy(tree.frames_by_text, keep);
    for (size_t i = 0; i < tree.node_count; i++)
        free(tree.nodes[i]);
    for (size_t i = 0; i < tree.frame_count; i++)
        free_frame(tree.frames[i]);
    free(tree.nodes);
    free(tree.frames);
    return made;
}
