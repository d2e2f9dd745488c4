/* plugin.c: a plug-in as its host loads it with RTLD_DEEPBIND or into a namespace of its own: what
 * it allocates and frees goes where its own symbols lead. Its constructor works, too.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *plugin_malloc(size_t size);
void *plugin_realloc(void *ptr, size_t size);
void plugin_free(void *ptr);
char *plugin_strdup(const char *text);
size_t plugin_usable(void *ptr);
int plugin_turns(int turns);

void *plugin_malloc(size_t size)
{
    return malloc(size);
}

void *plugin_realloc(void *ptr, size_t size)
{
    return realloc(ptr, size);
}

void plugin_free(void *ptr)
{
    free(ptr);
}

/* libc allocates, the plug-in frees. */
char *plugin_strdup(const char *text)
{
    return strdup(text);
}

size_t plugin_usable(void *ptr)
{
    return malloc_usable_size(ptr);
}

/* How many turns of what libc allocates for its caller went well. */
int plugin_turns(int turns)
{
    int good = 0;
    for (int i = 0; i < turns; i++) {
        char *copy = strdup("allocated by libc, freed by the plug-in");
        char *grown = realloc(copy, 100 + (size_t)i);
        good += strcmp(grown, "allocated by libc, freed by the plug-in") == 0;
        free(grown);
    }
    return good;
}

__attribute__((constructor)) static void start(void)
{
    if (plugin_turns(10) != 10)
        abort();
}
