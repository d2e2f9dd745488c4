/* command_report.c: `tidemark report FILE`: options in, one report out. The report itself is made
 * in analyse.c and printed by report_text.c, report_json.c or report_html.c.
 */
#include "profiler/report/analyse.h"
#include "profiler/report/command.h"
#include "profiler/report/report_html.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"

#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
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
    size_t top;
    bool json;
    const char *html; /* where the HTML report goes; "-" stdout; NULL: not asked for */
    struct tm_view view;
    bool grouped; /* --group was given */
    struct tm_symbols_options symbols;
};

/* A number from 1 to 1000000; false after a message if it is none. */
static bool parse_number(const char *option, const char *text, size_t *number)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || text[0] == '-' || value == 0 || value > 1000000) {
        tm_error("%s is '%s'; give a number from 1 to 1000000", option, text);
        return false;
    }
    *number = value;
    return true;
}

static bool parse_by(const char *text, enum tm_order *by)
{
    for (enum tm_order i = 0; i < TM_ORDERS; i++)
        if (strcmp(text, tm_order_name(i)) == 0) {
            *by = i;
            return true;
        }
    tm_error("--by is '%s'; it can be held, sole, live, peak, allocated or temporary", text);
    return false;
}

static bool parse_grouping(const char *text, enum tm_grouping *grouping)
{
    for (enum tm_grouping i = 0; i < TM_GROUPINGS; i++)
        if (strcmp(text, tm_grouping_name(i)) == 0) {
            *grouping = i;
            return true;
        }
    tm_error("--group is '%s'; it can be stack, function, line, file, library or thread", text);
    return false;
}

/* Takes one option with its value; false after a message. */
static bool take(int option, char *value, struct options *options)
{
    switch (option) {
    case 'j':
        options->json = true;
        return true;
    case 'H':
        options->html = value;
        return true;
    case 't':
        return parse_number("--top", value, &options->top);
    case 'd':
        options->view.grouping = options->grouped ? options->view.grouping : TM_GROUP_STACK;
        return parse_number("--depth", value, &options->view.depth);
    case 'b':
        return parse_by(value, &options->view.by);
    case 'g':
        options->grouped = true;
        return parse_grouping(value, &options->view.grouping);
    case 'r':
        options->symbols.root = value;
        return true;
    default:
        options->symbols.debuginfod = true;
        return true;
    }
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"html", required_argument, NULL, 'H'},  {"json", no_argument, NULL, 'j'},
        {"top", required_argument, NULL, 't'},   {"by", required_argument, NULL, 'b'},
        {"group", required_argument, NULL, 'g'}, {"depth", required_argument, NULL, 'd'},
        {"root", required_argument, NULL, 'r'},  {"debuginfod", no_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    optind = 0; /* getopt_long starts anew */
    for (int option; (option = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        if (option == ':' || option == '?') {
            tm_error(option == ':'
                         ? "report: option '%s' needs a value; see `tidemark report --help`"
                         : "report: there is no option '%s'; see `tidemark report --help`",
                     argv[optind - 1]);
            return 2;
        }
        if (!take(option, optarg, options))
            return 2;
    }
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
        .top = options->top,
        .colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && terminal &&
                  strcmp(terminal, "dumb") != 0,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
    };
    tm_report_text(stdout, report, &text);
}

/* Writes the HTML report, for which stacks are analysed apart, too; false after a message. */
static bool write_html(const struct tm_report *report, const struct options *options)
{
    struct tm_view view = {.grouping = TM_GROUP_STACK, .symbols = options->view.symbols};
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
    if (options->view.grouping == TM_GROUP_THREAD && !snapshot->recording.by_thread) {
        tm_error("'%s' does not keep call sites apart by thread; record with "
                 "TIDEMARK=sites=...,threads=yes for --group thread",
                 options->path);
        return 1;
    }
    if (snapshot->has_recording)
        options->view.symbols = tm_symbols_open(snapshot, &options->symbols);
    bool made = (!snapshot->has_recording || options->view.symbols) &&
                tm_report_make(snapshot, &options->view, &report);
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
    if (options->view.symbols)
        tm_symbols_close(options->view.symbols);
    return made && written ? 0 : 1;
}

int tm_command_report(int argc, char **argv)
{
    struct options options = {.view = {.grouping = TM_GROUP_FUNCTION}, .top = DEFAULT_TOP};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    setlocale(LC_CTYPE, "");
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
