/* report_html_flame.c: the member `flame` of the page's data, as html/flame.js wants it: all stacks
 * as one tree with six figures, and of each node the site whose stack ends there. Functions inlined
 * into each other are nodes of their own. Where the tree is too large for a page, what is small in
 * every figure is put together in nodes that say so; the heaviest stack of each listed site stays
 * whole.
 */
#include "profiler/report/html_page.h"
#include "profiler/report/report_html.h"
#include "profiler/report/stack_values.h"
#include "profiler/report/who.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS = 6, MOST_NODES = 25000 };

static const struct {
    const char *key, *label, *unit;
} metrics[METRICS] = {
    {"held", "held", "bytes"},           {"live", "live", "bytes"},
    {"sole", "sole-pinned", "bytes"},    {"peak", "live at the peak", "bytes"},
    {"allocated", "allocated", "bytes"}, {"temporary", "temporary", "blocks"},
};

/* What a node of the tree is: a place in the code, told by all that is shown of it. */
struct frame {
    char *name, *place, *module;
    uint32_t number; /* in the page's list; 0: not in it yet */
};

struct branch {
    uint32_t parent, frame;
    uint32_t site;   /* place in the page's list; TM_HTML_NOT_LISTED */
    bool keep;       /* whatever its size */
    uint32_t number; /* in the page's list, plus 1; 0: left out */
    double self[METRICS], all[METRICS];
};

struct tree {
    const struct tm_report *report, *by_stack;
    const struct tm_html_sites *sites;
    struct frame *frames;
    size_t frame_count, frame_room;
    struct branch *branches; /* [0] is the root; parents come before their children */
    size_t branch_count, branch_room;
    uint32_t *table; /* open addressing: 1 + a frame, or a branch */
    size_t table_size;
    uint32_t *branch_table;
    size_t branch_table_size;
    uint32_t *end_of; /* branch where the stack of each group of by_stack ends */
    bool failed;      /* not enough memory */
};

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t hash_frame(const struct frame *frame)
{
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), frame->name);
    hash = hash_text(hash_text(hash, frame->place), frame->module);
    return hash ^ hash >> 29;
}

static uint64_t hash_branch(uint32_t parent, uint32_t frame)
{
    uint64_t hash = ((uint64_t)parent << 32 | frame) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct tree *tree, bool frames, size_t i)
{
    return frames ? hash_frame(&tree->frames[i])
                  : hash_branch(tree->branches[i].parent, tree->branches[i].frame);
}

/* Makes room in a table for one more entry than there are. */
static bool grow_table(struct tree *tree, bool frames)
{
    uint32_t **table = frames ? &tree->table : &tree->branch_table;
    size_t *size = frames ? &tree->table_size : &tree->branch_table_size;
    size_t count = frames ? tree->frame_count : tree->branch_count;
    if (*table && (count + 1) * 2 <= *size)
        return true;
    size_t wanted = *size ? *size * 2 : 4096;
    uint32_t *fresh = calloc(wanted, sizeof *fresh);
    if (!fresh)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t slot = hash_of(tree, frames, i) & (wanted - 1);
        while (fresh[slot])
            slot = (slot + 1) & (wanted - 1);
        fresh[slot] = (uint32_t)i + 1;
    }
    free(*table);
    *table = fresh;
    *size = wanted;
    return true;
}

/* The array with room for one more element; NULL, and the array as it was, without memory. */
static void *grown(void *array, size_t count, size_t *room, size_t element)
{
    if (count < *room)
        return array;
    size_t wanted = *room ? *room * 2 : 1024;
    void *larger = reallocarray(array, wanted, element);
    *room = larger ? wanted : *room;
    return larger;
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->place, b->place) == 0 &&
           strcmp(a->module, b->module) == 0;
}

