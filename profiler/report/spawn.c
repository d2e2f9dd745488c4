/* spawn.c: the environment that a preloaded program gets. See spawn.h. */
#include "profiler/report/spawn.h"

#include "profiler/report/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tm_exec_status(int error)
{
    return error == ENOENT || error == ENOTDIR ? 127 : 126;
}

/* The loader splits LD_PRELOAD at colons and spaces. */
static bool names(const char *list, const char *library)
{
    size_t length = strlen(library);
    for (const char *at = list; *at;) {
        size_t item = strcspn(at, ": ");
        if (item == length && strncmp(at, library, item) == 0)
            return true;
        at += item;
        at += strspn(at, ": ");
    }
    return false;
}

bool tm_preload(const char *library)
{
    if (strpbrk(library, ": ")) {
        tm_error("LD_PRELOAD cannot carry '%s': it splits at colons and spaces; link or copy the "
                 "library to a path without them",
                 library);
        return false;
    }
    const char *before = getenv("LD_PRELOAD");
    if (!before || !*before)
        return setenv("LD_PRELOAD", library, 1) == 0;
    if (names(before, library))
        return true;
    char *both;
    if (asprintf(&both, "%s:%s", library, before) < 0)
        return false;
    bool done = setenv("LD_PRELOAD", both, 1) == 0;
    free(both);
    return done;
}

static bool has_key(const char *list, const char *item, size_t key_length)
{
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, "=,") == key_length && strncmp(at, item, key_length) == 0)
            return true;
    return false;
}

char *tm_merge_options(const char *earlier, const char *later)
{
    size_t room = (earlier ? strlen(earlier) : 0) + (later ? strlen(later) : 0) + 3;
    char *merged = calloc(1, room);
    if (!merged)
        return NULL;
    const char *lists[] = {earlier, later};
    for (int i = 0; i < 2; i++) {
        const char *next;
        for (const char *at = lists[i]; at && *at; at = next) {
            size_t item = strcspn(at, ",");
            next = at + item + (at[item] == ',');
            size_t key = strcspn(at, "=,");
            bool replaced = has_key(next, at, key) || (i == 0 && has_key(later, at, key));
            if (item == 0 || replaced)
                continue;
            if (*merged)
                strcat(merged, ",");
            strncat(merged, at, item);
        }
    }
    return merged;
}
