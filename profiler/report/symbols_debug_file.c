/* symbols_debug_file.c: see symbols_debug_file.h. libdwfl can search, too, but it opens whatever
 * has the right name, pipes included, knows nothing of another root directory, and asks debuginfod
 * servers whenever the environment names some.
 */
#include "profiler/report/symbols_debug_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char debug_directory[] = "/usr/lib/debug";

/* What a candidate is judged by. */
struct wanted {
    const char *id;          /* "" : none */
    uint32_t crc;            /* where there is no id */
    const struct stat *main; /* the file that is not to be found again; NULL: none */
    bool shared;             /* it is one that dwz made */
};

static bool crc_fits(int file, uint32_t crc)
{
    unsigned char block[65536];
    uLong sum = crc32(0, NULL, 0);
    off_t at = 0;
    for (;;) {
        ssize_t got = pread(file, block, sizeof block, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            return (uint32_t)sum == crc;
        sum = crc32(sum, block, (uInt)got);
        at += got;
    }
}

static bool is_same(const struct stat *main, int file)
{
    struct stat status;
    return main && fstat(file, &status) == 0 && status.st_dev == main->st_dev &&
           status.st_ino == main->st_ino;
}

static bool fits(int file, const struct wanted *wanted)
{
    char id[TM_BUILD_ID_TEXT];
    if (!tm_files_is_elf(file, wanted->shared, id) || is_same(wanted->main, file))
        return false;
    return wanted->id[0] != '\0' ? strcmp(id, wanted->id) == 0 : crc_fits(file, wanted->crc);
}

/* Tries a path below each root. */
static bool try_path(const struct tm_files *files, const struct wanted *wanted,
                     struct tm_debug_file *found)
{
    for (size_t i = 0; i < files->root_count; i++) {
        found->file = tm_files_open_below(files->roots[i], found->path);
        if (found->file < 0)
            continue;
        if (fits(found->file, wanted))
            return true;
        close(found->file);
        found->file = -1;
    }
    return false;
}

/* Puts the path together: a, the directory of path, b, name. False: it is too long. */
static bool join(struct tm_debug_file *found, const char *a, const char *path, const char *b,
                 const char *name)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) : 0;
    int length =
        snprintf(found->path, sizeof found->path, "%s%.*s%s/%s", a, directory, path, b, name);
    return length > 0 && (size_t)length < sizeof found->path;
}

void tm_debug_file_name(const char *id, char path[static PATH_MAX])
{
    path[0] = '\0';
    if (strlen(id) > 2)
        snprintf(path, PATH_MAX, "%s/.build-id/%.2s/%s.debug", debug_directory, id, id + 2);
}

static struct tm_debug_file by_id(const struct tm_files *files, const struct wanted *wanted)
{
    struct tm_debug_file found = {.file = -1};
    tm_debug_file_name(wanted->id, found.path);
    if (found.path[0] == '\0' || try_path(files, wanted, &found))
        return found;
    /* A root that the user named has the process's files; what the build id proves right may come
     * from this system as well. */
    struct tm_files here = {.root_count = 0};
    if (files->given)
        tm_files_open_here(&here);
    try_path(&here, wanted, &found);
    tm_files_close(&here);
    return found;
}

struct tm_debug_file tm_debug_file_by_id(const struct tm_files *files, const char *id)
{
    const struct wanted wanted = {.id = id};
    return by_id(files, &wanted);
}

struct tm_debug_file tm_debug_file_find(const struct tm_files *files, const char *path,
                                        const struct stat *main, const char *id, const char *link,
                                        uint32_t crc)
{
    const struct wanted wanted = {id, crc, main, false};
    struct tm_debug_file found = by_id(files, &wanted);
    if (found.file >= 0 || !link || link[0] == '\0' || strchr(link, '/'))
        return found;
    static const char *const places[][2] = {{"", ""}, {"", "/.debug"}, {debug_directory, ""}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (join(&found, places[i][0], path, places[i][1], link) &&
            try_path(files, &wanted, &found))
            return found;
    return found;
}

struct tm_debug_file tm_debug_file_shared(const struct tm_files *files, const char *path,
                                          const char *id, const char *link)
{
    const struct wanted wanted = {.id = id, .shared = true};
    struct tm_debug_file found = by_id(files, &wanted);
    if (found.file >= 0 || id[0] == '\0' || link[0] == '\0')
        return found;
    bool whole = link[0] == '/'
                     ? snprintf(found.path, sizeof found.path, "%s", link) < (int)sizeof found.path
                     : join(&found, "", path, "", link);
    if (whole)
        try_path(files, &wanted, &found);
    return found;
}