/* The number of a frame, which is copied if it is new. */
static uint32_t find_frame(struct tree *tree, const struct frame *wanted)
{
    if (!grow_table(tree, true)) {
        tree->failed = true;
        return 0;
    }
    size_t slot = hash_frame(wanted) & (tree->table_size - 1);
    for (; tree->table[slot]; slot = (slot + 1) & (tree->table_size - 1))
        if (same_frame(&tree->frames[tree->table[slot] - 1], wanted))
            return tree->table[slot] - 1;
    struct frame *frames =
        grown(tree->frames, tree->frame_count, &tree->frame_room, sizeof *frames);
    if (!frames) {
        tree->failed = true;
        return 0;
    }
    tree->frames = frames;
    struct frame *fresh = &tree->frames[tree->frame_count];
    *fresh = (struct frame){strdup(wanted->name), strdup(wanted->place), strdup(wanted->module), 0};
    tree->table[slot] = (uint32_t)++tree->frame_count;
    tree->failed = tree->failed || !fresh->name || !fresh->place || !fresh->module;
    return (uint32_t)tree->frame_count - 1;
}

static uint32_t find_branch(struct tree *tree, uint32_t parent, uint32_t frame)
{
    if (!grow_table(tree, false)) {
        tree->failed = true;
        return 0;
    }
    size_t slot = hash_branch(parent, frame) & (tree->branch_table_size - 1);
    for (; tree->branch_table[slot]; slot = (slot + 1) & (tree->branch_table_size - 1)) {
        const struct branch *branch = &tree->branches[tree->branch_table[slot] - 1];
        /* The root has a slot like any other, and is nobody's child. */
        if (branch->parent == parent && branch->frame == frame && branch != tree->branches)
            return tree->branch_table[slot] - 1;
    }
    struct branch *branches =
        grown(tree->branches, tree->branch_count, &tree->branch_room, sizeof *branches);
    if (!branches) {
        tree->failed = true;
        return 0;
    }
    tree->branches = branches;
    tree->branches[tree->branch_count] =
        (struct branch){.parent = parent, .frame = frame, .site = TM_HTML_NOT_LISTED};
    tree->branch_table[slot] = (uint32_t)++tree->branch_count;
    return (uint32_t)tree->branch_count - 1;
}

static uint32_t find_step(struct tree *tree, uint32_t parent, const struct tm_stack_frame *step)
{
    char name[256];
    char place[256] = "";
    const struct tm_symbol *symbol = step->symbol;
    struct frame frame = {.place = place, .module = (char *)""};
    if (symbol->file && symbol->line)
        snprintf(place, sizeof place, "%.200s:%u", tm_base_name(symbol->file), symbol->line);
    else if (symbol->file)
        snprintf(place, sizeof place, "%.200s", tm_base_name(symbol->file));
    if (symbol->module)
        frame.module = (char *)tm_base_name(symbol->module);
    frame.name = (char *)tm_stack_frame_name(step, name, sizeof name);
    return find_branch(tree, parent, find_frame(tree, &frame));
}

/* Place in the page's list of sites for each group of by_stack: that of one of its sites. */
static uint32_t *places(const struct tree *tree)
{
    const struct tm_snapshot_file *snapshot = tree->report->snapshot;
    uint32_t *place = calloc(tree->by_stack->sites.count + 1, sizeof *place);
    for (size_t i = 0; i < tree->by_stack->sites.count && place; i++)
        place[i] = tree->sites->place_of[TM_GROUP_UNKNOWN];
    for (size_t i = 0; i < snapshot->site_count && place; i++)
        place[tree->by_stack->sites.group_of_site[i]] =
            tree->sites->place_of[tree->report->sites.group_of_site[i]];
    return place;
}

/* The stack of one group, with its figures at its end. */
static void add_stack(struct tree *tree, uint32_t group, uint32_t site, struct tm_stack_walk *walk)
{
    struct tm_stack_values values = tm_stack_values(tree->by_stack, group);
    const double figures[METRICS] = {(double)values.held_bytes,      (double)values.live_bytes,
                                     (double)values.sole_bytes,      (double)values.peak_bytes,
                                     (double)values.allocated_bytes, values.temporary_blocks};
    struct tm_stack_frame step;
    uint32_t at = 0;
    tm_stack_walk_start(walk, tree->by_stack, group);
    while (!tree->failed && tm_stack_walk_next(walk, &step))
        at = find_step(tree, at, &step);
    if (tree->failed)
        return;
    tree->end_of[group] = at;
    tree->branches[at].site = site;
    for (int i = 0; i < METRICS; i++)
        tree->branches[at].self[i] += figures[i];
}

