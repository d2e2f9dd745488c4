/* diff_match.c: see diff_match.h. Each group gets a key, a text; groups of all snapshots are sorted
 * by it, and equal ones are one site. Parts of a key are told apart by control characters, which
 * names hardly ever hold; where one does, two sites could at worst be taken for one.
 */
#include "profiler/report/diff_match.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART = '\x1f', FRAME = '\x1e' };

/* A file that is mapped in a snapshot. */
struct module {
    const char *path;
    const char *build_id;
    bool shared; /* the same build is in all snapshots */
};

struct modules {
    struct module *list; /* by path, each once */
    size_t count;
};

/* A group on its way into a site. */
struct keyed {
    char *key;
    uint32_t group;
    uint32_t snapshot;
};

static int by_path(const void *left, const void *right)
{
    const struct module *a = left;
    const struct module *b = right;
    int order = strcmp(a->path, b->path);
    return order ? order : strcmp(b->build_id, a->build_id); /* one with a build id first */
}

static int by_build_id(const void *left, const void *right)
{
    const struct module *a = left;
    const struct module *b = right;
    return strcmp(a->build_id, b->build_id);
}

const char *tm_build_id_of(const struct tm_snapshot_file *snapshot, const char *path)
{
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const struct tm_snapshot_map *map = &snapshot->maps[i];
        const char *build_id = tm_snapshot_string(snapshot, map->build_id);
        if (*build_id && strcmp(tm_snapshot_string(snapshot, map->path), path) == 0)
            return build_id;
    }
    return "";
}

static bool list_modules(const struct tm_snapshot_file *snapshot, struct modules *modules)
{
    modules->list = calloc(snapshot->map_count + 1, sizeof *modules->list);
    if (!modules->list)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const char *path = tm_snapshot_string(snapshot, snapshot->maps[i].path);
        if (*path)
            modules->list[count++] = (struct module){
                path, tm_snapshot_string(snapshot, snapshot->maps[i].build_id), false};
    }
    qsort(modules->list, count, sizeof *modules->list, by_path);
    for (size_t i = 0; i < count; i++)
        if (modules->count == 0 ||
            strcmp(modules->list[modules->count - 1].path, modules->list[i].path) != 0)
            modules->list[modules->count++] = modules->list[i];
    return true;
}

static bool sort_by_build_id(const struct modules *modules, struct module **sorted)
{
    *sorted = calloc(modules->count + 1, sizeof **sorted);
    if (!*sorted)
        return false;
    for (size_t i = 0; i < modules->count; i++)
        (*sorted)[i] = modules->list[i];
    qsort(*sorted, modules->count, sizeof **sorted, by_build_id);
    return true;
}

/* Whether the same build is there; without a build id the path has to do. by_id: the modules by
 * build id. */
static const struct module *same_build(const struct module *module, const struct modules *modules,
                                       const struct module *by_id)
{
    if (*module->build_id)
        return bsearch(module, by_id, modules->count, sizeof *module, by_build_id);
    return bsearch(module, modules->list, modules->count, sizeof *module, by_path);
}

/* Marks the modules of all snapshots whose build is in every one of them. */
static bool mark_shared(struct modules *modules, size_t count)
{
    struct module *by_id[2] = {NULL, NULL};
    bool good = true;
    for (size_t i = 0; i < modules[0].count; i++)
        modules[0].list[i].shared = true;
    /* Forth: what of the first is in all; and back: what of the others is among that. */
    for (size_t k = 1; k < count && good; k++) {
        good = sort_by_build_id(&modules[k], &by_id[1]);
        for (size_t i = 0; i < modules[0].count && good; i++)
            modules[0].list[i].shared &=
                same_build(&modules[0].list[i], &modules[k], by_id[1]) != NULL;
        free(by_id[1]);
    }
    good = good && sort_by_build_id(&modules[0], &by_id[0]);
    for (size_t k = 1; k < count && good; k++)
        for (size_t i = 0; i < modules[k].count; i++) {
            const struct module *same = same_build(&modules[k].list[i], &modules[0], by_id[0]);
            modules[k].list[i].shared = same && same->shared;
        }
    free(by_id[0]);
    return good;
}

/* ---- keys ---- */

