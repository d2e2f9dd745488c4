/* allocators.c: finds the allocators that are installed, by the names of their shared libraries in
 * the loader's cache and in the usual directories. See allocators.h.
 */
#include "profiler/report/allocators.h"

#include "profiler/report/command.h"
#include "profiler/report/report_format.h"
#include "profiler/report/spawn.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* File names by preference: the newest interface first, the variant without a profiler of its own
 * first. */
static const struct known {
    const char *name;
    const char *package; /* of Debian */
    const char *files[5];
} known[] = {
    {"jemalloc", "libjemalloc2", {"libjemalloc.so.2", "libjemalloc.so.1", "libjemalloc.so"}},
    {"mimalloc",
     "libmimalloc2.0",
     {"libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so"}},
    {"tcmalloc",
     "libtcmalloc-minimal4",
     {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so", "libtcmalloc.so"}},
};

enum { KNOWN = sizeof known / sizeof known[0] };

static const char *const directories[] = {
    "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",     "/usr/local/lib64",          "/usr/lib",
};

/* The line of `ldconfig -p` for `file`: "<tab>file (flags) => /path". Returns the path or NULL. */
static char *find_in_cache(const char *file)
{
    static const char *const programs[] = {"/sbin/ldconfig", "/usr/sbin/ldconfig"};
    const char *program = access(programs[0], X_OK) == 0 ? programs[0] : programs[1];
    char command[64];
    snprintf(command, sizeof command, "%s -p 2>/dev/null", program);
    FILE *cache = popen(command, "re");
    if (!cache)
        return NULL;
    char *found = NULL;
    char line[PATH_MAX + 256];
    size_t length = strlen(file);
    while (fgets(line, sizeof line, cache)) {
        const char *start = line + strspn(line, " \t");
        char *path = strstr(line, " => ");
        if (found || !path || strncmp(start, file, length) != 0 || start[length] != ' ')
            continue;
        path += 4;
        path[strcspn(path, "\n")] = '\0';
        if (tm_is_library(path))
            found = strdup(path);
    }
    pclose(cache);
    return found;
}

static char *find_in_directories(const char *file)
{
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", directories[i], file);
        if (tm_is_library(path))
            return strdup(path);
    }
    return NULL;
}

static const struct known *known_by(const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

char *tm_allocator_find(const char *name)
{
    const struct known *which = known_by(name);
    for (int i = 0; which && i < 5 && which->files[i]; i++) {
        char *path = find_in_directories(which->files[i]);
        if (!path)
            path = find_in_cache(which->files[i]);
        if (path) {
            /* Behind all links, as /proc/PID/maps will show it. */
            char *resolved = realpath(path, NULL);
            free(path);
            return resolved;
        }
    }
    return NULL;
}

bool tm_allocators_insert(struct tm_allocator_set *set, unsigned at, struct tm_allocator allocator)
{
    if (set->count == TM_ALLOCATORS_MOST || at > set->count || !allocator.name) {
        free(allocator.name);
        free(allocator.library);
        return false;
    }
    memmove(&set->all[at + 1], &set->all[at], (set->count - at) * sizeof set->all[0]);
    set->all[at] = allocator;
    set->count++;
    return true;
}

static bool append(struct tm_allocator_set *set, const char *name, char *library)
{
    struct tm_allocator allocator = {.name = strdup(name), .library = library};
    if (allocator.name)
        tm_make_plain(allocator.name);
    allocator.tidemark = strcmp(name, "tidemark") == 0;
    allocator.reference = strcmp(name, "glibc") == 0 && !library;
    return tm_allocators_insert(set, set->count, allocator);
}

bool tm_allocators_default(struct tm_allocator_set *set)
{
    *set = (struct tm_allocator_set){.count = 0};
    char *own = tm_find_library();
    if (!own)
        return false;
    bool fits = append(set, "glibc", NULL) && append(set, "tidemark", own);
    for (int i = 0; fits && i < KNOWN; i++) {
        char *library = tm_allocator_find(known[i].name);
        if (library)
            fits = append(set, known[i].name, library);
    }
    return fits;
}

static int append_known(struct tm_allocator_set *set, const char *name)
{
    char *library = NULL;
    const struct known *which = known_by(name);
    if (which) {
        library = tm_allocator_find(name);
        if (!library) {
            tm_error("compare: %s is not installed (no %s in the loader's cache or the usual "
                     "directories); install it (Debian: %s) or name its file: %s=/path/to/%s",
                     name, which->files[0], which->package, name, which->files[0]);
            return 1;
        }
    } else if (strcmp(name, "tidemark") == 0) {
        library = tm_find_library();
        if (!library)
            return 1;
    } else if (strcmp(name, "glibc") != 0) {
        tm_error("compare: --with does not know '%s'; it takes glibc, tidemark, jemalloc, "
                 "mimalloc, tcmalloc or NAME=/path/to/library.so",
                 name);
        return 2;
    }
    return append(set, name, library) ? 0 : 1;
}

static int append_file(struct tm_allocator_set *set, const char *name, const char *path)
{
    char *library = realpath(path, NULL);
    if (!library) {
        tm_error("compare: cannot open the library '%s' of '%s': %m; give the path of a shared "
                 "library",
                 path, name);
        return 1;
    }
    if (strpbrk(library, ": ")) {
        tm_error("compare: LD_PRELOAD cannot carry '%s': it splits at colons and spaces; link or "
                 "copy the library to a path without them",
                 library);
        free(library);
        return 1;
    }
    if (!tm_is_library(library)) {
        tm_error("compare: '%s' is no shared library of this machine's kind; give the path of one",
                 path);
        free(library);
        return 1;
    }
    return append(set, name, library) ? 0 : 1;
}

static bool is_listed(const struct tm_allocator_set *set, const char *name)
{
    for (unsigned i = 0; i < set->count; i++)
        if (strcmp(set->all[i].name, name) == 0)
            return true;
    return false;
}

static int append_item(struct tm_allocator_set *set, char *item)
{
    char *path = strchr(item, '=');
    if (path)
        *path++ = '\0';
    if (!*item || (path && !*path)) {
        tm_error("compare: --with has an empty item; it takes names or NAME=/path, by commas");
        return 2;
    }
    if (is_listed(set, item)) {
        tm_error("compare: --with names '%s' twice; give each row a name of its own", item);
        return 2;
    }
    if (set->count == TM_ALLOCATORS_MOST) {
        tm_error("compare: --with names more than %d allocators; compare fewer at once",
                 TM_ALLOCATORS_MOST);
        return 2;
    }
    return path ? append_file(set, item, path) : append_known(set, item);
}

int tm_allocators_named(struct tm_allocator_set *set, const char *list)
{
    *set = (struct tm_allocator_set){.count = 0};
    char *copy = strdup(list);
    int status = copy ? 0 : 1;
    char *rest = copy;
    for (char *item; status == 0 && (item = strsep(&rest, ","));)
        status = append_item(set, item);
    free(copy);
    bool found = false;
    for (unsigned i = 0; i < set->count; i++)
        found = found || set->all[i].reference;
    if (!found && set->count > 0)
        set->all[0].reference = true;
    return status;
}

void tm_allocators_free(struct tm_allocator_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        free(set->all[i].name);
        free(set->all[i].library);
    }
    set->count = 0;
}
