/* command_report.c: `tidemark report FILE`: options in, one report out. The report itself is made
 * in analyse.c and printed by report_text.c, report_json.c or report_html.c.
 */
#include "profiler/report/analyse.h"
#include "profiler/report/command.h"
#include "profiler/report/options.h"
#include "profiler/report/report_html.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_TOP = 10 };

static void print_help(FILE *out)
{
    fprintf(out,
            "usage: tidemark report [OPTIONS] FILE\n\n"
            "Explains a snapshot: how much of the resident memory (RSS) is in use, how much the\n"
            "allocator holds free and why, and what would bring it down. FILE is what\n"
            "`tidemark snapshot PID` printed.\n\n"
            "options:\n"
            "  --html OUT    the report as one HTML file, with a map of the arenas and a flame "
            "graph;\n"
            "                it needs no network. OUT is its path, - is stdout\n"
            "  --json        the report as one JSON object (fields: profiler/format/README.md)\n"
            "  --top N       rows of each long table, default %d\n"
            "  --by WHAT     sort call sites by held (default), live, sole, peak, allocated or\n"
            "                temporary\n"
            "  --group WHAT  put call sites together by function (default), line, file, library,\n"
            "                thread, or apart by whole stack (stack)\n"
            "  --depth N     tell stacks apart by their innermost N frames only (--group stack)\n"
            "  --root DIR    look for the process's programs and libraries below DIR\n"
            "  --debuginfod  ask the servers of DEBUGINFOD_URLS for missing debug information\n"
            "  --help        this text\n\n"
            "Words: live is handed out and not freed. Held is resident and in no live block: "
            "pinned (a\n"
            "live block shares the page) or cached (free pages that can go back).\n"
            "A site's share of the pinned bytes is what its live blocks are charged, in equal "
            "parts with\n"
            "the others on the same page.\n"
            "Colour is used on a terminal unless NO_COLOR is set. Exit status: 0 success, 1 FILE "
            "cannot\n"
            "be read or is no whole snapshot, or OUT cannot be written, 2 bad usage.\n",
            DEFAULT_TOP);
}

struct options {
    const char *path;
    bool json;
    const char *html; /* where the HTML report goes; "-" stdout; NULL: not asked for */
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
    default:
        return tm_view_take(option, value, TM_ORDERS,
                            "held, sole, live, peak, allocated or temporary", &options->view);
    }
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"html", required_argument, NULL, 'H'},
        {"json", no_argument, NULL, 'j'},
        TM_VIEW_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int result = tm_parse_options(argc, argv, known, print_help, take, options);
    if (result >= 0)
        return result;
    if (argc - optind != 1) {
        tm_error("report needs one snapshot file, and %d were given; see `tidemark report --help`",
                 argc - optind);
        return 2;
    }
    if (options->html && options->json) {
        tm_error("report writes HTML or JSON, not both at once; leave out --html or --json");
        return 2;
    }
    options->path = argv[optind];
    return -1;
}

static void print(const struct tm_report *report, const struct options *options)
{
    if (options->json) {
        tm_report_json(stdout, report);
        return;
    }
    const char *terminal = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    struct tm_text_options text = {
        .top = options->view.top,
        .colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && terminal &&
                  strcmp(terminal, "dumb") != 0,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
    };
    tm_report_text(stdout, report, &text);
}

/* Writes the HTML report, for which stacks are analysed apart, too; false after a message. */
static bool write_html(const struct tm_report *report, const struct options *options)
{
    struct tm_view view = {.grouping = TM_GROUP_STACK, .symbols = options->view.view.symbols};
    struct tm_report by_stack;
    bool to_stdout = strcmp(options->html, "-") == 0;
    if (!tm_report_make(report->snapshot, &view, &by_stack)) {
        tm_error("there is not enough memory to analyse the stacks of '%s'", options->path);
        return false;
    }
    FILE *out = to_stdout ? stdout : fopen(options->html, "w");
    bool written = out != NULL;
    if (!out) {
        tm_error("'%s' cannot be written: %s", options->html, strerror(errno));
    } else if (!tm_report_html(out, report, &by_stack)) {
        tm_error("there is not enough memory to make the HTML report of '%s'", options->path);
        written = false;
    }
    if (out && !to_stdout) {
        bool whole = !ferror(out);
        whole = fclose(out) == 0 && whole;
        if (written && !whole)
            tm_error("'%s' could not be written to its end: %s", options->html, strerror(errno));
        written = written && whole;
    }
    tm_report_free(&by_stack);
    return written;
}

/* Analyses and prints; the exit status. */
static int report_on(const struct tm_snapshot_file *snapshot, struct options *options)
{
    struct tm_report report;
    if (options->view.view.grouping == TM_GROUP_THREAD && !snapshot->recording.by_thread) {
        tm_error("'%s' does not keep call sites apart by thread; record with "
                 "TIDEMARK=sites=...,threads=yes for --group thread",
                 options->path);
        return 1;
    }
    if (snapshot->has_recording)
        options->view.view.symbols = tm_symbols_open(snapshot, &options->view.symbols);
    bool made = (!snapshot->has_recording || options->view.view.symbols) &&
                tm_report_make(snapshot, &options->view.view, &report);
    bool written = true;
    if (made) {
        if (options->html)
            written = write_html(&report, options);
        else
            print(&report, options);
        tm_report_free(&report);
    } else {
        tm_error("there is not enough memory to analyse '%s'", options->path);
    }
    if (options->view.view.symbols)
        tm_symbols_close(options->view.view.symbols);
    return made && written ? 0 : 1;
}

int tm_command_report(int argc, char **argv)
{
    struct options options = {
        .view = {.top = DEFAULT_TOP, .view = {.grouping = TM_GROUP_FUNCTION}}};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    struct tm_snapshot_file snapshot;
    struct tm_snapshot_error error;
    if (!tm_snapshot_load(options.path, &snapshot, &error)) {
        tm_error("%s", error.text);
        return 1;
    }
    status = report_on(&snapshot, &options);
    tm_snapshot_free(&snapshot);
    if (status == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        tm_error("the report could not be written: %s", strerror(errno));
        return 1;
    }
    return status;
}
