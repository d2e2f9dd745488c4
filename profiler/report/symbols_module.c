/* symbols_module.c: see symbols_module.h. libdwfl opens the file: it unpacks .gnu_debugdata, merges
 * the symbol tables and evens out prelink. Each file has a Dwfl of its own at address 0, so that
 * all addresses here are link-time addresses, however often and where a file was mapped, and no
 * mapping of a damaged snapshot gets in the way of another.
 */
#include "profiler/report/symbols_module.h"

#include "profiler/report/symbols_debug_file.h"
#include "profiler/report/symbols_ranges.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A part of the file that is mapped. */
struct segment {
    uint64_t offset, bytes;   /* in the file */
    uint64_t address, memory; /* link-time address, and bytes there */
    bool code;
};

struct tm_module {
    struct tm_module_facts facts;
    const struct tm_files *files;
    bool debuginfod;
    char path[PATH_MAX];       /* of the file, as the process has it */
    char id[TM_BUILD_ID_TEXT]; /* of the file */
    struct stat status;        /* of the file */
    Dwfl *dwfl;                /* NULL: there is no file */
    Dwfl_Module *elf;
    bool stands_in; /* the file is not the one that was mapped but its debug file */
    struct segment *segments;
    size_t segment_count;
    bool searched;          /* for the debug file */
    bool has_shared;        /* what debug files share is there, or nothing is shared */
    char missing[PATH_MAX]; /* else where it would be */
    struct tm_dwarf *dwarf; /* NULL: no debug information */
    uint64_t dwarf_bias;
    struct tm_ranges symbols; /* value: index in libdwfl's table */
};

/* ---- callbacks of libdwfl ---- */

static int find_elf(Dwfl_Module *elf, void **user, const char *name, Dwarf_Addr base, char **path,
                    Elf **to)
{
    return -1; /* every module is reported with its file */
}

/* The file that the DWARF of elf shares DIEs with. */
static struct tm_debug_file find_shared(struct tm_module *module, Dwfl_Module *elf,
                                        const char *debug_path, const char *link)
{
    char id[TM_BUILD_ID_TEXT] = "";
    const void *bytes;
    const char *name;
    Dwarf_Addr bias;
    Dwarf *dwarf = dwfl_module_getdwarf(elf, &bias);
    ssize_t length = dwarf ? dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &bytes) : 0;
    if (length > 0)
        tm_files_id_text(bytes, (size_t)length, id);
    struct tm_debug_file found =
        tm_debug_file_shared(module->files, debug_path ? debug_path : "", id, link);
    if (found.file < 0)
        memcpy(module->missing, found.path, sizeof module->missing);
    return found;
}

/* libdwfl asks for the debug file, and then for what this shares with others: for the latter, link
 * is not that of the module's own file. */
static int find_debug(Dwfl_Module *elf, void **user, const char *name, Dwarf_Addr base,
                      const char *of, const char *link, GElf_Word crc, char **path)
{
    struct tm_module *module = *user;
    struct tm_debug_file found;
    Dwarf_Addr bias;
    GElf_Word main_crc;
    Elf *main = dwfl_module_getelf(elf, &bias);
    bool shared = link && (!main || link != dwelf_elf_gnu_debuglink(main, &main_crc));
    if (shared)
        found = find_shared(module, elf, of, link);
    else if (module->searched)
        return -1;
    else
        found =
            tm_debug_file_find(module->files, module->path, &module->status, module->id, link, crc);
    module->searched = module->searched || !shared;
    if (found.file >= 0)
        *path = strdup(found.path);
    else if (module->debuginfod)
        found.file = dwfl_standard_find_debuginfo(elf, user, name, base, of, link, crc, path);
    if (shared)
        module->has_shared = found.file >= 0;
    return found.file;
}

static char nowhere[] = "/nowhere"; /* servers are asked, libdwfl's own places are not */
static char *debug_path = nowhere;
static const Dwfl_Callbacks callbacks = {
    .find_elf = find_elf, .find_debuginfo = find_debug, .debuginfo_path = &debug_path};

/* ---- the file ---- */

/* Why there is none. */
struct failure {
    char other[TM_BUILD_ID_TEXT]; /* build id of a file that was in its place */
    bool not_elf;
    int error;
};

/* Whether an open file is the one that the process had. sure: it is, if nothing speaks against it.
 */
