/* command_diff.c: `tidemark diff A B [C...]`: options in, a comparison of two snapshots out, or
 * with
 * --leak a search for leaks in three or more. The figures are made in diff.c and diff_leak.c.
 */
#include "profiler/report/command.h"
#include "profiler/report/diff_html.h"
#include "profiler/report/diff_print.h"
#include "profiler/report/options.h"
#include "profiler/report/report_format.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_TOP = 10, MOST_SNAPSHOTS = 1000 };

static void print_help(FILE *out)
{
    fprintf(
        out,
        "usage: tidemark diff [OPTIONS] BEFORE AFTER\n"
        "       tidemark diff --leak [OPTIONS] FILE FILE FILE...\n\n"
        "Tells what changed between two snapshots: the ledger side by side, what moved between\n"
        "live, pinned and cached, and by call site what appeared, grew, shrank and went. Call\n"
        "sites are matched by what their code is called, so two processes of one program compare.\n"
        "--leak takes three or more snapshots of one process, in any order, and ranks its call\n"
        "sites by how likely they leak: steady growth against a plateau or a saw-tooth.\n\n"
        "options:\n"
        "  --leak        search for leaks\n"
        "  --html OUT    the comparison of two as one HTML file, with a flame graph: grown (red)\n"
        "                and shrank (blue); it needs no network. OUT is its path, - is stdout\n"
        "  --json        the result as one JSON object (fields: profiler/format/README.md)\n"
        "  --top N       rows of each long table, default %d\n"
        "  --by WHAT     which change comes first: held (default), live or sole\n"
        "  --group WHAT  put call sites together by function (default), line, file, library,\n"
        "                thread, or apart by whole stack (stack)\n"
        "  --depth N     tell stacks apart by their innermost N frames only (--group stack)\n"
        "  --force       compare different programs, or different builds of one\n"
        "  --root DIR    look for the processes' programs and libraries below DIR\n"
        "  --debuginfod  ask the servers of DEBUGINFOD_URLS for missing debug information\n"
        "  --help        this text\n\n"
        "+- is one standard error. A ? marks a change within two of them: it may be none.\n"
        "Colour is used on a terminal unless NO_COLOR is set. Exit status: 0 success, 1 a FILE\n"
        "cannot be read or the files do not compare, 2 bad usage.\n",
        DEFAULT_TOP);
}

struct options {
    const char *const *paths;
    size_t count;
    const char *html; /* where the HTML goes; "-" stdout; NULL: not asked for */
    bool json, leak, force;
    struct tm_view_options view;
};

static bool take(int option, char *value, void *given)
{
    struct options *options = given;
    switch (option) {
    case 'j':
        options->json = true;
        return true;
    case 'H':
        options->html = value;
        return true;
    case 'l':
        options->leak = true;
        return true;
    case 'f':
        options->force = true;
        return true;
    default:
        return tm_view_take(option, value, TM_BY_LIVE + 1, "held, live or sole", &options->view);
    }
}

static bool is_count_right(const struct options *options)
{
    if (options->leak && options->count < TM_LEAK_LEAST)
        tm_error("diff --leak needs three or more snapshots of one process, and %zu were given; "
                 "take more, some minutes apart, with `tidemark snapshot PID`",
                 options->count);
    else if (options->leak && options->count > MOST_SNAPSHOTS)
        tm_error("diff --leak takes at most %d snapshots, and %zu were given; give every other one",
                 MOST_SNAPSHOTS, options->count);
    else if (!options->leak && options->count != 2)
        tm_error("diff compares two snapshots, and %zu were given; --leak takes three or more "
                 "(`tidemark diff --help`)",
                 options->count);
    else
        return true;
    return false;
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"html", required_argument, NULL, 'H'},
        {"leak", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},
        {"force", no_argument, NULL, 'f'},
        TM_VIEW_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int result = tm_parse_options(argc, argv, known, print_help, take, options);
    if (result >= 0)
        return result;
    options->paths = (const char *const *)&argv[optind];
    options->count = (size_t)(argc - optind);
    if (options->html && (options->json || options->leak)) {
        tm_error("diff writes a comparison of two as HTML; leave out --html or %s",
                 options->json ? "--json" : "--leak");
        return 2;
    }
    return is_count_right(options) ? -1 : 2;
}

