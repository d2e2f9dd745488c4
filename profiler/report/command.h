/* command.h: the door of every `tidemark COMMAND`. main.c holds the table; each command is a file
 * of its own, parses its own options (argv[0] is the command's name), prints its own --help and
 * returns the exit status: 0 success, 1 the thing asked for failed, 2 bad usage.
 */
#ifndef TIDEMARK_REPORT_COMMAND_H
#define TIDEMARK_REPORT_COMMAND_H

#include <stdio.h>

int tm_command_run(int argc, char **argv);
int tm_command_snapshot(int argc, char **argv);
int tm_command_start(int argc, char **argv);
int tm_command_stop(int argc, char **argv);
int tm_command_trim(int argc, char **argv);
int tm_command_top(int argc, char **argv);
int tm_command_metrics(int argc, char **argv);
int tm_command_report(int argc, char **argv);
int tm_command_diff(int argc, char **argv);
int tm_command_export(int argc, char **argv);
int tm_command_compare(int argc, char **argv);

/* For a command that takes a PID and nothing else: the exit status if that is no PID, or --help; -1
 * to go on with argv[1]. */
int tm_take_one_pid(int argc, char **argv, void (*print_help)(FILE *out));

/* Prints "tidemark: …" and a newline on stderr; what a terminal would obey is escaped. Every
 * message says what happened, with the value, and what to do. */
void tm_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Finds libtidemark.so: beside the command's own build tree (../preload), in ../lib/… of its
 * installation, or what TIDEMARK_LIBRARY names. Returns a malloc'ed absolute path, or NULL after
 * printing what was tried. */
char *tm_find_library(void);

#endif
