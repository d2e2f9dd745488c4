/* plugin_own.c: a library with a malloc of its own, for itself alone (-Bsymbolic): blocks of an
 * arena for each thread, in dynamic thread-local storage. What libc allocates for it comes from the
 * program's malloc and goes back there by way of libc.
 */
#include "tests/torture/plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 64, CELLS = 256 };

static _Thread_local char arena[CELLS][CELL] __attribute__((aligned(16)));
static _Thread_local bool used[CELLS];

void *malloc(size_t size)
{
    for (unsigned i = 0; size <= CELL && i < CELLS; i++)
        if (!used[i]) {
            used[i] = true;
            return arena[i];
        }
    return NULL;
}

void free(void *block)
{
    if (block != NULL)
        used[((char *)block - arena[0]) / CELL] = false;
}

static bool is_own(const void *block)
{
    return (const char *)block >= arena[0] && (const char *)block < arena[0] + sizeof arena;
}

void plugin_work(uint32_t number, struct plugin_result *result)
{
    char *blocks[100];
    unsigned count = 1 + number % 100;
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = malloc(1 + i % CELL);
        if (blocks[i] == NULL || !is_own(blocks[i])) {
            result->wrong = "its own malloc is not the one that it calls";
            return;
        }
        memset(blocks[i], (int)i, 1 + i % CELL);
    }
    /* libc's own memory, made and freed there. */
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (stream == NULL || fprintf(stream, "%u", number) < 0 || fclose(stream) != 0 ||
        is_own(text) || strtoul(text, NULL, 10) != number)
        result->wrong = "a stream in memory does not work";
    result->block = text;
    result->bytes = length;
    if (text != NULL)
        memset(text, PLUGIN_FILL, length);
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i][0] != (char)i || blocks[i][i % CELL] != (char)i)
            result->wrong = "a block of its own was written to";
        free(blocks[i]);
    }
}
