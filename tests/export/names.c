/* names.c: see shapes.h. Built without debug information, so that the symbol table is what there
 * is. */
#include "tests/export/shapes.h"

#include <stdlib.h>

void *tm_hard_name(size_t size)
{
    void *volatile block = malloc(size);
    return block;
}

void *tm_long_name(size_t size)
{
    void *volatile block = malloc(size);
    return block;
}
