/* main.c: `tidemark`: picks the command and prints what there is. Owns nothing else. */
#include "profiler/report/command.h"
#include "profiler/report/report_format.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    {"run", tm_command_run, "run a command under the library"},
    {"snapshot", tm_command_snapshot, "ask a running process for a snapshot and print its path"},
    {"start", tm_command_start, "make a running process record which calls allocate"},
    {"stop", tm_command_stop, "end that"},
    {"trim", tm_command_trim, "make a running process give back all that can go back"},
    {"top", tm_command_top, "show every process under Tidemark and what its memory does"},
    {"metrics", tm_command_metrics, "write that for Prometheus, or serve it"},
    {"report", tm_command_report, "explain a snapshot: where every byte of RSS goes"},
    {"diff", tm_command_diff, "tell what changed between two snapshots, or what leaks"},
    {"export", tm_command_export, "write a snapshot as a file of pprof, speedscope, massif, …"},
    {"compare", tm_command_compare,
     "run a command under several allocators and compare RSS and time"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* Names in it may be anybody's. Backslashes stay as they are, since parts may be escaped already.
 */
static void print_message(const char *text)
{
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    while (*text != '\0') {
        size_t length = strcspn(text, "\\");
        tm_print_escaped(stderr, text, length, SIZE_MAX, utf8);
        text += length;
        if (*text == '\\')
            fputc(*text++, stderr);
    }
}

void tm_error(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    fputs("tidemark: ", stderr);
    print_message(length < 0 ? "there is not enough memory to say why" : text);
    fputc('\n', stderr);
    if (length >= 0)
        free(text);
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int tm_take_one_pid(int argc, char **argv, void (*print)(FILE *out))
{
    if (argc == 2 && is_help(argv[1])) {
        print(stdout);
        return 0;
    }
    if (argc == 2)
        return -1;
    print(stderr);
    return 2;
}

static void print_help(FILE *out)
{
    fputs(
        "usage: tidemark COMMAND [OPTIONS]\n\n"
        "Shows why a process holds memory that it does not use, and gives it back.\n\ncommands:\n",
        out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].does);
    fputs(
        "\n`tidemark COMMAND --help` tells more. Exit status: 0 success, 1 failure, 2 bad usage.\n",
        out);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("tidemark " TIDEMARK_VERSION);
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    tm_error("there is no command '%s'; `tidemark --help` lists them", argv[1]);
    return 2;
}
