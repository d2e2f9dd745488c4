/* options.h: a command's options, read in one way: what is unknown or lacks its value is said, and
 * --help is answered. And the options that choose how call sites are looked at, which `report` and
 * `diff` have in common.
 */
#ifndef TIDEMARK_REPORT_OPTIONS_H
#define TIDEMARK_REPORT_OPTIONS_H

#include "profiler/report/analyse_sites.h"

#include <getopt.h>
#include <stdio.h>

/* Takes one option of `known`, by its val, with its value; false after a message. */
typedef bool tm_take_option_fn(int option, char *value, void *options);

/* argv[0] is the command's name. known has --help with 'h'. Returns -1 to go on with what stands
 * at optind, or the exit status. */
int tm_parse_options(int argc, char **argv, const struct option *known,
                     void (*print_help)(FILE *out), tm_take_option_fn *take, void *options);

struct tm_view_options {
    size_t top;
    struct tm_view view;
    bool grouped; /* --group was given */
    struct tm_symbols_options symbols;
};

/* Those of a command's table of options that tm_view_take() takes. */
/* clang-format off */
#define TM_VIEW_OPTIONS \
    {"top", required_argument, NULL, 't'}, {"by", required_argument, NULL, 'b'}, \
    {"group", required_argument, NULL, 'g'}, {"depth", required_argument, NULL, 'd'}, \
    {"root", required_argument, NULL, 'r'}, {"debuginfod", no_argument, NULL, 'D'}
/* clang-format on */

/* orders: so many of enum tm_order can be meant by --by; they are named in `order_names`. */
bool tm_view_take(int option, char *value, enum tm_order orders, const char *order_names,
                  struct tm_view_options *options);

#endif
