/* command_run.c: `tidemark run`: sets the environment that preloads the library and becomes the
 * command. It calls execvp in its own process, so exit status, signals, job control and the PID are
 * the program's own, and nothing of Tidemark stays between the two.
 */
#include "profiler/report/command.h"
#include "profiler/report/spawn.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: tidemark run [OPTIONS] -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND with libtidemark.so as its allocator, which records the call\n"
    "sites of a sample of its allocations. Exit status and signals are the command's\n"
    "own; `tidemark snapshot PID` then shows what it holds, and which calls hold it.\n"
    "\n"
    "  --sites WHICH        call sites to record: off, sample (the default), all\n"
    "  --rate BYTES         mean bytes between two samples, 512K by default; K, M and G are known\n"
    "  --at SIZE            snapshot when RSS gets there: BYTES, or PERCENT% of the memory limit\n"
    "  --out PATTERN        where snapshots go; %p pid, %n number, %e program\n"
    "  --exit WHAT          at exit: none, summary (a few lines on stderr), snapshot\n"
    "  --set KEY=VALUE      any key of the library, see libtidemark(7); may be repeated\n"
    "  --no-pythonmalloc    leave CPython's own pools on\n"
    "  --help               this text\n"
    "\n"
    "Programs that COMMAND starts run under the library, too, and are profiled unless\n"
    "--set children=no.\n"
    "\n"
    "Options are passed in the variable TIDEMARK. One that is set already is kept, and what is "
    "asked\n"
    "for here replaces keys in it. An LD_PRELOAD that is set stays, behind the library.\n"
    "\n"
    "CPython takes small objects from pools of its own, between the program and the allocator. If\n"
    "COMMAND is a Python program (by its name, its link or its #! line), PYTHONMALLOC=malloc is "
    "set,\n"
    "so that every object comes from Tidemark; a PYTHONMALLOC that is set already is kept.\n"
    "\n"
    "A statically linked or setuid program cannot be preloaded; a warning says so and it runs as\n"
    "it is.\n"
    "\n"
    "Exit status: the command's own; 127 it was not found, 126 it cannot be executed, 1 the "
    "library\n"
    "was not found, 2 bad usage.\n";

enum {
    OPTION_SITES = 256,
    OPTION_RATE,
    OPTION_AT,
    OPTION_OUT,
    OPTION_EXIT,
    OPTION_SET,
    OPTION_NO_PYTHON
};

static const struct option options[] = {
    {"sites", required_argument, NULL, OPTION_SITES},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"at", required_argument, NULL, OPTION_AT},
    {"out", required_argument, NULL, OPTION_OUT},
    {"exit", required_argument, NULL, OPTION_EXIT},
    {"set", required_argument, NULL, OPTION_SET},
    {"no-pythonmalloc", no_argument, NULL, OPTION_NO_PYTHON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
    char *keys; /* key=value,… asked for on the command line; malloc'ed, NULL: none */
    bool pythonmalloc;
};

/* Adds key=value to the request; the last of one key wins. */
static bool add_key(struct request *request, const char *key, const char *value)
{
    char *item;
    if (asprintf(&item, "%s%s%s", key, *key ? "=" : "", value) < 0)
        return false;
    char *merged = tm_merge_options(request->keys, item);
    free(item);
    free(request->keys);
    request->keys = merged;
    return merged != NULL;
}

static bool bad_value(const char *option, const char *value, const char *wanted)
{
    tm_error("run: %s does not take '%s'; %s", option, value, wanted);
    return false;
}

/* The program may change its directory before it writes a snapshot, so a relative pattern is made
 * absolute here. */
