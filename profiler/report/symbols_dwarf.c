/* symbols_dwarf.c: see symbols_dwarf.h. Files may be damaged or hostile: what is kept of one is
 * bounded, reference chains are bounded by their length, and nothing makes libdw open a file on its
 * own that is not a regular one (split and shared DIEs live in other files, and their paths are the
 * file's word).
 */
#include "profiler/report/symbols_dwarf.h"

#include "profiler/report/symbols_ranges.h"

#include <dwarf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ORIGIN_LIMIT = 16,    /* references from a DIE to the one that has its name */
    DEPTH_LIMIT = 64,     /* DIEs inside each other in which functions are looked for */
    RANGE_LIMIT = 4 << 20 /* of a file's units, or of a unit's functions */
};

/* A function whose DIE has a name without its namespaces and classes. */
struct scoped {
    Dwarf_Off die;
    const char *scope; /* "shop::Basket::" */
};

struct unit {
    Dwarf_Die die;              /* has the ranges and lines */
    Dwarf_Die body;             /* has the functions: the same, or in a .dwo file */
    Dwarf_Off start;            /* of its header; units are in this order */
    struct tm_ranges functions; /* value: index in function_dies */
    Dwarf_Die *function_dies;
    size_t function_count, function_room;
    struct scoped *scoped; /* by offset */
    size_t scoped_count, scoped_room;
    bool indexed;
};

/* The units of one file. */
struct units {
    Dwarf *file;
    struct unit *items;
    size_t count, room;
};

struct tm_dwarf {
    struct tm_names *names;
    bool has_shared, split_noted;
    struct units own, shared; /* shared: those of the file that it shares DIEs with */
    struct tm_ranges ranges;  /* of units; value: index in own */
};

/* Adds the ranges of a DIE. Where they overlap, the smaller range is the function's that is nearer.
 * False: no memory. */
static bool add_ranges(Dwarf_Die *die, struct tm_ranges *to, uint32_t value)
{
    Dwarf_Addr base = 0;
    Dwarf_Addr low;
    Dwarf_Addr high;
    ptrdiff_t at = 0;
    while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0 && to->count < RANGE_LIMIT)
        if (!tm_ranges_add(to, (struct tm_range){low, high, ~(high - low), value}))
            return false;
    return true;
}

static bool add_unit(struct units *to, Dwarf_Die *die)
{
    if (to->count == to->room) {
        size_t room = to->room ? to->room * 2 : 64;
        struct unit *items = realloc(to->items, room * sizeof *items);
        if (!items)
            return false;
        to->items = items;
        to->room = room;
    }
    to->items[to->count++] =
        (struct unit){.die = *die, .start = dwarf_dieoffset(die) - dwarf_cuoffset(die)};
    return true;
}

static bool take_units(struct units *to, Dwarf *file)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    to->file = file;
    while (to->count < RANGE_LIMIT &&
           dwarf_get_units(file, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        int tag = dwarf_tag(&die);
        if ((tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit ||
             tag == DW_TAG_partial_unit) &&
            !add_unit(to, &die))
            return false;
    }
    return true;
}

struct tm_dwarf *tm_dwarf_open(Dwarf *file, bool has_shared, struct tm_names *names)
{
    struct tm_dwarf *dwarf = calloc(1, sizeof *dwarf);
    if (!dwarf)
        return NULL;
    dwarf->names = names;
    dwarf->has_shared = has_shared;
    bool good = take_units(&dwarf->own, file);
    for (size_t i = 0; good && i < dwarf->own.count; i++)
        good = add_ranges(&dwarf->own.items[i].die, &dwarf->ranges, (uint32_t)i);
    Dwarf *shared = has_shared ? dwarf_getalt(file) : NULL;
    if (good && shared)
        good = take_units(&dwarf->shared, shared);
    if (good && tm_ranges_flatten(&dwarf->ranges))
        return dwarf;
    tm_dwarf_close(dwarf);
    return NULL;
}

static void free_units(struct units *units)
{
    for (size_t i = 0; i < units->count; i++) {
        tm_ranges_free(&units->items[i].functions);
        free(units->items[i].function_dies);
        free(units->items[i].scoped);
    }
    free(units->items);
}