static bool is_it(struct tm_module *module, int file, bool sure, struct failure *failure)
{
    const char *wanted = module->facts.build_id;
    if (!tm_files_is_elf(file, false, module->id)) {
        failure->not_elf = true;
        return false;
    }
    if (wanted[0] == '\0')
        return sure;
    if (strcmp(module->id, wanted) == 0)
        return true;
    memcpy(failure->other, module->id, sizeof failure->other);
    return false;
}

/* What a server has of a build id; -1: nothing. */
static int ask_servers(const char *path, const char *id)
{
    unsigned char bytes[TM_BUILD_ID_TEXT / 2];
    size_t count = tm_files_id_bytes(id, bytes);
    void *user = NULL;
    char *name = NULL;
    Elf *elf = NULL;
    int file = -1;
    Dwfl *dwfl = dwfl_begin(&callbacks);
    Dwfl_Module *module = dwfl ? dwfl_report_module(dwfl, path, 0, UINT64_MAX) : NULL;
    if (module && count > 0 && dwfl_module_report_build_id(module, bytes, count, 0) == 0)
        file = dwfl_build_id_find_elf(module, &user, path, 0, &name, &elf);
    if (elf)
        elf_end(elf);
    free(name);
    if (dwfl)
        dwfl_end(dwfl);
    return file;
}

static int find_file(struct tm_module *module, struct failure *failure)
{
    static const char deleted[] = " (deleted)";
    const struct tm_module_facts *facts = &module->facts;
    size_t length = strlen(facts->path);
    bool was_deleted = length >= sizeof deleted &&
                       strcmp(facts->path + length - (sizeof deleted - 1), deleted) == 0;
    if (was_deleted)
        length -= sizeof deleted - 1;
    if (length >= sizeof module->path) {
        failure->error = ENAMETOOLONG;
        return -1;
    }
    memcpy(module->path, facts->path, length);
    for (size_t i = 0; i < module->files->root_count; i++) {
        int file = tm_files_open_below(module->files->roots[i], module->path);
        if (file >= 0 && is_it(module, file, !was_deleted, failure))
            return file;
        if (file >= 0)
            close(file);
        else if (errno != ENOENT && errno != ENOTDIR)
            failure->error = errno;
    }
    int file = tm_files_open_mapped(module->files, facts->first->start, facts->first->end);
    if (file >= 0 && is_it(module, file, true, failure))
        return file;
    if (file >= 0)
        close(file);
    file = module->debuginfod ? ask_servers(module->path, facts->build_id) : -1;
    if (file >= 0 && is_it(module, file, false, failure))
        return file;
    if (file >= 0)
        close(file);
    file = tm_debug_file_by_id(module->files, facts->build_id).file;
    module->stands_in = file >= 0;
    if (file >= 0)
        memcpy(module->id, facts->build_id, strlen(facts->build_id) + 1);
    return file;
}

static bool take_segments(struct tm_module *module)
{
    Dwarf_Addr bias;
    size_t count;
    Elf *elf = dwfl_module_getelf(module->elf, &bias);
    if (!elf || elf_getphdrnum(elf, &count) != 0)
        return true;
    module->segments = calloc(count + 1, sizeof *module->segments);
    if (!module->segments)
        return false;
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Phdr head;
        if (!gelf_getphdr(elf, (int)i, &head) || head.p_type != PT_LOAD)
            continue;
        struct segment *segment = &module->segments[module->segment_count++];
        segment->offset = head.p_offset;
        segment->bytes = head.p_filesz;
        segment->address = head.p_vaddr;
        segment->memory = head.p_memsz;
        segment->code = (head.p_flags & PF_X) != 0;
    }
    return true;
}

static bool is_code(const struct tm_module *module, uint64_t address)
{
    for (size_t i = 0; i < module->segment_count; i++)
        if (module->segments[i].code &&
            address - module->segments[i].address < module->segments[i].memory)
            return true;
    return false;
}

/* ---- symbol tables ---- */

/* Of several symbols for an address those with a size come first, then the one that starts nearest,
 * then global and weak ones before local ones, then those that do not start with an underscore. */
static uint64_t symbol_rank(const GElf_Sym *symbol, uint64_t address, const char *name)
{
    unsigned binding = GELF_ST_BIND(symbol->st_info);
    uint64_t rank = address << 3 | (uint64_t)(name[0] != '_');
    if (binding == STB_GLOBAL || binding == STB_GNU_UNIQUE)
        rank |= 4;
    else if (binding == STB_WEAK)
        rank |= 2;
    return symbol->st_size > 0 ? rank | UINT64_C(1) << 63 : rank;
}

