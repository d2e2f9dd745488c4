/* command_compare.c: `tidemark compare`: reads the options, runs the command under each allocator
 * in turns, and has the result printed and written. It owns the process tree and the signals for
 * the time of the comparison: Ctrl-C ends the measured tree first and then this process by the same
 * signal.
 */
#include "profiler/report/chart.h"
#include "profiler/report/command.h"
#include "profiler/report/compare_output.h"
#include "profiler/report/report_format.h"
#include "profiler/report/spawn.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: tidemark compare [OPTIONS] -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND under glibc's malloc, Tidemark, and each of jemalloc, mimalloc and tcmalloc that "
    "is\n"
    "installed, one after the other, and compares memory and time.\n"
    "\n"
    "  --with LIST          which ones, by commas: glibc, tidemark, jemalloc, mimalloc, tcmalloc,\n"
    "                       NAME=/path/to/library.so\n"
    "  --repeat N           runs of each, interleaved; medians and their spread (default 1)\n"
    "  --interval MS        wanted time between samples (default 10); stretched so that sampling\n"
    "                       takes at most 2 % of one CPU\n"
    "  --duration SECONDS   end the program after this time, for one that does not end by itself\n"
    "  --csv FILE           the time series; figures of every run go to FILE-summary.csv\n"
    "  --html FILE          one page with chart, table and explanations\n"
    "  --svg FILE           the chart alone\n"
    "  --json FILE          the figures (- for standard output, instead of the table)\n"
    "  --show-output        let the command's output through (else only its last words on "
    "failure)\n"
    "  --no-pythonmalloc    leave CPython's own pools on in every row\n"
    "  --quiet              no table and no progress\n"
    "  --help               this text\n"
    "\n"
    "What is measured: memory resident in the whole tree of processes below COMMAND, daemons\n"
    "included, with pages that they share counted once (PSS); RSS where PSS is not readable.\n"
    "  peak        the highest sample, or the kernel's own mark for one process if higher\n"
    "  mean        mean over the time of the run\n"
    "  final       the last sample before the end\n"
    "  after peak  mean over the time from the highest sample to the end: what stays held\n"
    "  faults      page faults without (faults) and with (major) reading from disk\n"
    "  user, system, wall   CPU time of all processes, and time until COMMAND has ended\n"
    "The second line of each row is the ratio to glibc (or to the first row, without glibc).\n"
    "\n"
    "Each run gets /dev/null as standard input. A run ends when COMMAND ends; processes that\n"
    "it leaves behind are ended. Other allocators run with their own defaults.\n"
    "\n"
    "CPython takes small objects from pools of its own. For a Python program (by its name, its "
    "link\n"
    "or its #! line) a first row \"glibc (own pools)\" shows it as its user runs it, and the "
    "other\n"
    "rows have PYTHONMALLOC=malloc, unless that variable is set already.\n"
    "\n"
    "Exit status: 0 every run succeeded, 1 a run failed or a file could not be written, 2 bad "
    "usage.\n";

enum {
    OPTION_WITH = 256,
    OPTION_REPEAT,
    OPTION_INTERVAL,
    OPTION_DURATION,
    OPTION_CSV,
    OPTION_HTML,
    OPTION_SVG,
    OPTION_JSON,
    OPTION_SHOW,
    OPTION_NO_PYTHON,
    OPTION_QUIET,
};

static const struct option options[] = {
    {"with", required_argument, NULL, OPTION_WITH},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"csv", required_argument, NULL, OPTION_CSV},
    {"html", required_argument, NULL, OPTION_HTML},
    {"svg", required_argument, NULL, OPTION_SVG},
    {"json", required_argument, NULL, OPTION_JSON},
    {"show-output", no_argument, NULL, OPTION_SHOW},
    {"no-pythonmalloc", no_argument, NULL, OPTION_NO_PYTHON},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

enum { REPEAT_MOST = 1000 };

struct settings {
    const char *with, *csv, *html, *svg, *json; /* NULL: not asked for */
    unsigned repeat;
    double interval, duration; /* seconds */
    bool show_output, pythonmalloc, quiet;
    char **command;
};

