/* library_path.c: finds libtidemark.so for the commands that preload it. It goes by where the
 * command itself lies, so that a build tree and an installation each use their own library and
 * never a stray one of the system.
 */
#include "profiler/report/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Relative to the directory of the command: a build tree first, then the usual library directories
 * of a prefix. */
static const char *const places[] = {
    "../preload/libtidemark.so",
    "../lib/x86_64-linux-gnu/tidemark/libtidemark.so",
    "../lib64/tidemark/libtidemark.so",
    "../lib/tidemark/libtidemark.so",
};

static char *own_directory(void)
{
    char *exe = realpath("/proc/self/exe", NULL);
    char *slash = exe ? strrchr(exe, '/') : NULL;
    if (slash)
        *slash = '\0';
    return exe;
}

char *tm_find_library(void)
{
    const char *named = getenv("TIDEMARK_LIBRARY");
    if (named && *named) {
        char *found = realpath(named, NULL);
        if (!found)
            tm_error("TIDEMARK_LIBRARY names '%s': %m; unset it or name the built libtidemark.so",
                     named);
        return found;
    }
    char *directory = own_directory();
    if (!directory) {
        tm_error("cannot tell where this command lies (/proc/self/exe: %m); set TIDEMARK_LIBRARY "
                 "to the path of libtidemark.so");
        return NULL;
    }
    char *found = NULL;
    for (size_t i = 0; !found && i < sizeof places / sizeof places[0]; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", directory, places[i]) < 0)
            break;
        found = realpath(path, NULL);
        free(path);
    }
    if (!found) {
        tm_error("libtidemark.so is not where this command expects it; tried from %s:", directory);
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
            fprintf(stderr, "    %s\n", places[i]);
        fputs("  build it (meson compile -C build) or set TIDEMARK_LIBRARY to its path\n", stderr);
    }
    free(directory);
    return found;
}
