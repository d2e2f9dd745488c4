/* namespace.c: a library in a namespace of its own (dlmopen), with a libc of its own. What it
 * allocates and frees itself is its own business; a block of its that the program resizes keeps
 * what is in it, and one that the program frees does no harm.
 *
 * usage: namespace LIBRARY [SECOND]  SECOND: a library to load into a namespace before
 */
#include <assert.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *load(const char *file)
{
    void *library = dlmopen(LM_ID_NEWLM, file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "namespace: %s\n", dlerror());
        exit(1);
    }
    return library;
}

int main(int argc, char **argv)
{
    assert(argc > 1);
    if (argc > 2) {
        void *second = load(argv[2]);
        void *(*second_malloc)(size_t) = (void *(*)(size_t))dlsym(second, "malloc");
        void (*second_free)(void *) = (void (*)(void *))dlsym(second, "free");
        assert(second_malloc != NULL && (void *)second_malloc != (void *)malloc);
        for (int i = 0; i < 1000; i++) {
            char *theirs = second_malloc(1000), *ours = malloc(1000);
            assert(theirs != NULL && ours != NULL);
            memset(theirs, 1, 1000), memset(ours, 2, 1000);
            assert(theirs[999] == 1);
            second_free(theirs), free(ours);
        }
    }
    void *library = load(argv[1]);
    int (*turns)(int) = (int (*)(int))dlsym(library, "plugin_turns");
    char *(*duplicate)(const char *) = (char *(*)(const char *))dlsym(library, "plugin_strdup");
    assert(turns(1000) == 1000);
    for (int i = 0; i < 100; i++) {
        char *text = duplicate("from another namespace");
        assert(malloc_usable_size(text) > strlen("from another namespace"));
        char *grown = realloc(text, 5000);
        assert(grown != NULL && strcmp(grown, "from another namespace") == 0);
        free(grown);
        free(duplicate("freed elsewhere"));
    }
    assert(turns(1000) == 1000);
    puts("ok");
    return 0;
}
