/* deepbind.c: a host loads plugin.c with RTLD_DEEPBIND, by a name that only the host's own run path
 * leads to, and both hand blocks to each other and to themselves by way of libc. Then through a
 * handle of libc's, as foreign function interfaces do.
 *
 * usage: deepbind NAME
 */
#include <assert.h>
#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "deepbind: %s\n", dlerror());
        exit(1);
    }
    return found;
}

static void exchange(void *library, const char *allocate, const char *resize, const char *release,
                     const char *duplicate)
{
    void *(*their_malloc)(size_t) = (void *(*)(size_t))find(library, allocate);
    void *(*their_realloc)(void *, size_t) = (void *(*)(void *, size_t))find(library, resize);
    void (*their_free)(void *) = (void (*)(void *))find(library, release);
    char *(*their_strdup)(const char *) = (char *(*)(const char *))find(library, duplicate);
    for (size_t size = 1; size < 4 << 20; size = size * 3 + 1) {
        char *theirs = their_malloc(size);
        memset(theirs, 'a', size);
        char *grown = realloc(theirs, size * 2);
        assert(grown != NULL && grown[0] == 'a' && grown[size - 1] == 'a');
        free(grown);

        char *ours = malloc(size);
        memset(ours, 'b', size);
        ours = their_realloc(ours, size * 2);
        assert(ours[0] == 'b' && ours[size - 1] == 'b');
        assert(malloc_usable_size(ours) >= size * 2);
        their_free(ours);
        their_free(their_strdup("theirs"));
        free(their_strdup("theirs"));
    }
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    void *plugin = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND);
    if (plugin == NULL) {
        fprintf(stderr, "deepbind: %s\n", dlerror());
        return 1;
    }
    int (*turns)(int) = (int (*)(int))find(plugin, "plugin_turns");
    assert(turns(1000) == 1000);
    exchange(plugin, "plugin_malloc", "plugin_realloc", "plugin_free", "plugin_strdup");
    void *left = ((void *(*)(size_t))find(plugin, "plugin_malloc"))(100);
    dlclose(plugin);
    free(left); /* what outlives its library */

    void *libc = dlopen(LIBC_SO, RTLD_LAZY);
    exchange(libc, "malloc", "realloc", "free", "strdup");
    dlclose(libc);
    puts("ok");
    return 0;
}
