/* program.c: a program whose names are long enough to be overwritten, in the file that the linker
 * made, by ones that no compiler would let through: functions in the symbol table and in the debug
 * information, and the source's own name. It makes a heap with survivors of each function, and
 * ends, or waits for the end of stdin if its first argument is "hold".
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 4000, KEEP = 20 };

static void *kept[BLOCKS];
static size_t count;

static void fill(void *(*make)(size_t bytes), size_t bytes)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        void *block = make(bytes);
        if (block == NULL)
            abort();
        memset(block, 1, bytes);
        if (i % KEEP == 0 && count < BLOCKS)
            kept[count++] = block;
        else
            free(block);
    }
}

#line 1 "source_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.c"

static void *
function_0_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx(
    size_t bytes)
{
    return malloc(bytes);
}

static void *
function_1_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx(
    size_t bytes)
{
    return malloc(bytes);
}

static void *
function_2_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx(
    size_t bytes)
{
    return malloc(bytes);
}

static void *
function_3_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx(
    size_t bytes)
{
    return malloc(bytes);
}

static void *
function_4_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx(
    size_t bytes)
{
    return malloc(bytes);
}

int main(int argc, char **argv)
{
    fill(function_0_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,
         200);
    fill(function_1_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,
         210);
    fill(function_2_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,
         220);
    fill(function_3_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,
         230);
    fill(function_4_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,
         240);
    if (argc > 1 && strcmp(argv[1], "hold") == 0) {
        char byte;
        puts("holds");
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
    }
    return kept[0] == NULL;
}
