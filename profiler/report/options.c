/* options.c: see options.h. */
#include "profiler/report/options.h"

#include "profiler/report/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tm_parse_options(int argc, char **argv, const struct option *known,
                     void (*print_help)(FILE *out), tm_take_option_fn *take, void *options)
{
    opterr = 0;
    optind = 0; /* getopt_long starts anew */
    for (int option; (option = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        if (option == ':' || option == '?') {
            tm_error(option == ':' ? "%s: option '%s' needs a value; see `tidemark %s --help`"
                                   : "%s: there is no option '%s'; see `tidemark %s --help`",
                     argv[0], argv[optind - 1], argv[0]);
            return 2;
        }
        if (!take(option, optarg, options))
            return 2;
    }
    return -1;
}

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

static bool parse_by(const char *text, enum tm_order orders, const char *order_names,
                     enum tm_order *by)
{
    for (enum tm_order i = 0; i < orders; i++)
        if (strcmp(text, tm_order_name(i)) == 0) {
            *by = i;
            return true;
        }
    tm_error("--by is '%s'; it can be %s", text, order_names);
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

bool tm_view_take(int option, char *value, enum tm_order orders, const char *order_names,
                  struct tm_view_options *options)
{
    switch (option) {
    case 't':
        return parse_number("--top", value, &options->top);
    case 'd':
        options->view.grouping = options->grouped ? options->view.grouping : TM_GROUP_STACK;
        return parse_number("--depth", value, &options->view.depth);
    case 'b':
        return parse_by(value, orders, order_names, &options->view.by);
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