/* A number within limits, all of the text; prints the message otherwise. */
static bool number(const char *option, const char *text, double least, double most, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (end == text || *end || errno || !(*value >= least && *value <= most)) {
        tm_error("compare: %s does not take '%s'; it takes a number from %g to %g", option, text,
                 least, most);
        return false;
    }
    return true;
}

static bool take_option(struct settings *settings, int option, const char *value)
{
    double parsed = 0;
    bool good = true;
    switch (option) {
    case OPTION_WITH:
        settings->with = value;
        break;
    case OPTION_REPEAT:
        good = number("--repeat", value, 1, REPEAT_MOST, &parsed);
        if (good && parsed != floor(parsed)) {
            tm_error("compare: --repeat takes a whole number, not '%s'", value);
            good = false;
        }
        settings->repeat = (unsigned)parsed;
        break;
    case OPTION_INTERVAL:
        good = number("--interval", value, 0.1, 3600e3, &parsed);
        settings->interval = parsed / 1000;
        break;
    case OPTION_DURATION:
        good = number("--duration", value, 0.01, 1e7, &settings->duration);
        break;
    case OPTION_CSV:
        settings->csv = value;
        break;
    case OPTION_HTML:
        settings->html = value;
        break;
    case OPTION_SVG:
        settings->svg = value;
        break;
    case OPTION_JSON:
        settings->json = value;
        break;
    case OPTION_SHOW:
        settings->show_output = true;
        break;
    case OPTION_NO_PYTHON:
        settings->pythonmalloc = false;
        break;
    case OPTION_QUIET:
        settings->quiet = true;
        break;
    default:
        return false; /* getopt has told */
    }
    return good;
}

/* ---- progress: one line on a terminal, rewritten ---- */

struct progress {
    const char *name;
    unsigned run, runs;
    double shown; /* seconds of the run at which the line was last written */
};

static void show_progress(double seconds, uint64_t bytes, void *context)
{
    struct progress *progress = context;
    char text[TM_FIGURE_TEXT];
    if (seconds >= progress->shown && seconds - progress->shown < 0.2)
        return;
    progress->shown = seconds;
    fprintf(stderr, "\r\033[K[%u/%u] %s: %.1f s, %s", progress->run, progress->runs, progress->name,
            seconds, tm_figure_text(TM_UNIT_BYTES, (double)bytes, text));
    fflush(stderr);
}

