/* stacks.c: see stacks.h. */
#include "profiler/report/stacks.h"

#include "profiler/report/wrappers.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static size_t place_of(const struct tm_stacks *stacks, const struct tm_node *node)
{
    uint64_t hash = mix(node->address + mix((uint64_t)node->parent << 32 | node->flags));
    size_t at = hash & (stacks->table_size - 1);
    while (stacks->table[at] != 0) {
        const struct tm_node *other = &stacks->nodes[stacks->table[at]];
        if (other->address == node->address && other->parent == node->parent &&
            other->flags == node->flags)
            break;
        at = (at + 1) & (stacks->table_size - 1);
    }
    return at;
}

static bool grow(struct tm_stacks *stacks)
{
    size_t room = stacks->room ? stacks->room * 2 : 64;
    struct tm_node *nodes = realloc(stacks->nodes, room * sizeof *nodes);
    if (!nodes)
        return false;
    stacks->nodes = nodes;
    uint32_t *table = calloc(room * 2, sizeof *table);
    if (!table)
        return false;
    free(stacks->table);
    stacks->table = table;
    stacks->table_size = room * 2;
    stacks->room = room;
    for (size_t i = 1; i < stacks->count; i++)
        stacks->table[place_of(stacks, &stacks->nodes[i])] = (uint32_t)i;
    return true;
}

/* The number of the node that is like this one. False when memory runs out. */
static bool intern(struct tm_stacks *stacks, struct tm_node node, uint32_t *number)
{
    if (stacks->count == stacks->room && !grow(stacks))
        return false;
    size_t at = place_of(stacks, &node);
    if (stacks->table[at] == 0) {
        stacks->table[at] = (uint32_t)stacks->count;
        stacks->nodes[stacks->count++] = node;
    }
    *number = stacks->table[at];
    return true;
}

bool tm_stacks_make(const struct tm_snapshot_file *snapshot, struct tm_stacks *stacks)
{
    *stacks = (struct tm_stacks){.count = 1};
    stacks->of_frame = calloc(snapshot->frame_count + 1, sizeof *stacks->of_frame);
    bool made = stacks->of_frame && grow(stacks);
    if (made)
        stacks->nodes[0] = (struct tm_node){0, 0, 0};
    for (size_t i = 1; i < snapshot->frame_count && made; i++) {
        const struct tm_snapshot_frame *frame = &snapshot->frames[i];
        struct tm_node node = {frame->address, stacks->of_frame[frame->parent], frame->flags};
        made = intern(stacks, node, &stacks->of_frame[i]);
    }
    if (!made)
        tm_stacks_free(stacks);
    return made;
}

void tm_stacks_free(struct tm_stacks *stacks)
{
    free(stacks->nodes);
    free(stacks->of_frame);
    free(stacks->table);
    *stacks = (struct tm_stacks){.nodes = NULL};
}

static bool is_code(const struct tm_node *node)
{
    return !(node->flags & (TM_FRAME_TRUNCATED | TM_FRAME_THREAD));
}

bool tm_stacks_cut(struct tm_stacks *stacks, uint32_t node, size_t depth, uint32_t *cut)
{
    enum { DEEPEST = 1024 };
    struct tm_node kept[DEEPEST];
    size_t count = 0;
    for (; node != 0 && count < depth && count < DEEPEST; node = stacks->nodes[node].parent)
        if (is_code(&stacks->nodes[node]))
            kept[count++] = stacks->nodes[node];
    *cut = 0;
    while (count-- > 0) {
        kept[count].parent = *cut;
        if (!intern(stacks, kept[count], cut))
            return false;
    }
    return true;
}

bool tm_stacks_thread(const struct tm_stacks *stacks, uint32_t node, uint64_t *thread)
{
    for (; node != 0; node = stacks->nodes[node].parent) {
        if (!(stacks->nodes[node].flags & TM_FRAME_THREAD))
            continue;
        *thread = stacks->nodes[node].address;
        return true;
    }
    return false;
}

const struct tm_symbol *tm_stacks_symbols(const struct tm_stacks *stacks, uint32_t node,
                                          struct tm_symbols *symbols, size_t *count)
{
    static const struct tm_symbol unknown = {.module = ""};
    const struct tm_node *at = &stacks->nodes[node];
    *count = 1;
    if (!symbols || node == 0 || !is_code(at))
        return &unknown;
    return tm_symbols_at(symbols, at->address, at->flags & TM_FRAME_EXACT, count);
}

static bool is_python_function(const struct tm_symbol *symbol)
{
    size_t length = symbol->file ? strlen(symbol->file) : 0;
    return length > 3 && strcmp(symbol->file + length - 3, ".py") == 0;
}

/* CPython's loop: what it calls is called by Python code. */
static bool is_evaluation(const struct tm_symbol *symbol)
{
    return symbol->function && strncmp(symbol->function, "_PyEval_", 8) == 0;
}

/* CPython itself, which makes objects for whoever calls it, or libc. */
static bool is_interpreter(const struct tm_symbol *symbol)
{
    static const char *const names[] = {"python", "libpython", "libc.so", "ld-linux"};
    const char *path = symbol->module ? symbol->module : "";
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return *name == '\0';
}

struct tm_who tm_stacks_who(const struct tm_stacks *stacks, uint32_t node,
                            struct tm_symbols *symbols, bool python)
{
    size_t count;
    struct tm_who innermost = {tm_stacks_symbols(stacks, node, symbols, &count),
                               stacks->nodes[node].address};
    struct tm_who found = {NULL, 0}, extension = {NULL, 0};
    bool evaluates = false; /* Python code from here outwards */
    for (; node != 0 && (python || !found.symbol); node = stacks->nodes[node].parent) {
        if (!is_code(&stacks->nodes[node]))
            continue;
        const struct tm_symbol *list = tm_stacks_symbols(stacks, node, symbols, &count);
        for (size_t i = 0; i < count; i++) {
            struct tm_who who = {&list[i], stacks->nodes[node].address};
            if (python && is_python_function(&list[i]))
                return who;
            if (tm_is_wrapper(list[i].function))
                continue;
            if (!found.symbol)
                found = who;
            evaluates |= is_evaluation(&list[i]);
            if (python && !extension.symbol && !evaluates && !is_interpreter(&list[i]))
                extension = who;
        }
    }
    return extension.symbol ? extension : found.symbol ? found : innermost;
}