/* ---- snapshots ---- */

/* A snapshot and what was made of it. */
struct input {
    const char *path;
    struct tm_snapshot_file file;
    struct tm_symbols *symbols;
    struct tm_report report;
    bool loaded, reported;
};

static int by_time(const void *left, const void *right)
{
    const struct input *a = left;
    const struct input *b = right;
    uint64_t x = a->file.process.since_start_ns;
    uint64_t y = b->file.process.since_start_ns;
    return (x > y) - (x < y);
}

static bool load(struct input *inputs, const struct options *options)
{
    for (size_t i = 0; i < options->count; i++) {
        struct tm_snapshot_error error;
        inputs[i].path = options->paths[i];
        inputs[i].loaded = tm_snapshot_load(inputs[i].path, &inputs[i].file, &error);
        if (!inputs[i].loaded) {
            tm_error("%s", error.text);
            return false;
        }
    }
    if (options->leak)
        qsort(inputs, options->count, sizeof *inputs, by_time);
    return true;
}

/* What --leak asks for beyond what a comparison does; false after a message. */
static bool can_leak(const struct input *inputs, size_t count, const struct tm_diff_check *check)
{
    const struct tm_snapshot_process *first = &inputs[0].file.process;
    for (size_t i = 1; i < count && !check->one_process; i++) {
        const struct tm_snapshot_process *other = &inputs[i].file.process;
        if (other->pid != first->pid || i == count - 1) {
            uint64_t apart = other->realtime_ns - other->since_start_ns -
                             (first->realtime_ns - first->since_start_ns);
            tm_error("diff --leak needs snapshots of one process: '%s' is of process %d, '%s' of "
                     "process %d, which started %s%s; give files of one run only",
                     inputs[0].path, first->pid, inputs[i].path, other->pid,
                     tm_words_time((int64_t)apart < 0 ? -apart : apart).text,
                     (int64_t)apart < 0 ? " before it" : " after it");
            return false;
        }
    }
    if (!check->sites) {
        for (size_t i = 0; i < count; i++)
            if (!inputs[i].file.has_recording)
                tm_error("'%s' has no call sites, and a leak is looked for by call site; record "
                         "them with `tidemark run`, or `tidemark start %d`, and take the "
                         "snapshots after that",
                         inputs[i].path, inputs[i].file.process.pid);
        return false;
    }
    for (size_t i = 1; i < count; i++)
        if (inputs[i].file.process.since_start_ns == inputs[i - 1].file.process.since_start_ns) {
            tm_error("'%s' and '%s' are of the same instant; give each snapshot once",
                     inputs[i - 1].path, inputs[i].path);
            return false;
        }
    return true;
}

static bool analyse(struct input *input, const struct options *options)
{
    struct tm_view view = options->view.view;
    if (input->file.has_recording) {
        input->symbols = tm_symbols_open(&input->file, &options->view.symbols);
        if (!input->symbols)
            return false;
    }
    view.symbols = input->symbols;
    input->reported = tm_report_make(&input->file, &view, &input->report);
    return input->reported;
}

static void release(struct input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].reported)
            tm_report_free(&inputs[i].report);
        if (inputs[i].symbols)
            tm_symbols_close(inputs[i].symbols);
        if (inputs[i].loaded)
            tm_snapshot_free(&inputs[i].file);
    }
}

/* ---- output ---- */

static struct tm_text_options text_options(const struct options *options)
{
    const char *terminal = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    return (struct tm_text_options){
        .top = options->view.top,
        .colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && terminal &&
                  strcmp(terminal, "dumb") != 0,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
    };
}

static bool print_leaks(const struct tm_report *const *reports, const char *const *paths,
                        const struct tm_diff_check *check, const struct options *options)
{
    struct tm_leaks leaks;
    struct tm_text_options text = text_options(options);
    if (!tm_leak_make(reports, options->count, check, &leaks))
        return false;
    if (options->json)
        tm_leak_json(stdout, &leaks, paths);
    else
        tm_leak_text(stdout, &leaks, paths, &text);
    tm_leak_free(&leaks);
    return true;
}

