/* symbols_fuzz.c: fuzz target: the files that names of code come from, as a hostile process may
 * have them. The input has up to four parts, ended by PART: the program that was mapped, its debug
 * file (put where the build id and the debug link lead), the file that this shares with others, and
 * a perf map. They lie below a directory of their own, which a snapshot made here looks into, and
 * many addresses are asked for, twice each.
 */
#include "profiler/report/symbols.h"
#include "profiler/report/symbols_debug_file.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char PART[] = "====tidemark====\n";

enum { CODE = 0x400000, PAGES = 64, PAGE = 4096, ADDRESSES = 192, PID = 4711, PATHS = 8 };

static char root[64];
static char written[PATHS][PATH_MAX];
static size_t written_count;

static void remove_root(void)
{
    static const char *const inner[] = {"/bin", "/tmp", "/usr/lib/debug", "/usr/lib", "/usr"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        snprintf(path, sizeof path, "%s%s", root, inner[i]);
        rmdir(path);
    }
    rmdir(root);
}

static void make_root(void)
{
    static const char *const inner[] = {"/bin", "/tmp", "/usr", "/usr/lib", "/usr/lib/debug"};
    char path[PATH_MAX];
    snprintf(root, sizeof root, "/tmp/tidemark-fuzz.XXXXXX");
    fuzz_promise(mkdtemp(root) != NULL, "there is a place for files in /tmp");
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        snprintf(path, sizeof path, "%s%s", root, inner[i]);
        fuzz_promise(mkdir(path, 0700) == 0, "directories can be made");
    }
    atexit(remove_root);
}

/* Writes a file below the root; directories for a build id are made. */
static void write_below(const char *name, struct fuzz_part part)
{
    if (written_count == PATHS)
        return;
    char *path = written[written_count];
    if ((size_t)snprintf(path, PATH_MAX, "%s%s", root, name) >= PATH_MAX)
        return;
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return; /* two build ids that are the same */
    fuzz_promise(write(file, part.bytes, part.size) == (ssize_t)part.size, "there is room in /tmp");
    close(file);
    written_count++;
}

static void remove_written(void)
{
    for (; written_count > 0; written_count--) {
        char *path = written[written_count - 1];
        unlink(path);
        /* The directories of a build id: those that others are in stay. */
        for (char *slash = strrchr(path, '/'); slash && slash > path + strlen(root);
             slash = strrchr(path, '/')) {
            *slash = '\0';
            if (strstr(path, ".build-id") == NULL || rmdir(path) != 0)
                break;
        }
    }
}

/* Where the build id of the file leads. */
static void write_by_id(struct fuzz_part part)
{
    char id[TM_BUILD_ID_TEXT];
    char path[PATH_MAX];
    int file = fuzz_file(part);
    if (tm_files_is_elf(file, true, id) && id[0] != '\0') {
        tm_debug_file_name(id, path);
        write_below(path, part);
    }
    close(file);
}

static void ask(struct tm_symbols *symbols, uint64_t address)
{
    size_t count;
    const struct tm_symbol *list = tm_symbols_at(symbols, address, false, &count);
    fuzz_promise(count > 0, "there is something to say of every address");
    for (size_t i = 0; i < count; i++) {
        fuzz_promise(list[i].module != NULL, "a module has a name");
        fuzz_promise(!list[i].function || strlen(list[i].function) < 100000, "names are bounded");
        fuzz_promise(!list[i].file || strlen(list[i].file) < 100000, "paths are bounded");
        fuzz_promise(list[i].inlined == (i + 1 < count), "all but the last are inlined");
        if (list[i].function)
            fuzz_reached();
    }
    size_t again;
    fuzz_promise(tm_symbols_at(symbols, address, false, &again) == list && again == count,
                 "an answer stays");
}

static void look(void)
{
    static const char strings[] = "\0/bin/module\0/memfd:jit";
    enum { MODULE = 1, JIT = 13 };
    static const struct tm_snapshot_map maps[] = {
        {.start = CODE, .end = CODE + PAGE, .inode = 9, .permissions = 1, .path = MODULE},
        {.start = CODE + PAGE,
         .end = CODE + PAGES * PAGE,
         .offset = PAGE,
         .inode = 9,
         .permissions = 5,
         .path = MODULE},
        {.start = 2 * CODE, .end = 2 * CODE + PAGE, .inode = 10, .permissions = 5, .path = JIT},
    };
    const struct tm_snapshot_file snapshot = {
        .process = {.pid = PID},
        .command = {"", 0},
        .exe = {"", 0},
        .strings = {strings, sizeof strings},
        .maps = maps,
        .map_count = sizeof maps / sizeof maps[0],
    };
    const struct tm_symbols_options options = {.root = root};
    struct tm_symbols *symbols = tm_symbols_open(&snapshot, &options);
    fuzz_promise(symbols != NULL, "there is memory");
    for (uint64_t i = 0; i < ADDRESSES; i++) {
        ask(symbols, CODE + 0x200 + i * 8); /* where the code of small programs is, */
        ask(symbols, CODE + PAGE + 1 + i * 8);
        ask(symbols, CODE + i * (PAGES * PAGE / ADDRESSES)); /* and all over them */
        ask(symbols, 2 * CODE + i * 16 + 1);
    }
    for (size_t i = 0; tm_symbols_note(symbols, i); i++)
        ;
    tm_symbols_close(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    if (root[0] == '\0')
        make_root();
    struct fuzz_part part = fuzz_part(&input, PART);
    write_below("/bin/module", part);
    part = fuzz_part(&input, PART);
    write_below("/bin/module.debug", part);
    write_by_id(part);
    part = fuzz_part(&input, PART);
    write_below("/bin/module.shared", part);
    write_by_id(part);
    part = fuzz_part(&input, PART);
    char map[32];
    snprintf(map, sizeof map, "%s/perf-%d.map", "/tmp", PID);
    write_below(map, part);
    look();
    remove_written();
    return 0;
}
