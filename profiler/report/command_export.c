/* command_export.c: `tidemark export --format F FILE`: a snapshot as the file of another tool.
 * Options in, one file out; the formats are in export_*.c. A file that is named by --output is
 * written beside it and renamed, so that who looks at it (node_exporter, a viewer) never sees a
 * part.
 */
#include "profiler/report/command.h"
#include "profiler/report/export.h"
#include "profiler/report/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct format {
    const char *name;
    bool (*write)(struct tm_export *export);
    const char *does;
    bool needs_sites; /* tells of call sites and of nothing else */
    bool is_binary;
} formats[] = {
    {"pprof", tm_export_pprof, "profile.proto, compressed: go tool pprof, Pyroscope, Parca", true,
     true},
    {"gperftools", tm_export_gperftools, "text with addresses only: google-pprof, go tool pprof",
     true, false},
    {"folded", tm_export_folded, "one figure by stack (--value): flamegraph.pl, inferno", true,
     false},
    {"speedscope", tm_export_speedscope, "JSON for speedscope.app: all figures", true, false},
    {"dhat", tm_export_dhat, "JSON for valgrind's dh_view.html, Firefox's profiler", true, false},
    {"massif", tm_export_massif, "text for ms_print, massif-visualizer: the timeline, two trees",
     false, false},
    {"heaptrack", tm_export_heaptrack, "events for heaptrack_print, heaptrack_gui", true, false},
    {"openmetrics", tm_export_openmetrics, "gauges for Prometheus: the ledger, the largest sites",
     false, false},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static void print_help(FILE *out)
{
    fputs("usage: tidemark export --format FORMAT [OPTIONS] FILE\n\n"
          "Writes a snapshot as a file that another tool opens. FILE is what `tidemark snapshot "
          "PID`\nprinted.\n\nformats:\n",
          out);
    for (int i = 0; i < FORMATS; i++)
        fprintf(out, "  %-12s %s\n", formats[i].name, formats[i].does);
    fprintf(
        out,
        "\noptions:\n"
        "  --output OUT  where to, `-` (default) for standard output\n"
        "  --value WHAT  folded only: live (default), held, sole, peak, allocated or temporary\n"
        "  --root DIR    look for the process's programs and libraries below DIR\n"
        "  --debuginfod  ask the servers of DEBUGINFOD_URLS for missing debug information\n"
        "  --help        this text\n\n"
        "Samples are unsampled: figures are those of `tidemark report`. pprof has held memory "
        "as the\n"
        "sample types held_space and sole_pin_space (go tool pprof -sample_index=held_space).\n"
        "The %d largest stacks are written, the others summed up as one. Exit status: 0 "
        "success, 1 FILE\n"
        "cannot be read or OUT not be written, 2 bad usage.\n",
        TM_EXPORT_STACKS);
}

struct options {
    const char *path, *output, *value;
    const struct format *format;
    enum tm_order by;
    struct tm_symbols_options symbols;
};

/* Takes one option with its value; false after a message. */
static bool take(int option, char *value, void *given)
{
    struct options *options = given;
    switch (option) {
    case 'o':
        options->output = value;
        return true;
    case 'r':
        options->symbols.root = value;
        return true;
    case 'D':
        options->symbols.debuginfod = true;
        return true;
    case 'v':
        options->value = value;
        for (enum tm_order i = 0; i < TM_ORDERS; i++)
            if (strcmp(value, tm_order_name(i)) == 0) {
                options->by = i;
                return true;
            }
        tm_error("--value is '%s'; it can be live, held, sole, peak, allocated or temporary",
                 value);
        return false;
    default:
        for (int i = 0; i < FORMATS; i++)
            if (strcmp(value, formats[i].name) == 0) {
                options->format = &formats[i];
                return true;
            }
        tm_error("--format is '%s'; `tidemark export --help` lists those that there are", value);
        return false;
    }
}

/* Whether the options fit together; false after a message. */
static bool check(int arguments, const struct options *options)
{
    if (!options->format) {
        tm_error("export needs --format; `tidemark export --help` lists the formats");
        return false;
    }
    if (arguments != 1) {
        tm_error("export needs one snapshot file, and %d were given; see `tidemark export --help`",
                 arguments);
        return false;
    }
    if (options->value && options->format->write != tm_export_folded) {
        tm_error("--value is for --format folded; %s has all figures that it has room for",
                 options->format->name);
        return false;
    }
    return true;
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"format", required_argument, NULL, 'f'},
        {"output", required_argument, NULL, 'o'},
        {"value", required_argument, NULL, 'v'},
        {"root", required_argument, NULL, 'r'},
        {"debuginfod", no_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int result = tm_parse_options(argc, argv, known, print_help, take, options);
    if (result >= 0)
        return result;
    options->path = argv[optind];
    return check(argc - optind, options) ? -1 : 2;
}

/* Where an export is written. */
struct target {
    FILE *out;
    const char *path;         /* what the user said; NULL: standard output */
    char temporary[PATH_MAX]; /* "": written in place */
};

/* False after a message. What is there and no plain file (a pipe, /dev/null) is written in place.
 */
static bool open_target(const struct options *options, struct target *target)
{
    struct stat status;
    *target = (struct target){.out = stdout};
    if (strcmp(options->output, "-") == 0) {
        if (options->format->is_binary && isatty(STDOUT_FILENO)) {
            tm_error("%s is not for a terminal; give --output OUT, or a pipe",
                     options->format->name);
            return false;
        }
        return true;
    }
    target->path = options->output;
    bool in_place = stat(target->path, &status) == 0 && !S_ISREG(status.st_mode);
    int length = in_place ? 0
                          : snprintf(target->temporary, sizeof target->temporary, "%s.%d.tmp",
                                     target->path, (int)getpid());
    int file = -1;
    if (length >= (int)sizeof target->temporary)
        errno = ENAMETOOLONG;
    else
        file = open(in_place ? target->path : target->temporary,
                    O_WRONLY | O_CREAT | O_CLOEXEC | (in_place ? O_TRUNC : O_EXCL), 0666);
    target->out = file >= 0 ? fdopen(file, "w") : NULL;
    if (!target->out)
        tm_error("'%s' cannot be written: %s; name another file with --output", target->path,
                 strerror(errno));
    return target->out != NULL;
}

/* Ends the file, or removes it where it is not whole. False after a message. */
static bool close_target(struct target *target, bool whole)
{
    bool written = fflush(target->out) == 0 && !ferror(target->out);
    int error = errno;
    if (target->path && fclose(target->out) != 0 && written) {
        written = false;
        error = errno;
    }
    if (*target->temporary && written && whole && rename(target->temporary, target->path) != 0) {
        written = false;
        error = errno;
    }
    if (*target->temporary && !(written && whole))
        unlink(target->temporary);
    if (!written)
        tm_error("'%s' could not be written: %s; make room, or name another file with --output",
                 target->path ? target->path : "standard output", strerror(error));
    return written && whole;
}

/* Analyses and writes; the exit status. */
static int export_from(const struct tm_snapshot_file *snapshot, const struct options *options)
{
    struct tm_report report;
    struct target target;
    struct tm_view view = {.grouping = options->format->write == tm_export_openmetrics
                                           ? TM_GROUP_FUNCTION
                                           : TM_GROUP_STACK};
    if (snapshot->has_recording)
        view.symbols = tm_symbols_open(snapshot, &options->symbols);
    bool made =
        (!snapshot->has_recording || view.symbols) && tm_report_make(snapshot, &view, &report);
    struct tm_export export = {.report = &report, .value = options->by};
    bool chosen = made && tm_export_open(&export);
    int status = 1;
    if (!chosen) {
        tm_error("there is not enough memory to analyse '%s'", options->path);
    } else if (open_target(options, &target)) {
        export.out = target.out;
        bool whole = options->format->write(&export);
        if (!whole)
            tm_error("there is not enough memory to export '%s'", options->path);
        status = close_target(&target, whole) ? 0 : 1;
    }
    if (chosen)
        tm_export_close(&export);
    if (made)
        tm_report_free(&report);
    if (view.symbols)
        tm_symbols_close(view.symbols);
    return status;
}

int tm_command_export(int argc, char **argv)
{
    struct options options = {.output = "-", .by = TM_BY_LIVE};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    struct tm_snapshot_file snapshot;
    struct tm_snapshot_error error;
    if (!tm_snapshot_load(options.path, &snapshot, &error)) {
        tm_error("%s", error.text);
        return 1;
    }
    if (options.format->needs_sites && !snapshot.has_recording) {
        tm_error("'%s' tells of no call sites, and %s has nothing else; record them (`tidemark "
                 "start PID`) and take another snapshot, or export massif or openmetrics",
                 options.path, options.format->name);
        status = 1;
    } else {
        status = export_from(&snapshot, &options);
    }
    tm_snapshot_free(&snapshot);
    return status;
}
