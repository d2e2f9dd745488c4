/* symbols_show.c: what the command would say of addresses, for symbols_test.py:
 *
 *     symbols_show [--root DIR] [--debuginfod] SNAPSHOT ADDRESS...
 *
 * ADDRESS is hexadecimal; with a '=' in front it is an instruction's own. Each is answered with one
 * line per function, with fields parted by tabs ("-" for what is unknown), and an empty line; then
 * come the notes.
 */
#include "profiler/report/symbols.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(struct tm_symbols *symbols, const char *text)
{
    size_t count;
    bool exact = text[0] == '=';
    const struct tm_symbol *list =
        tm_symbols_at(symbols, strtoull(text + exact, NULL, 16), exact, &count);
    for (size_t i = 0; i < count; i++)
        printf("%s\t%s\t%" PRIu32 "\t%s\t%s\t%" PRIx64 "\n",
               list[i].function ? list[i].function : "-", list[i].file ? list[i].file : "-",
               list[i].line, list[i].inlined ? "inlined" : "-", list[i].module, list[i].offset);
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct tm_symbols_options options = {.root = NULL};
    struct tm_snapshot_file snapshot;
    struct tm_snapshot_error error;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--debuginfod") == 0)
            options.debuginfod = true;
        else if (strcmp(argv[at], "--root") == 0 && at + 1 < argc)
            options.root = argv[++at];
        else
            return 2;
    }
    if (at >= argc)
        return 2;
    if (!tm_snapshot_load(argv[at], &snapshot, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    struct tm_symbols *symbols = tm_symbols_open(&snapshot, &options);
    if (!symbols)
        return 1;
    for (at++; at < argc; at++)
        show(symbols, argv[at]);
    const char *note;
    for (size_t i = 0; (note = tm_symbols_note(symbols, i)); i++)
        printf("%s\n", note);
    tm_symbols_close(symbols);
    tm_snapshot_free(&snapshot);
    return 0;
}
