/* symbols.c: see symbols.h. The door of the room: which mapping an address lies in, which file or
 * perf map that is, and everything that was found out once, by address. Files are in
 * symbols_module.c, code without a file in symbols_perf_map.c.
 */
#include "profiler/report/symbols.h"

#include "profiler/report/symbols_files.h"
#include "profiler/report/symbols_module.h"
#include "profiler/report/symbols_names.h"
#include "profiler/report/symbols_perf_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PERMISSION_CODE = 4,
    FIRST_ROOM = 1024, /* for answers */
};

/* What was found at an address. */
struct answer {
    uint64_t address; /* the instruction's */
    struct tm_symbol *list;
    size_t count; /* 0: the place is free */
};

struct tm_symbols {
    const struct tm_snapshot_file *snapshot;
    bool debuginfod;
    struct tm_files files;
    struct tm_names names;
    struct tm_module **modules; /* by mapping; several mappings have the same one */
    struct tm_module **opened;  /* each once */
    size_t opened_count;
    struct tm_perf_map perf_map;
    bool perf_map_read;
    bool jit_noted;
    struct answer *answers; /* hashed, open addressing; room is a power of 2 */
    size_t answer_count, answer_room;
};

/* Where perf has its users write maps. */
static const char perf_map_directory[] = "/tmp";

static const struct tm_symbol nothing = {.module = ""};

struct tm_symbols *tm_symbols_open(const struct tm_snapshot_file *snapshot,
                                   const struct tm_symbols_options *options)
{
    struct tm_symbols *symbols = calloc(1, sizeof *symbols);
    if (!symbols)
        return NULL;
    symbols->snapshot = snapshot;
    symbols->debuginfod = options->debuginfod;
    symbols->answers = calloc(FIRST_ROOM, sizeof *symbols->answers);
    symbols->answer_room = symbols->answers ? FIRST_ROOM : 0;
    symbols->modules = calloc(snapshot->map_count + 1, sizeof(struct tm_module *));
    symbols->opened = calloc(snapshot->map_count + 1, sizeof(struct tm_module *));
    tm_files_open(&symbols->files, snapshot, options->root);
    if (symbols->files.root_count == 0)
        tm_names_note(&symbols->names,
                      "the directory '%s' cannot be opened, so no function is known: name the "
                      "directory that has the files of the process with --root",
                      options->root ? options->root : "/");
    if (symbols->answers && symbols->modules && symbols->opened)
        return symbols;
    tm_symbols_close(symbols);
    return NULL;
}

void tm_symbols_close(struct tm_symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; symbols->answers && i < symbols->answer_room; i++)
        free(symbols->answers[i].list);
    for (size_t i = 0; symbols->opened && i < symbols->opened_count; i++)
        tm_module_close(symbols->opened[i]);
    free(symbols->answers);
    free(symbols->modules);
    free(symbols->opened);
    tm_perf_map_free(&symbols->perf_map);
    tm_files_close(&symbols->files);
    tm_names_free(&symbols->names);
    free(symbols);
}

const char *tm_symbols_note(struct tm_symbols *symbols, size_t index)
{
    return index < symbols->names.note_count ? symbols->names.notes[index] : NULL;
}

/* ---- mappings ---- */

/* The mapping that an address lies in; NULL: none. */
static const struct tm_snapshot_map *map_at(const struct tm_snapshot_file *snapshot,
                                            uint64_t address)
{
    size_t low = 0;
    size_t high = snapshot->map_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->maps[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == snapshot->map_count || snapshot->maps[low].start > address)
        return NULL;
    return &snapshot->maps[low];
}

static bool is_file(const struct tm_snapshot_map *map, const char *path)
{
    /* These have an inode and a path, and no file anywhere: memory in which a JIT may put code. */
    return map->inode != 0 && path[0] == '/' && strncmp(path, "/memfd:", 7) != 0 &&
           strncmp(path, "/dev/zero", 9) != 0 && strncmp(path, "/SYSV", 5) != 0;
}

/* The first mapping of the file that is mapped there, which has the build id. */
static const struct tm_snapshot_map *first_of(const struct tm_snapshot_file *snapshot,
                                              const struct tm_snapshot_map *map, const char *path)
{
    const struct tm_snapshot_map *first = map;
    for (const struct tm_snapshot_map *at = map; at->offset != 0 && at > snapshot->maps;) {
        at--;
        if (at->inode != map->inode || strcmp(tm_snapshot_string(snapshot, at->path), path) != 0)
            continue;
        first = at;
        if (at->offset == 0)
            break;
    }
    return first;
}

static struct tm_module *module_at(struct tm_symbols *symbols, const struct tm_snapshot_map *map,
                                   const char *path)
{
    const struct tm_snapshot_file *snapshot = symbols->snapshot;
    size_t index = (size_t)(map - snapshot->maps);
    if (symbols->modules[index])
        return symbols->modules[index];
    const struct tm_snapshot_map *first = first_of(snapshot, map, path);
    size_t first_index = (size_t)(first - snapshot->maps);
    if (!symbols->modules[first_index]) {
        struct tm_module_facts facts = {
            .path = path,
            .build_id = tm_snapshot_string(snapshot, first->build_id),
            .first = first,
            .taken_ns = snapshot->process.realtime_ns,
        };
        struct tm_module *module =
            tm_module_open(&facts, &symbols->files, symbols->debuginfod, &symbols->names);
        if (!module)
            return NULL;
        symbols->modules[first_index] = module;
        symbols->opened[symbols->opened_count++] = module;
    }
    symbols->modules[index] = symbols->modules[first_index];
    return symbols->modules[index];
}

/* ---- code without a file ---- */

/* The directory is everybody's, and a map's name can be guessed: it must be of the user whose
 * process that was (who wrote the snapshot), of this command's, or root's. */