static bool grow_tree(struct tree *tree)
{
    size_t groups = tree->by_stack->sites.count;
    uint32_t *site_of = places(tree);
    uint32_t *best = calloc(tree->sites->count + 1, sizeof *best);
    struct tm_stack_walk *walk = calloc(1, sizeof *walk);
    tree->end_of = calloc(groups + 1, sizeof *tree->end_of);
    tree->branches = grown(NULL, 0, &tree->branch_room, sizeof *tree->branches);
    if (!tree->branches || !site_of || !best || !walk || !tree->end_of) {
        tree->failed = true;
    } else {
        tree->branches[0] = (struct branch){.site = TM_HTML_NOT_LISTED, .keep = true};
        tree->branch_count = 1;
    }
    for (uint32_t i = 0; i < groups && !tree->failed; i++)
        if (i != TM_GROUP_UNKNOWN || tree->report->snapshot->has_recording)
            add_stack(tree, i, site_of[i], walk);
    /* The heaviest stack of each listed site stays. */
    for (uint32_t i = 1; i < groups && !tree->failed; i++) {
        struct tm_stack_values a = tm_stack_values(tree->by_stack, i);
        uint32_t site = site_of[i];
        if (site == TM_HTML_NOT_LISTED)
            continue;
        struct tm_stack_values b = tm_stack_values(tree->by_stack, best[site]);
        if (best[site] == 0 || a.held_bytes + a.live_bytes > b.held_bytes + b.live_bytes)
            best[site] = i;
    }
    for (size_t i = 0; i < tree->sites->count && !tree->failed; i++)
        if (best[i] != 0)
            tree->branches[tree->end_of[best[i]]].keep = true;
    free(site_of);
    free(best);
    free(walk);
    return !tree->failed;
}

/* Whether a branch is at least such a part of some figure. */
static bool is_large(const struct tree *tree, const struct branch *branch, double part)
{
    for (int i = 0; i < METRICS; i++)
        if (branch->all[i] > 0 && branch->all[i] >= part * tree->branches[0].all[i])
            return true;
    return false;
}

/* Numbers the branches that are shown: at most MOST_NODES, apart from those that stay. (One more is
 * written for what is left out below each.) */
static size_t choose(struct tree *tree)
{
    size_t shown = 0;
    for (size_t i = tree->branch_count; i-- > 0;) {
        struct branch *branch = &tree->branches[i];
        struct branch *parent = &tree->branches[branch->parent];
        for (int k = 0; k < METRICS; k++)
            branch->all[k] += branch->self[k];
        if (i == 0)
            break;
        for (int k = 0; k < METRICS; k++)
            parent->all[k] += branch->all[k];
        parent->keep = parent->keep || branch->keep;
    }
    /* First all that have anything; then what is 1 in 2^20 of all, in 2^19, … */
    for (int step = 0; step <= 20; step++) {
        double part = step == 0 ? 0 : ldexp(1, step - 21);
        shown = 0;
        for (size_t i = 0; i < tree->branch_count; i++) {
            struct branch *branch = &tree->branches[i];
            branch->number = branch->keep || is_large(tree, branch, part) ? (uint32_t)++shown : 0;
        }
        if (shown <= MOST_NODES)
            break;
    }
    return shown;
}

/* What is left out below a shown branch, added to `rest` of it. */
static double *sum_rest(const struct tree *tree, size_t shown)
{
    double *rest = calloc((shown + 1) * METRICS, sizeof *rest);
    for (size_t i = 1; i < tree->branch_count && rest; i++) {
        const struct branch *branch = &tree->branches[i];
        const struct branch *parent = &tree->branches[branch->parent];
        for (int k = 0; k < METRICS && branch->number == 0 && parent->number != 0; k++)
            rest[parent->number * METRICS + (unsigned)k] += branch->all[k];
    }
    return rest;
}