static const struct module *module_of(const struct modules *modules, const char *path)
{
    size_t low = 0;
    size_t high = modules->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(modules->list[middle].path, path);
        if (order == 0)
            return &modules->list[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The file: its build if all have it; else what a person calls it: "the program", or the library's
 * name up to ".so". */
static void put_module(FILE *key, const struct tm_report *report, const struct modules *modules,
                       const char *path)
{
    const struct module *module = module_of(modules, path);
    if (module && module->shared) {
        fputs(*module->build_id ? module->build_id : module->path, key);
        return;
    }
    struct tm_text exe = report->snapshot->exe;
    size_t length = strlen(path);
    if (length == exe.length && memcmp(path, exe.bytes, length) == 0) {
        fputs("the program", key);
        return;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *end = strstr(name, ".so");
    fprintf(key, "%.*s", (int)(end ? (size_t)(end - name) : strlen(name)), name);
}

/* Code without a name: its place in a build, or where there is no file, the address. */
static void put_place(FILE *key, const struct modules *modules, const struct tm_symbol *symbol,
                      uint64_t address)
{
    const char *path = symbol->module ? symbol->module : "";
    const struct module *module = module_of(modules, path);
    if (*path == '\0' || !module)
        fprintf(key, "%s%c%" PRIx64, path, PART, address);
    else
        fprintf(key, "%s%c%" PRIx64, *module->build_id ? module->build_id : path, PART,
                symbol->offset);
}

static void put_function(FILE *key, const struct tm_report *report, const struct modules *modules,
                         const struct tm_symbol *symbol, uint64_t address)
{
    if (!symbol->function) {
        put_place(key, modules, symbol, address);
        return;
    }
    put_module(key, report, modules, symbol->module ? symbol->module : "");
    fprintf(key, "%c%s", PART, symbol->function);
}

static void put_stack(FILE *key, const struct tm_report *report, const struct modules *modules,
                      uint32_t node)
{
    const struct tm_stacks *stacks = &report->sites.stacks;
    for (; node != 0; node = stacks->nodes[node].parent) {
        const struct tm_node *at = &stacks->nodes[node];
        if (at->flags & TM_FRAME_THREAD)
            continue;
        putc(FRAME, key);
        if (at->flags & TM_FRAME_TRUNCATED)
            continue;
        size_t count;
        const struct tm_symbol *list =
            tm_stacks_symbols(stacks, node, report->view.symbols, &count);
        const struct module *module = module_of(modules, list[0].module ? list[0].module : "");
        if (module && module->shared) {
            put_place(key, modules, &list[0], at->address);
            continue;
        }
        for (size_t i = 0; i < count; i++)
            put_function(key, report, modules, &list[i], at->address);
    }
}

static void put_file(FILE *key, const struct tm_report *report, const struct modules *modules,
                     const struct tm_symbol *symbol)
{
    if (symbol->file)
        fputs(symbol->file, key);
    else
        put_module(key, report, modules, symbol->module ? symbol->module : "");
}

static void put_group(FILE *key, const struct tm_report *report, const struct modules *modules,
                      const struct tm_group *group)
{
    const struct tm_symbol *symbol = group->who.symbol;
    switch (report->sites.grouping) {
    case TM_GROUP_STACK:
        put_stack(key, report, modules, group->node);
        break;
    case TM_GROUP_LINE:
        put_file(key, report, modules, symbol);
        fprintf(key, "%c%u", PART, symbol->line);
        if (symbol->line == 0)
            put_function(key, report, modules, symbol, group->who.address);
        break;
    case TM_GROUP_FILE:
        put_file(key, report, modules, symbol);
        break;
    case TM_GROUP_LIBRARY:
        put_module(key, report, modules, symbol->module ? symbol->module : "");
        break;
    case TM_GROUP_THREAD:
        fprintf(key, "%" PRIu64, group->thread);
        break;
    default:
        put_function(key, report, modules, symbol, group->who.address);
    }
}

static char *key_of(const struct tm_report *report, const struct modules *modules,
                    const struct tm_group *group)
{
    char *text = NULL;
    size_t size = 0;
    FILE *key = open_memstream(&text, &size);
    if (!key)
        return NULL;
    put_group(key, report, modules, group);
    if (fclose(key) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- sites ---- */

static void add_independent(struct tm_estimate *sum, const struct tm_estimate *more)
{
    sum->value += more->value;
    sum->error = hypot(sum->error, more->error);
    sum->exact &= more->exact;
    sum->few = sum->few && more->few;
}

static void add_dependent(struct tm_estimate *sum, const struct tm_estimate *more)
{
    double error = sum->error + more->error;
    add_independent(sum, more);
    sum->error = error;
}

static void add_group(const struct tm_report *report, uint32_t group, struct tm_match_cell *cell)
{
    const struct tm_group *from = &report->sites.groups[group];
    const struct tm_group_held *held = &report->held.groups[group];
    if (cell->group == TM_MATCH_NOBODY) {
        *cell = (struct tm_match_cell){.group = group,
                                       .live = from->live_bytes,
                                       .share = held->share,
                                       .sole = held->sole_resident};
    } else {
        if (from->live_bytes.value > report->sites.groups[cell->group].live_bytes.value)
            cell->group = group;
        add_independent(&cell->live, &from->live_bytes);
        add_dependent(&cell->share, &held->share);
        add_dependent(&cell->sole, &held->sole_resident);
    }
    cell->share_bytes += held->share_bytes;
    cell->live_blocks += from->live_blocks.value;
    cell->live_samples += from->sums.live_samples;
}

static int by_key(const void *left, const void *right)
{
    const struct keyed *a = left;
    const struct keyed *b = right;
    int order = strcmp(a->key, b->key);
    if (order == 0)
        order = (a->snapshot > b->snapshot) - (a->snapshot < b->snapshot);
    return order ? order : (a->group > b->group) - (a->group < b->group);
}

/* Nothing of a site, in a snapshot that has none of it: as sure as that snapshot's figures are. */
static struct tm_match_cell nobody(const struct tm_report *report)
{
    struct tm_match_cell cell = {.group = TM_MATCH_NOBODY};
    cell.live.exact = !report->sites.sampled;
    cell.share.exact = report->held.pinned.exact;
    cell.sole.exact = report->held.resident.exact;
    return cell;
}

static bool fill(const struct tm_report *const *reports, size_t count, struct keyed *keyed,
                 size_t keys, struct tm_match *match)
{
    qsort(keyed, keys, sizeof *keyed, by_key);
    match->snapshots = count;
    match->cells = calloc((keys + 1) * count + 1, sizeof *match->cells);
    if (!match->cells)
        return false;
    for (size_t i = 0; i < (keys + 1) * count; i++)
        match->cells[i] = nobody(reports[i % count]);
    for (size_t i = 0; i < count; i++)
        add_group(reports[i], TM_GROUP_UNKNOWN, &match->cells[i]);
    match->sites = 1;
    for (size_t i = 0; i < keys; i++) {
        if (i == 0 || strcmp(keyed[i - 1].key, keyed[i].key) != 0)
            match->sites++;
        size_t cell = (match->sites - 1) * count + keyed[i].snapshot;
        add_group(reports[keyed[i].snapshot], keyed[i].group, &match->cells[cell]);
    }
    return true;
}

bool tm_match_make(const struct tm_report *const *reports, size_t count, struct tm_match *match)
{
    *match = (struct tm_match){.cells = NULL};
    size_t room = 1;
    for (size_t i = 0; i < count; i++)
        room += reports[i]->sites.count;
    struct keyed *keyed = calloc(room, sizeof *keyed);
    struct modules *modules = calloc(count + 1, sizeof *modules);
    bool good = keyed && modules;
    size_t keys = 0;
    for (size_t i = 0; i < count && good; i++)
        good = list_modules(reports[i]->snapshot, &modules[i]);
    good = good && mark_shared(modules, count);
    for (size_t i = 0; i < count && good; i++)
        for (uint32_t k = TM_GROUP_UNKNOWN + 1; k < reports[i]->sites.count && good; k++) {
            char *key = key_of(reports[i], &modules[i], &reports[i]->sites.groups[k]);
            good = key != NULL;
            if (good)
                keyed[keys++] = (struct keyed){key, k, (uint32_t)i};
        }
    good = good && fill(reports, count, keyed, keys, match);
    for (size_t i = 0; i < keys; i++)
        free(keyed[i].key);
    for (size_t i = 0; modules && i < count; i++)
        free(modules[i].list);
    free(keyed);
    free(modules);
    return good;
}

void tm_match_free(struct tm_match *match)
{
    free(match->cells);
    *match = (struct tm_match){.cells = NULL};
}