void tm_dwarf_close(struct tm_dwarf *dwarf)
{
    if (!dwarf)
        return;
    free_units(&dwarf->own);
    free_units(&dwarf->shared);
    tm_ranges_free(&dwarf->ranges);
    free(dwarf);
}

/* ---- attributes ---- */

/* Whether an attribute leads into the file that is shared with others. libdw would look for it. */
static bool is_elsewhere(Dwarf_Attribute *attribute)
{
    switch (dwarf_whatform(attribute)) {
    case DW_FORM_GNU_ref_alt:
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_ref_sup4:
    case DW_FORM_ref_sup8:
    case DW_FORM_strp_sup:
        return true;
    default:
        return false;
    }
}

static const char *string_of(const struct tm_dwarf *dwarf, Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    if (!dwarf_attr(die, name, &attribute) || (!dwarf->has_shared && is_elsewhere(&attribute)))
        return NULL;
    return dwarf_formstring(&attribute);
}

/* The DIE that this one is an instance or the definition of. */
static bool origin_of(const struct tm_dwarf *dwarf, Dwarf_Die *die, Dwarf_Die *origin)
{
    Dwarf_Attribute attribute;
    if (!dwarf_attr(die, DW_AT_abstract_origin, &attribute) &&
        !dwarf_attr(die, DW_AT_specification, &attribute))
        return false;
    if (!dwarf->has_shared && is_elsewhere(&attribute))
        return false;
    return dwarf_formref_die(&attribute, origin) != NULL;
}

/* ---- the functions of a unit ---- */

static bool add_function(struct unit *unit, Dwarf_Die *die)
{
    size_t before = unit->functions.count;
    if (!add_ranges(die, &unit->functions, (uint32_t)unit->function_count))
        return false;
    if (unit->functions.count == before)
        return true; /* a declaration, or one that is inlined everywhere */
    if (unit->function_count == unit->function_room) {
        size_t room = unit->function_room ? unit->function_room * 2 : 64;
        Dwarf_Die *dies = realloc(unit->function_dies, room * sizeof *dies);
        if (!dies)
            return false;
        unit->function_dies = dies;
        unit->function_room = room;
    }
    unit->function_dies[unit->function_count++] = *die;
    return true;
}

/* The scope of what is below a DIE inside `outer`. NULL: no memory. */
static const char *scope_below(struct tm_dwarf *dwarf, Dwarf_Die *die, int tag, const char *outer)
{
    char text[TM_NAME_LIMIT];
    if (tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block)
        return outer;
    const char *name = string_of(dwarf, die, DW_AT_name);
    if (!name && tag != DW_TAG_namespace)
        return outer;
    snprintf(text, sizeof text, "%s%s::", outer, name ? name : "(anonymous namespace)");
    return tm_names_keep(dwarf->names, text, sizeof text);
}

static bool add_scoped(struct unit *unit, Dwarf_Die *die, const char *scope)
{
    Dwarf_Attribute attribute;
    if (scope[0] == '\0' || !dwarf_attr(die, DW_AT_name, &attribute) ||
        dwarf_attr(die, DW_AT_linkage_name, &attribute))
        return true;
    if (unit->scoped_count == unit->scoped_room) {
        size_t room = unit->scoped_room ? unit->scoped_room * 2 : 64;
        struct scoped *scoped = realloc(unit->scoped, room * sizeof *scoped);
        if (!scoped)
            return false;
        unit->scoped = scoped;
        unit->scoped_room = room;
    }
    unit->scoped[unit->scoped_count++] = (struct scoped){dwarf_dieoffset(die), scope};
    return true;
}

/* Whether functions may be below a DIE. */
static bool may_hold_functions(int tag)
{
    switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_lexical_block:
        return true;
    default:
        return false;
    }
}

/* Depth first, without recursion. It ends: libdw goes only forward from one DIE to the next. False:
 * no memory. */