static bool is_trusted(struct tm_symbols *symbols, const char *path, const struct stat *status)
{
    uid_t owner = symbols->snapshot->owner;
    if (status->st_uid == 0 || status->st_uid == geteuid() || status->st_uid == owner)
        return true;
    tm_names_note(&symbols->names,
                  "'%s' belongs to user %u, the snapshot to user %u: no name is taken from it",
                  path, (unsigned)status->st_uid, (unsigned)owner);
    return false;
}

/* Reads the perf map named for a process's number, if there is one that the process wrote. */
static bool read_perf_map(struct tm_symbols *symbols, int root, int pid)
{
    const struct tm_snapshot_process *process = &symbols->snapshot->process;
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "%s/perf-%d.map", perf_map_directory, pid);
    int file = tm_files_open_below(root, path);
    if (file < 0)
        return false;
    /* One that was last written before the process began is an earlier process's. */
    uint64_t began = (process->realtime_ns - process->since_start_ns) / 1000000000;
    bool read = fstat(file, &status) == 0 && (uint64_t)status.st_mtime >= began &&
                is_trusted(symbols, path, &status) && tm_perf_map_read(file, &symbols->perf_map);
    close(file);
    if (read && symbols->perf_map.cut)
        tm_names_note(
            &symbols->names,
            "'%s' is longer than the %d MiB or %d lines that are read: names of code made "
            "at run time may be missing; let the program write one for the code that it "
            "has now",
            path, TM_PERF_MAP_BYTES >> 20, TM_PERF_MAP_LINES);
    return read;
}

static void find_perf_map(struct tm_symbols *symbols)
{
    symbols->perf_map_read = true;
    int inner = symbols->snapshot->process.pid;
    int outer = symbols->files.process;
    for (size_t i = 0; i < symbols->files.root_count; i++) {
        int root = symbols->files.roots[i];
        if (read_perf_map(symbols, root, inner) ||
            (outer != 0 && outer != inner && read_perf_map(symbols, root, outer)))
            return;
    }
}

static void look_in_perf_map(struct tm_symbols *symbols, const struct tm_snapshot_map *map,
                             uint64_t address, struct tm_symbol *symbol)
{
    bool is_code = map && (map->permissions & PERMISSION_CODE) != 0;
    if (!symbols->perf_map_read)
        find_perf_map(symbols);
    symbol->function = tm_perf_map_at(&symbols->perf_map, address, &symbols->names, &symbol->file);
    if (symbol->function || is_code)
        symbol->module = "[JIT]";
    if (symbol->function || !is_code || symbols->jit_noted)
        return;
    symbols->jit_noted = true;
    tm_names_note(&symbols->names,
                  "the program runs code that it made itself, and %s/perf-%d.map does not name it: "
                  "let the program write this file (CPython 3.12: -X perf; node: "
                  "--perf-basic-prof; Java 17: jcmd PID Compiler.perfmap)",
                  perf_map_directory, symbols->snapshot->process.pid);
}

/* ---- one address ---- */

static void look_up(struct tm_symbols *symbols, uint64_t address, struct tm_chain *chain)
{
    const struct tm_snapshot_map *map = map_at(symbols->snapshot, address);
    const char *path = map ? tm_snapshot_string(symbols->snapshot, map->path) : "";
    struct tm_symbol *only = &chain->items[0];
    chain->count = 1;
    *only = nothing;
    only->offset = map ? address - map->start : address;
    if (!map || !is_file(map, path)) {
        only->module = path;
        if (!map || strcmp(path, "[vdso]") != 0)
            look_in_perf_map(symbols, map, address, only);
        return;
    }
    struct tm_module *module = module_at(symbols, map, path);
    if (module) {
        uint64_t offset = tm_module_address(module, map, address);
        tm_module_at(module, offset, &symbols->names, chain);
        for (size_t i = 0; i < chain->count; i++)
            chain->items[i].offset = offset;
    }
    for (size_t i = 0; i < chain->count; i++)
        chain->items[i].module = path;
}

/* The place in the table that has the address, or that is free for it. */
static struct answer *place_of(struct answer *answers, size_t room, uint64_t address)
{
    size_t at = (size_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (room - 1);
    while (answers[at].count != 0 && answers[at].address != address)
        at = (at + 1) & (room - 1);
    return &answers[at];
}

static bool grow(struct tm_symbols *symbols)
{
    size_t room = symbols->answer_room * 2;
    struct answer *answers = calloc(room, sizeof *answers);
    if (!answers)
        return false;
    for (size_t i = 0; i < symbols->answer_room; i++)
        if (symbols->answers[i].count != 0)
            *place_of(answers, room, symbols->answers[i].address) = symbols->answers[i];
    free(symbols->answers);
    symbols->answers = answers;
    symbols->answer_room = room;
    return true;
}

const struct tm_symbol *tm_symbols_at(struct tm_symbols *symbols, uint64_t address, bool exact,
                                      size_t *count)
{
    uint64_t code = exact || address == 0 ? address : address - 1;
    struct answer *place = place_of(symbols->answers, symbols->answer_room, code);
    *count = 1;
    if (place->count == 0) {
        struct tm_chain chain;
        if (symbols->answer_count >= symbols->answer_room / 2) {
            if (!grow(symbols))
                return &nothing;
            place = place_of(symbols->answers, symbols->answer_room, code);
        }
        look_up(symbols, code, &chain);
        place->list = calloc(chain.count, sizeof *place->list);
        if (!place->list)
            return &nothing;
        memcpy(place->list, chain.items, chain.count * sizeof *place->list);
        place->address = code;
        place->count = chain.count;
        symbols->answer_count++;
    }
    *count = place->count;
    return place->list;
}