/* How far a symbol reaches that has no size (of assembly): to the next one, but not out of its
 * section, nor further than is likely. */
static uint64_t reach_of(Elf *elf, GElf_Word section, const GElf_Sym *symbol)
{
    const uint64_t most = 4096;
    GElf_Shdr head;
    if (section >= SHN_LORESERVE || !gelf_getshdr(elf_getscn(elf, section), &head))
        return most;
    uint64_t rest = head.sh_addr + head.sh_size - symbol->st_value;
    return rest < most ? rest : most;
}

static bool take_symbols(struct tm_module *module)
{
    int count = dwfl_module_getsymtab(module->elf);
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        GElf_Word section;
        Elf *elf;
        const char *name =
            dwfl_module_getsym_info(module->elf, i, &symbol, &address, &section, &elf, NULL);
        if (!name || name[0] == '\0' || strncmp(name, ".L", 2) == 0 || section == SHN_UNDEF ||
            section == SHN_ABS || address >> 57 != 0 || !is_code(module, address))
            continue;
        unsigned type = GELF_ST_TYPE(symbol.st_info);
        if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
            continue;
        uint64_t bytes = symbol.st_size > 0 ? symbol.st_size : reach_of(elf, section, &symbol);
        if (bytes >> 57 == 0 &&
            !tm_ranges_add(&module->symbols,
                           (struct tm_range){address, address + bytes,
                                             symbol_rank(&symbol, address, name), (uint32_t)i}))
            return false;
    }
    return tm_ranges_flatten(&module->symbols);
}

static const char *symbol_name(struct tm_module *module, uint64_t address, struct tm_names *names)
{
    GElf_Sym symbol;
    GElf_Addr start;
    uint32_t index = tm_ranges_find(&module->symbols, address);
    if (index == TM_NO_RANGE)
        return NULL;
    const char *name =
        dwfl_module_getsym_info(module->elf, (int)index, &symbol, &start, NULL, NULL, NULL);
    return name ? tm_names_function(names, name) : NULL;
}

/* ---- what is to be said ---- */

static void note_no_file(const struct tm_module *module, const struct failure *failure,
                         struct tm_names *names)
{
    const char *wanted = module->facts.build_id;
    char debug[PATH_MAX];
    tm_debug_file_name(wanted, debug);
    if (failure->other[0] != '\0')
        tm_names_note(names,
                      "'%s' is not the file that the process had mapped (build id %.8s, the "
                      "process's %.8s), so functions in it are unknown: put back the one that it "
                      "had, name a directory that has it with --root, or install its debug "
                      "information as %s",
                      module->path, failure->other, wanted, debug);
    else if (failure->not_elf)
        tm_names_note(names,
                      "'%s' is no program or library, so functions in it are unknown: put back the "
                      "file that the process had mapped, or name a directory that has it with "
                      "--root",
                      module->path);
    else if (failure->error != 0)
        tm_names_note(names,
                      "'%s' cannot be read (%s), so functions in it are unknown: ask as a user who "
                      "may read it, or name a directory that has it with --root",
                      module->path, tm_files_why(failure->error));
    else
        tm_names_note(names,
                      "'%s' (build id %.8s) is not there, so functions in it are unknown: name a "
                      "directory that has the files of the process with --root%s%s",
                      module->facts.path, wanted[0] != '\0' ? wanted : "unknown",
                      debug[0] != '\0' ? ", or install its debug information as " : "", debug);
}

static void note_no_debug(struct tm_module *module, struct tm_names *names)
{
    GElf_Word crc;
    Dwarf_Addr bias;
    Elf *elf = dwfl_module_getelf(module->elf, &bias);
    const char *link = elf ? dwelf_elf_gnu_debuglink(elf, &crc) : NULL;
    char debug[PATH_MAX];
    tm_debug_file_name(module->id, debug);
    if (debug[0] == '\0' && !link)
        tm_names_note(
            names,
            "'%s' has no debug information and names none: its functions are those of its "
            "symbol tables, without source lines and inlined ones; build it with -g",
            module->path);
    else
        tm_names_note(
            names,
            "'%s' has no debug information: its functions are those of its symbol tables, "
            "without source lines and inlined ones; its debug package would bring %s%s%s, "
            "and %s",
            module->path, debug, debug[0] != '\0' && link ? " or " : "", link ? link : "",
            module->debuginfod ? "the servers of DEBUGINFOD_URLS do not have it"
                               : "--debuginfod asks the servers of DEBUGINFOD_URLS for "
                                 "it");
}