static bool index_functions(struct tm_dwarf *dwarf, struct unit *unit)
{
    Dwarf_Die path[DEPTH_LIMIT];
    const char *scopes[DEPTH_LIMIT] = {""};
    size_t depth = 0;
    if (dwarf_child(&unit->body, &path[0]) != 0)
        return true;
    for (;;) {
        Dwarf_Die *die = &path[depth];
        int tag = dwarf_tag(die);
        if (tag == DW_TAG_subprogram && unit->functions.count < RANGE_LIMIT &&
            (!add_function(unit, die) || !add_scoped(unit, die, scopes[depth])))
            return false;
        if (may_hold_functions(tag) && depth + 1 < DEPTH_LIMIT &&
            dwarf_child(die, &path[depth + 1]) == 0) {
            scopes[depth + 1] = scope_below(dwarf, die, tag, scopes[depth]);
            if (!scopes[++depth])
                return false;
            continue;
        }
        while (dwarf_siblingof(&path[depth], &path[depth]) != 0) {
            if (depth == 0)
                return true;
            depth--;
        }
    }
}

/* Where the compiler has put the functions of a unit into a .dwo file (-gsplit-dwarf), that is the
 * body, if it is where it was when it was built. */
static void find_body(struct tm_dwarf *dwarf, struct unit *unit)
{
    char path[PATH_MAX];
    struct stat status;
    Dwarf_Die body;
    unit->body = unit->die;
    const char *name = string_of(dwarf, &unit->die, DW_AT_dwo_name);
    if (!name)
        name = string_of(dwarf, &unit->die, DW_AT_GNU_dwo_name);
    if (!name)
        return;
    const char *directory = string_of(dwarf, &unit->die, DW_AT_comp_dir);
    bool whole = name[0] == '/' || !directory;
    int length =
        snprintf(path, sizeof path, "%s%s%s", whole ? "" : directory, whole ? "" : "/", name);
    if (length > 0 && (size_t)length < sizeof path && stat(path, &status) == 0 &&
        S_ISREG(status.st_mode) &&
        dwarf_cu_info(unit->die.cu, NULL, NULL, NULL, &body, NULL, NULL, NULL) == 0 && body.addr) {
        unit->body = body;
        return;
    }
    if (!dwarf->split_noted)
        tm_names_note(dwarf->names,
                      "'%s' is not there or is another, so inlined functions are unknown where it "
                      "tells of them: keep the .dwo files of a program where they were built",
                      path);
    dwarf->split_noted = true;
}

static void index_unit(struct tm_dwarf *dwarf, struct unit *unit)
{
    if (unit->indexed)
        return;
    unit->indexed = true;
    find_body(dwarf, unit);
    if (index_functions(dwarf, unit) && tm_ranges_flatten(&unit->functions))
        return;
    tm_ranges_free(&unit->functions); /* lines are still found */
}

/* ---- names ---- */

