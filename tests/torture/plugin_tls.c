/* plugin_tls.c: dynamic thread-local storage that is larger than what threads have in reserve, so
 * that the loader allocates it at the first use, and a constructor and a destructor that allocate
 * under the loader's lock.
 */
#include "tests/torture/plugin.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64, WORDS = 5000 };

static void *blocks[BLOCKS];
static _Thread_local uint32_t words[WORDS] __attribute__((aligned(64)));

__attribute__((constructor)) static void come(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(100 * i + 1);
        if (blocks[i] == NULL)
            abort();
        memset(blocks[i], (int)i, 100 * i + 1);
    }
}

__attribute__((destructor)) static void go(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (((unsigned char *)blocks[i])[100 * i] != i)
            abort();
        free(blocks[i]);
    }
}

void plugin_work(uint32_t number, struct plugin_result *result)
{
    /* Of a library that was loaded anew, or as this thread left it. */
    for (unsigned i = 1; i < WORDS; i++)
        if (words[i] != words[0])
            result->wrong = "thread-local memory is not as it was left";
    if ((uintptr_t)words % 64 != 0)
        result->wrong = "thread-local memory is not aligned";
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = number;
    void *block = realloc(malloc(10), 1 + number % 70000);
    if (block == NULL)
        result->wrong = "no memory";
    else
        memset(block, PLUGIN_FILL, 1 + number % 70000);
    result->block = block;
    result->bytes = 1 + number % 70000;
}
