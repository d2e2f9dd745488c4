/* command_report.c: `tidemark report FILE`: options in, one report out. The report itself is made
 * in analyse.c and printed by report_text.c or report_json.c.
 */
#include "profiler/report/analyse.h"
#include "profiler/report/command.h"
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
            "  --json    the report as one JSON object (fields: profiler/format/README.md)\n"
            "  --top N   rows of each long table, default %d\n"
            "  --help    this text\n\n"
            "Words: live is handed out and not freed. Held is resident and in no live block: "
            "pinned (a\n"
            "live block shares the page) or cached (free pages that can go back).\n"
            "Colour is used on a terminal unless NO_COLOR is set. Exit status: 0 success, 1 FILE "
            "cannot\n"
            "be read or is no whole snapshot, 2 bad usage.\n",
            DEFAULT_TOP);
}

struct options {
    const char *path;
    size_t top;
    bool json;
};

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},
        {"top", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    optind = 0; /* getopt_long starts anew */
    for (int option; (option = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        if (option == 'j') {
            options->json = true;
        } else if (option == 't') {
            char *end;
            errno = 0;
            unsigned long top = strtoul(optarg, &end, 10);
            if (errno || *end || end == optarg || optarg[0] == '-' || top == 0 || top > 1000000) {
                tm_error("--top is '%s'; give a number from 1 to 1000000", optarg);
                return 2;
            }
            options->top = top;
        } else {
            tm_error(option == ':'
                         ? "report: option '%s' needs a value; see `tidemark report --help`"
                         : "report: there is no option '%s'; see `tidemark report --help`",
                     argv[optind - 1]);
            return 2;
        }
    }
    if (argc - optind != 1) {
        tm_error("report needs one snapshot file, and %d were given; see `tidemark report --help`",
                 argc - optind);
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

int tm_command_report(int argc, char **argv)
{
    struct options options = {.top = DEFAULT_TOP};
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
    struct tm_report report;
    if (!tm_report_make(&snapshot, &report)) {
        tm_error("there is not enough memory to analyse '%s'", options.path);
        tm_snapshot_free(&snapshot);
        return 1;
    }
    print(&report, &options);
    tm_report_free(&report);
    tm_snapshot_free(&snapshot);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        tm_error("the report could not be written: %s", strerror(errno));
        return 1;
    }
    return 0;
}