/* The unit of a DIE that `from` refers to, which may be another one, also in the shared file. */
static struct unit *unit_of(struct tm_dwarf *dwarf, struct unit *from, Dwarf_Die *die)
{
    if (die->cu == from->body.cu)
        return from;
    Dwarf_Off offset = dwarf_dieoffset(die);
    Dwarf *file = dwarf_cu_getdwarf(die->cu);
    struct units *units = file == dwarf->own.file ? &dwarf->own : &dwarf->shared;
    size_t low = 0;
    size_t high = file == units->file ? units->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (units->items[middle].start <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &units->items[low - 1] : NULL;
}

/* The namespaces and classes that the function of a DIE is in. */
static const char *scope_of(struct tm_dwarf *dwarf, struct unit *from, Dwarf_Die *die)
{
    Dwarf_Off offset = dwarf_dieoffset(die);
    struct unit *unit = unit_of(dwarf, from, die);
    if (!unit)
        return "";
    index_unit(dwarf, unit);
    size_t low = 0;
    size_t high = unit->scoped_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unit->scoped[middle].die < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unit->scoped_count && unit->scoped[low].die == offset ? unit->scoped[low].scope
                                                                       : "";
}

/* The linkage name says most: a C++ function with its namespace and its parameters. */
static const char *function_name(struct tm_dwarf *dwarf, struct unit *unit, Dwarf_Die *die)
{
    const char *plain = NULL;
    Dwarf_Die named = *die;
    Dwarf_Die at = *die;
    for (int i = 0; i < ORIGIN_LIMIT; i++) {
        const char *linkage = string_of(dwarf, &at, DW_AT_linkage_name);
        if (!linkage)
            linkage = string_of(dwarf, &at, DW_AT_MIPS_linkage_name);
        if (linkage)
            return tm_names_function(dwarf->names, linkage);
        if (!plain && (plain = string_of(dwarf, &at, DW_AT_name)))
            named = at;
        if (!origin_of(dwarf, &at, &at))
            break;
    }
    if (!plain)
        return NULL;
    char text[TM_NAME_LIMIT + 1];
    snprintf(text, sizeof text, "%s%s", scope_of(dwarf, unit, &named), plain);
    return tm_names_keep(dwarf->names, text, sizeof text);
}

/* ---- one address ---- */

/* The block or inlined function directly inside *die that covers the address. */
static bool inner_scope(Dwarf_Die *die, uint64_t address, Dwarf_Die *inner)
{
    if (dwarf_child(die, inner) != 0)
        return false;
    do {
        int tag = dwarf_tag(inner);
        if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
             tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
            dwarf_haspc(inner, address) > 0)
            return true;
    } while (dwarf_siblingof(inner, inner) == 0);
    return false;
}

/* Where the function inlined as *die is called. */
static void take_call(Dwarf_Die *unit, Dwarf_Die *die, struct tm_names *names,
                      struct tm_symbol *caller)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    Dwarf_Files *files;
    size_t count;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &value) == 0 &&
        value <= UINT32_MAX)
        caller->line = (uint32_t)value;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &value) != 0 ||
        dwarf_getsrcfiles(unit, &files, &count) != 0 || value >= count)
        return;
    const char *file = dwarf_filesrc(files, value, NULL, NULL);
    if (file)
        caller->file = tm_names_keep(names, file, SIZE_MAX);
}

static void take_line(struct unit *unit, uint64_t address, struct tm_names *names,
                      struct tm_symbol *symbol)
{
    Dwarf_Line *line = dwarf_getsrc_die(&unit->die, address);
    int number;
    if (!line)
        return;
    const char *file = dwarf_linesrc(line, NULL, NULL);
    if (file)
        symbol->file = tm_names_keep(names, file, SIZE_MAX);
    if (dwarf_lineno(line, &number) == 0 && number > 0)
        symbol->line = (uint32_t)number;
}

void tm_dwarf_at(struct tm_dwarf *dwarf, uint64_t address, struct tm_chain *chain)
{
    struct tm_names *names = dwarf->names;
    uint32_t index = tm_ranges_find(&dwarf->ranges, address);
    if (index == TM_NO_RANGE)
        return;
    struct unit *unit = &dwarf->own.items[index];
    index_unit(dwarf, unit);
    Dwarf_Die path[TM_CHAIN_LIMIT]; /* the function, then what is inlined into it, ever further */
    size_t depth = 0;
    uint32_t function = tm_ranges_find(&unit->functions, address);
    if (function != TM_NO_RANGE) {
        Dwarf_Die scope = unit->function_dies[function];
        path[depth++] = scope;
        while (inner_scope(&scope, address, &scope))
            if (dwarf_tag(&scope) == DW_TAG_inlined_subroutine) {
                if (depth == TM_CHAIN_LIMIT)
                    break;
                path[depth++] = scope;
            }
    }
    memset(chain->items, 0, sizeof chain->items);
    chain->count = depth > 0 ? depth : 1;
    take_line(unit, address, names, &chain->items[0]);
    for (size_t i = 0; i < depth; i++) {
        Dwarf_Die *die = &path[depth - 1 - i];
        chain->items[i].function = function_name(dwarf, unit, die);
        chain->items[i].inlined = i + 1 < depth;
        if (i + 1 < depth)
            take_call(&unit->body, die, names, &chain->items[i + 1]);
    }
}