static bool add_out(struct request *request, const char *pattern)
{
    if (!*pattern || strchr(pattern, ','))
        return bad_value("--out", pattern, "name a file, without a comma in its path");
    if (*pattern == '/')
        return add_key(request, "out", pattern);
    char *directory = getcwd(NULL, 0);
    char *absolute = NULL;
    if (!directory || asprintf(&absolute, "%s/%s", directory, pattern) < 0) {
        tm_error("run: cannot tell the current directory (%m); give --out an absolute path");
        free(directory);
        return false;
    }
    bool fits = !strchr(absolute, ',');
    bool done = fits ? add_key(request, "out", absolute)
                     : bad_value("--out", absolute, "its directory must not contain a comma");
    free(absolute);
    free(directory);
    return done;
}

static bool is_among(const char *value, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(value, *words) == 0)
            return true;
    return false;
}

/* A number above 0 and one of the units, or none. */
static bool is_amount(const char *value, const char *units)
{
    size_t digits = strspn(value, "0123456789");
    const char *unit = value + digits;
    return digits > 0 && strspn(value, "0") < digits &&
           (!*unit || (strchr(units, *unit) && !unit[1]));
}

static bool take_option(struct request *request, int option, const char *value)
{
    static const char *const sites[] = {"off", "sample", "all", NULL};
    static const char *const exits[] = {"none", "summary", "snapshot", NULL};
    switch (option) {
    case OPTION_SITES:
        if (!is_among(value, sites))
            return bad_value("--sites", value, "it takes off, sample or all");
        return add_key(request, "sites", value);
    case OPTION_RATE:
        if (!is_amount(value, "KMG"))
            return bad_value("--rate", value, "it takes bytes, at least 1: 65536, 512K, 2M");
        return add_key(request, "rate", value);
    case OPTION_AT:
        if (!is_amount(value, "KMG%") || (strchr(value, '%') && strtoul(value, NULL, 10) > 100))
            return bad_value("--at", value, "it takes bytes (500M, 2G) or percent (80%)");
        return add_key(request, "at", value);
    case OPTION_OUT:
        return add_out(request, value);
    case OPTION_EXIT:
        if (!is_among(value, exits))
            return bad_value("--exit", value, "it takes none, summary or snapshot");
        return add_key(request, "exit", value);
    case OPTION_SET:
        if (strcspn(value, "=") == 0 || !strchr(value, '=') || strchr(value, ','))
            return bad_value("--set", value, "it takes one KEY=VALUE without a comma");
        return add_key(request, "", value);
    case OPTION_NO_PYTHON:
        request->pythonmalloc = false;
        return true;
    default:
        return false; /* getopt has told */
    }
}

/* Replaces the process; returns the exit status only if that fails. */
static int become(struct request *request, char **command)
{
    struct tm_program program;
    tm_program_inspect(command[0], &program);
    if (!program.path) {
        errno = program.error;
        tm_error("cannot run '%s': %m; check its name, PATH and permissions", command[0]);
        return tm_exec_status(program.error);
    }
    tm_program_warn(&program);
    char *library = tm_find_library();
    if (!library || !tm_preload(library))
        return 1;
    /* What `run` is for, the user's variable, then this command line: later keys win. */
    char *set = tm_merge_options("sites=sample", getenv("TIDEMARK"));
    char *keys = set ? tm_merge_options(set, request->keys) : NULL;
    free(set);
    if (!keys || setenv("TIDEMARK", keys, 1) != 0)
        return 1;
    if (program.python && request->pythonmalloc)
        setenv("PYTHONMALLOC", "malloc", 0);
    execvp(command[0], command);
    int error = errno;
    tm_error("cannot run '%s': %m; check its format and permissions", command[0]);
    return tm_exec_status(error);
}

int tm_command_run(int argc, char **argv)
{
    struct request request = {.keys = NULL, .pythonmalloc = true};
    int option;
    while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&request, option, optarg)) {
            fputs("`tidemark run --help` tells more\n", stderr);
            free(request.keys);
            return 2;
        }
    }
    if (optind >= argc) {
        tm_error("run: no command; usage: tidemark run [OPTIONS] -- COMMAND [ARGUMENT...]");
        free(request.keys);
        return 2;
    }
    int status = become(&request, argv + optind);
    free(request.keys);
    return status;
}
