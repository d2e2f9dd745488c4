/* plain.c: a plugin whose constructor and destructor allocate, and which hands a block to the
 * program and takes one. */
#include <stdlib.h>
#include <string.h>

static char *kept;

void *plugin_make(size_t size);
void plugin_take(void *ptr);

__attribute__((constructor)) static void loaded(void)
{
    kept = malloc(3000);
    if (kept == NULL)
        abort();
    memset(kept, 1, 3000);
}

__attribute__((destructor)) static void unloaded(void)
{
    char *last = strdup("a block made while the plugin goes");
    if (last == NULL || kept == NULL)
        abort();
    free(last);
    free(kept);
}

void *plugin_make(size_t size)
{
    return calloc(1, size);
}

void plugin_take(void *ptr)
{
    free(ptr);
}