static void clear_progress(void)
{
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

/* ---- the runs ---- */

static void report_failure(const struct tm_allocator *allocator, unsigned n,
                           const struct tm_compare_run *run)
{
    enum { LINES = 8 };
    tm_error("compare: run %u under %s failed: %s%s", n + 1, allocator->name, run->failure,
             run->last_words_length ? "; its last words:" : "");
    size_t start = run->last_words_length;
    for (int lines = 0; start > 0; start--)
        if (run->last_words[start - 1] == '\n' && start < run->last_words_length &&
            ++lines == LINES)
            break;
    if (run->last_words_length == 0)
        return;
    fwrite(run->last_words + start, 1, run->last_words_length - start, stderr);
    if (run->last_words[run->last_words_length - 1] != '\n')
        fputc('\n', stderr);
}

/* The program brought an allocator of its own, so the plain run is not glibc's: it becomes a row of
 * its own, and a row is added that really has glibc's malloc, by putting libc first in the search
 * order. */
static void split_plain_row(struct tm_comparison *all, unsigned row)
{
    static const char *const places[] = {"/lib/x86_64-linux-gnu/libc.so.6",
                                         "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"};
    char *libc = NULL;
    for (size_t i = 0; !libc && i < sizeof places / sizeof places[0]; i++)
        libc = realpath(places[i], NULL);
    char *name = NULL;
    const struct tm_compare_run *plain = tm_run_of(all, row, 0);
    if (!libc || all->set.count == TM_ALLOCATORS_MOST ||
        asprintf(&name, "as it is (%.*s)", (int)strcspn(plain->brought, "."), plain->brought) < 0) {
        free(libc);
        return;
    }
    struct tm_allocator glibc = all->set.all[row];
    glibc.library = libc;
    all->set.all[row].name = name;
    all->set.all[row].reference = false;
    tm_allocators_insert(&all->set, row + 1, glibc);
    struct tm_compare_run *next = all->runs + (size_t)(row + 1) * all->repeat;
    size_t rows_behind = all->set.count - row - 2;
    memmove(next + all->repeat, next, rows_behind * all->repeat * sizeof *next);
    memset(next, 0, all->repeat * sizeof *next);
}

/* Runs all rows, round robin. Returns false if a signal ended it. */
static bool run_all(struct tm_comparison *all, const struct settings *settings,
                    struct tm_compare_request *request, struct progress *progress, int *interrupted,
                    bool *failed)
{
    bool terminal = isatty(STDERR_FILENO) && !settings->quiet;
    request->progress = terminal ? show_progress : NULL;
    request->context = progress;
    for (unsigned n = 0; n < all->repeat; n++) {
        for (unsigned row = 0; row < all->set.count; row++) {
            struct tm_compare_run *run = &all->runs[row * all->repeat + n];
            progress->name = all->set.all[row].name;
            progress->run++;
            progress->runs = all->set.count * all->repeat;
            progress->shown = -1;
            tm_compare_run(request, &all->set.all[row], run);
            if (terminal)
                clear_progress();
            if (run->interrupted) {
                *interrupted = run->interrupted;
                return false;
            }
            if (run->failed) {
                *failed = true;
                report_failure(&all->set.all[row], n, run);
            }
            if (n == 0 && !all->set.all[row].library && run->brought[0] &&
                all->set.all[row].reference)
                split_plain_row(all, row);
        }
        all->done = n + 1;
    }
    return true;
}

/* ---- output ---- */

typedef void writer(FILE *out, const struct tm_comparison *all);

static bool write_file(const char *path, writer *write, const struct tm_comparison *all)
{
    FILE *out = fopen(path, "we");
    if (!out) {
        tm_error("compare: cannot write '%s': %m; name a file that can be written", path);
        return false;
    }
    write(out, all);
    bool good = !ferror(out);
    if (fclose(out) != 0 || !good) {
        tm_error("compare: writing '%s' failed: %m; make room or name another place", path);
        return false;
    }
    return true;
}

/* out.csv → out-summary.csv */
static char *summary_path(const char *csv)
{
    size_t length = strlen(csv);
    bool suffix = length > 4 && strcmp(csv + length - 4, ".csv") == 0;
    char *path;
    return asprintf(&path, "%.*s-summary.csv", (int)(suffix ? length - 4 : length), csv) < 0 ? NULL
                                                                                             : path;
}

static bool write_all(const struct tm_comparison *all, const struct settings *settings)
{
    bool good = true;
    bool json_out = settings->json && strcmp(settings->json, "-") == 0;
    if (json_out)
        tm_compare_write_json(stdout, all);
    else if (!settings->quiet)
        tm_compare_print_table(stdout, all);
    if (settings->csv) {
        char *summary = summary_path(settings->csv);
        good = write_file(settings->csv, tm_compare_write_series, all) && summary &&
               write_file(summary, tm_compare_write_summary, all);
        free(summary);
    }
    if (settings->html)
        good = write_file(settings->html, tm_chart_write_html, all) && good;
    if (settings->svg)
        good = write_file(settings->svg, tm_chart_write_svg, all) && good;
    if (settings->json && !json_out)
        good = write_file(settings->json, tm_compare_write_json, all) && good;
    return fflush(stdout) == 0 && good;
}

/* Tries the files before minutes are spent on measuring; leaves what is there alone. */
static bool can_write(const struct settings *settings)
{
    const char *const paths[] = {settings->csv, settings->html, settings->svg, settings->json};
    for (int i = 0; i < 4; i++) {
        if (!paths[i] || strcmp(paths[i], "-") == 0)
            continue;
        bool there = access(paths[i], F_OK) == 0;
        FILE *out = fopen(paths[i], "ae");
        if (!out) {
            tm_error("compare: cannot write '%s': %m; name a file that can be written", paths[i]);
            return false;
        }
        fclose(out);
        if (!there)
            unlink(paths[i]);
    }
    return true;
}

static char *join(char **words)
{
    size_t room = 1;
    for (char **word = words; *word; word++)
        room += strlen(*word) + 1;
    char *line = calloc(1, room);
    for (char **word = words; line && *word; word++) {
        if (word != words)
            strcat(line, " ");
        strcat(line, *word);
    }
    return line;
}

/* ---- the whole ---- */

static void block_signals(struct tm_compare_request *request)
{
    sigemptyset(&request->signals);
    sigaddset(&request->signals, SIGCHLD);
    sigaddset(&request->signals, SIGINT);
    sigaddset(&request->signals, SIGTERM);
    sigaddset(&request->signals, SIGHUP);
    sigaddset(&request->signals, SIGQUIT);
    sigprocmask(SIG_BLOCK, &request->signals, &request->inherited);
}

/* Ends by the signal that ended the comparison, so that a shell sees what happened. */
static int end_by(int signal_number, const sigset_t *inherited)
{
    tm_error("compare: ended by signal %d (%s); nothing was left running", signal_number,
             strsignal(signal_number));
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    sigprocmask(SIG_SETMASK, inherited, NULL);
    return 1;
}

static int compare(struct tm_comparison *all, const struct settings *settings, bool python)
{
    struct tm_compare_request request = {
        .command = settings->command,
        .pythonmalloc = python,
        .show_output = settings->show_output,
        .interval = settings->interval,
        .duration = settings->duration,
        .tree = tm_proctree_open(),
    };
    if (!request.tree) {
        tm_error("compare: cannot watch processes: %m; /proc must be mounted");
        return 1;
    }
    block_signals(&request);
    int interrupted = 0;
    bool failed = false;
    struct progress progress = {.run = 0};
    bool whole = run_all(all, settings, &request, &progress, &interrupted, &failed);
    sigprocmask(SIG_SETMASK, &request.inherited, NULL);
    tm_proctree_close(request.tree);
    if (!whole)
        return end_by(interrupted, &request.inherited);
    return write_all(all, settings) && !failed ? 0 : 1;
}

static int prepare_and_compare(const struct settings *settings)
{
    struct tm_program program;
    tm_program_inspect(settings->command[0], &program);
    if (!program.path) {
        errno = program.error;
        tm_error("compare: cannot run '%s': %m; check its name, PATH and permissions",
                 settings->command[0]);
        return 1;
    }
    tm_program_warn(&program);
    bool python = program.python && settings->pythonmalloc && !getenv("PYTHONMALLOC");
    tm_program_free(&program);

    struct tm_comparison all = {.repeat = settings->repeat, .interval = settings->interval};
    int status = settings->with ? tm_allocators_named(&all.set, settings->with)
                                : (tm_allocators_default(&all.set) ? 0 : 1);
    bool has_glibc = false;
    for (unsigned i = 0; i < all.set.count; i++)
        has_glibc = has_glibc || !all.set.all[i].library;
    if (status == 0 && python && has_glibc)
        tm_allocators_insert(
            &all.set, 0,
            (struct tm_allocator){.name = strdup("glibc (own pools)"), .own_pools = true});
    if (status == 0 && !can_write(settings))
        status = 1;
    char *command = join(settings->command);
    if (command)
        tm_make_plain(command);
    all.command = command;
    all.runs = calloc((size_t)TM_ALLOCATORS_MOST * all.repeat, sizeof *all.runs);
    if (status == 0 && all.runs && command)
        status = compare(&all, settings, python);
    for (unsigned i = 0; all.runs && i < all.set.count * all.repeat; i++)
        tm_compare_run_free(&all.runs[i]);
    free(all.runs);
    free(command);
    tm_allocators_free(&all.set);
    return status;
}

int tm_command_compare(int argc, char **argv)
{
    struct settings settings = {.repeat = 1, .interval = 0.010, .pythonmalloc = true};
    int option;
    while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&settings, option, optarg)) {
            fputs("`tidemark compare --help` tells more\n", stderr);
            return 2;
        }
    }
    if (optind >= argc) {
        tm_error("compare: no command; usage: tidemark compare [OPTIONS] -- COMMAND [ARGUMENT...]");
        return 2;
    }
    settings.command = argv + optind;
    return prepare_and_compare(&settings);
}