/* Writes the page to its place; the exit status, after a message if it is not 0. */
static int write_page(const struct tm_diff *diff, const char *const *paths,
                      const struct tm_report *const by_stack[2], const char *path)
{
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(path, "w");
    if (!out) {
        tm_error("'%s' cannot be written: %s", path, strerror(errno));
        return 1;
    }
    bool made = tm_diff_html(out, diff, paths, by_stack);
    bool whole = !ferror(out);
    if (!to_stdout)
        whole = fclose(out) == 0 && whole;
    if (!made)
        tm_error("there is not enough memory to make '%s'", path);
    else if (!whole && !to_stdout)
        tm_error("'%s' could not be written to its end: %s", path, strerror(errno));
    return made && (whole || to_stdout) ? 0 : 1;
}

/* For the page stacks are analysed apart, too. The exit status; -1: there is not enough memory. */
static int write_html(const struct tm_diff *diff, const char *const *paths, const char *path)
{
    struct tm_report by_stack[2];
    int made = 0;
    int status = -1;
    for (; made < 2; made++) {
        struct tm_view view = {.grouping = TM_GROUP_STACK,
                               .symbols = diff->reports[made]->view.symbols};
        if (!tm_report_make(diff->reports[made]->snapshot, &view, &by_stack[made]))
            break;
    }
    if (made == 2) {
        const struct tm_report *const pair[2] = {&by_stack[0], &by_stack[1]};
        status = write_page(diff, paths, pair, path);
    }
    while (made-- > 0)
        tm_report_free(&by_stack[made]);
    return status;
}

/* The exit status; -1: there is not enough memory. */
static int print_diff(const struct tm_report *const *reports, const char *const *paths,
                      const struct tm_diff_check *check, const struct options *options)
{
    struct tm_diff diff;
    struct tm_text_options text = text_options(options);
    const struct tm_report *const pair[2] = {reports[0], reports[1]};
    int status = 0;
    if (!tm_diff_make(pair, check, &diff))
        return -1;
    if (options->html)
        status = write_html(&diff, paths, options->html);
    else if (options->json)
        tm_diff_json(stdout, &diff, paths);
    else
        tm_diff_text(stdout, &diff, paths, &text);
    tm_diff_free(&diff);
    return status;
}

/* It has names from the files in it. */
static void print_refusal(const char *words)
{
    fputs("tidemark: ", stderr);
    tm_print_escaped(stderr, words, strlen(words), 4000,
                     strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
    fputc('\n', stderr);
}

/* The exit status. */
static int compare(struct input *inputs, const struct options *options)
{
    const struct tm_snapshot_file *files[MOST_SNAPSHOTS];
    const struct tm_report *reports[MOST_SNAPSHOTS];
    const char *paths[MOST_SNAPSHOTS];
    struct tm_diff_check check;
    for (size_t i = 0; i < options->count; i++) {
        files[i] = &inputs[i].file;
        reports[i] = &inputs[i].report;
        paths[i] = inputs[i].path;
    }
    tm_diff_check(files, paths, options->count, &options->view.view, options->force, &check);
    if (options->leak && !can_leak(inputs, options->count, &check))
        return 1;
    if (*check.refusal) {
        print_refusal(check.refusal);
        return 1;
    }
    bool good = true;
    for (size_t i = 0; i < options->count && good; i++)
        good = analyse(&inputs[i], options);
    int status = -1;
    if (good && options->leak)
        status = print_leaks(reports, paths, &check, options) ? 0 : -1;
    else if (good)
        status = print_diff(reports, paths, &check, options);
    if (status >= 0)
        return status;
    tm_error("there is not enough memory to compare %zu snapshots", options->count);
    return 1;
}

int tm_command_diff(int argc, char **argv)
{
    struct options options = {
        .view = {.top = DEFAULT_TOP, .view = {.grouping = TM_GROUP_FUNCTION}}};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    struct input *inputs = calloc(options.count, sizeof *inputs);
    if (!inputs) {
        tm_error("there is not enough memory to compare %zu snapshots", options.count);
        return 1;
    }
    status = load(inputs, &options) ? compare(inputs, &options) : 1;
    release(inputs, options.count);
    free(inputs);
    if (status == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        tm_error("the comparison could not be written: %s", strerror(errno));
        return 1;
    }
    return status;
}