/* ---- the module ---- */

/* Hands the file to libdwfl. False: it does not take it. */
static bool report_file(struct tm_module *module, int file)
{
    void **user;
    module->dwfl = dwfl_begin(&callbacks);
    if (module->dwfl) {
        module->elf = dwfl_report_elf(module->dwfl, module->path, module->path, file, 0, true);
        if (module->elf && dwfl_report_end(module->dwfl, NULL, NULL) == 0) {
            dwfl_module_info(module->elf, &user, NULL, NULL, NULL, NULL, NULL, NULL);
            *user = module;
            return true;
        }
        dwfl_end(module->dwfl);
        module->dwfl = NULL;
    }
    if (!module->elf)
        close(file);
    return false;
}

static bool load(struct tm_module *module, struct tm_names *names)
{
    Dwarf_Addr bias = 0;
    if (!take_segments(module))
        return false;
    Dwarf *dwarf = dwfl_module_getdwarf(module->elf, &bias);
    module->dwarf_bias = bias;
    if (dwarf && !(module->dwarf = tm_dwarf_open(dwarf, module->has_shared, names)))
        return false;
    if (!dwarf)
        note_no_debug(module, names);
    else if (!module->has_shared)
        tm_names_note(names,
                      "names of functions in '%s' are missing: the debug file that it shares with "
                      "others is not there or is another; its debug package brings '%s'",
                      module->path, module->missing);
    if (module->facts.build_id[0] == '\0' &&
        module->status.st_mtime > (time_t)(module->facts.taken_ns / 1000000000))
        tm_names_note(names,
                      "'%s' was changed after the snapshot was taken, and has no build id that "
                      "tells whether it is what the process had: its functions may be wrong; link "
                      "it with --build-id",
                      module->path);
    return take_symbols(module);
}

struct tm_module *tm_module_open(const struct tm_module_facts *facts, const struct tm_files *files,
                                 bool debuginfod, struct tm_names *names)
{
    struct tm_module *module = calloc(1, sizeof *module);
    if (!module)
        return NULL;
    module->facts = *facts;
    module->files = files;
    module->debuginfod = debuginfod;
    module->has_shared = true;
    struct failure failure = {.error = 0};
    int file = find_file(module, &failure);
    if (file >= 0 && (fstat(file, &module->status) != 0 || !report_file(module, file))) {
        failure.not_elf = true;
        file = -1;
    }
    if (file < 0) {
        note_no_file(module, &failure, names);
        return module;
    }
    if (load(module, names))
        return module;
    tm_module_close(module);
    return NULL;
}

void tm_module_close(struct tm_module *module)
{
    if (!module)
        return;
    tm_dwarf_close(module->dwarf);
    tm_ranges_free(&module->symbols);
    free(module->segments);
    if (module->dwfl)
        dwfl_end(module->dwfl);
    free(module);
}

uint64_t tm_module_address(const struct tm_module *module, const struct tm_snapshot_map *map,
                           uint64_t address)
{
    uint64_t in_file = address - map->start + map->offset;
    for (size_t i = 0; i < module->segment_count && !module->stands_in; i++) {
        const struct segment *segment = &module->segments[i];
        if (in_file - segment->offset < segment->bytes)
            return in_file - segment->offset + segment->address;
    }
    /* A debug file tells nothing of offsets, but the first mapping has the first segment, from the
     * start of its page on. */
    const uint64_t page = 4096;
    uint64_t start = module->segment_count > 0 ? module->segments[0].address / page * page : 0;
    return address - module->facts.first->start + start;
}

void tm_module_at(struct tm_module *module, uint64_t address, struct tm_names *names,
                  struct tm_chain *chain)
{
    chain->count = 0;
    if (module->dwarf)
        tm_dwarf_at(module->dwarf, address - module->dwarf_bias, chain);
    if (chain->count == 0)
        chain->items[chain->count++] = (struct tm_symbol){.function = NULL};
    struct tm_symbol *outermost = &chain->items[chain->count - 1];
    if (!outermost->function && module->dwfl)
        outermost->function = symbol_name(module, address, names);
}