static bool has_rest(const double *rest, uint32_t number)
{
    for (int k = 0; k < METRICS; k++)
        if (rest[number * METRICS + (unsigned)k] > 0)
            return true;
    return false;
}

static void write_frames(struct tm_json *json, struct tree *tree)
{
    uint32_t frames = 0;
    tm_json_start(json, "frames", '[');
    tm_html_frame(json, "[smaller ones]", "", "");
    for (size_t i = 1; i < tree->branch_count; i++) {
        struct frame *frame = &tree->frames[tree->branches[i].frame];
        if (tree->branches[i].number == 0 || frame->number != 0)
            continue;
        frame->number = ++frames;
        tm_html_frame(json, frame->name, frame->place, frame->module);
    }
    tm_json_end(json, ']');
}

enum column { PARENT, FRAME, SITE, SELF };

/* One list over all nodes: those that are shown, and behind them one for what is left out below
 * each. site: 1 + the place in the list of sites; 0: no stack ends here, or its site is not listed.
 */
static void write_column(struct tm_json *json, const char *key, const struct tree *tree,
                         enum column column, int metric, const double *rest)
{
    tm_json_start(json, key, '[');
    for (size_t i = 0; i < tree->branch_count; i++) {
        const struct branch *branch = &tree->branches[i];
        if (branch->number == 0)
            continue;
        uint32_t parent = i == 0 ? 0 : tree->branches[branch->parent].number - 1;
        uint32_t frame = i == 0 ? 0 : tree->frames[branch->frame].number;
        uint32_t site = branch->site == TM_HTML_NOT_LISTED ? 0 : branch->site + 1;
        tm_json_number(json, NULL,
                       column == PARENT  ? parent
                       : column == FRAME ? frame
                       : column == SITE  ? site
                                         : tm_whole(branch->self[metric]));
    }
    for (size_t i = 0; i < tree->branch_count; i++) {
        uint32_t number = tree->branches[i].number;
        if (number == 0 || !has_rest(rest, number))
            continue;
        tm_json_number(json, NULL,
                       column == PARENT ? number - 1
                       : column == SELF ? tm_whole(rest[number * METRICS + (unsigned)metric])
                                        : 0);
    }
    tm_json_end(json, ']');
}

static void write_tree(struct tm_json *json, struct tree *tree, const double *rest)
{
    tm_json_start(json, "flame", '{');
    write_frames(json, tree);
    write_column(json, "parent", tree, PARENT, 0, rest);
    write_column(json, "frame", tree, FRAME, 0, rest);
    write_column(json, "site", tree, SITE, 0, rest);
    tm_json_start(json, "metrics", '[');
    for (int i = 0; i < METRICS; i++) {
        tm_json_start(json, NULL, '{');
        tm_json_string(json, "key", metrics[i].key);
        tm_json_string(json, "label", metrics[i].label);
        tm_json_string(json, "unit", metrics[i].unit);
        write_column(json, "self", tree, SELF, i, rest);
        tm_json_end(json, '}');
    }
    tm_json_end(json, ']');
    tm_json_end(json, '}');
}

bool tm_report_html_flame(struct tm_json *json, const struct tm_report *report,
                          const struct tm_report *by_stack, const struct tm_html_sites *sites)
{
    struct tree tree = {.report = report, .by_stack = by_stack, .sites = sites};
    double *rest = NULL;
    bool made = grow_tree(&tree);
    if (made) {
        size_t shown = choose(&tree);
        rest = sum_rest(&tree, shown);
        made = rest != NULL;
    }
    if (made)
        write_tree(json, &tree, rest);
    free(rest);
    for (size_t i = 0; i < tree.frame_count; i++) {
        free(tree.frames[i].name);
        free(tree.frames[i].place);
        free(tree.frames[i].module);
    }
    free(tree.frames);
    free(tree.branches);
    free(tree.table);
    free(tree.branch_table);
    free(tree.end_of);
    return made;
}
