/* loader.c: opens and closes the plug-ins that lie beside the program, several copies of each, so
 * that they are loaded and unloaded, not only counted.
 */
#include "tests/torture/plugin.h"
#include "tests/torture/torture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 2, SORTS = 3, PATH_BYTES = 4096 };

static const char *const sorts[SORTS] = {"cxx", "own", "tls"};
static char directory[PATH_BYTES - 64];
static pthread_rwlock_t at_rest = PTHREAD_RWLOCK_INITIALIZER;

void loader_quiet(void)
{
    CHECK(pthread_rwlock_wrlock(&at_rest) == 0);
}

void loader_loud(void)
{
    CHECK(pthread_rwlock_unlock(&at_rest) == 0);
}

void loader_child(void)
{
    CHECK(pthread_rwlock_init(&at_rest, NULL) == 0);
}

/* So that a fork does not wait for ever while threads take turns. */
static void reading(void)
{
    CHECK(pthread_rwlock_rdlock(&at_rest) == 0);
}

static void *open_plugin(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        FAIL("dlopen: %s", dlerror());
    return library;
}

void use_plugin(struct own *own)
{
    char path[PATH_BYTES];
    unsigned copy = below(&own->chance, COPIES);
    snprintf(path, sizeof path, "%s/libtorture_%s_%u.so", directory,
             sorts[below(&own->chance, SORTS)], copy);
    reading();
    void *library = open_plugin(path);
    plugin_work_fn *work = (plugin_work_fn *)dlsym(library, "plugin_work");
    CHECK(work != NULL);
    struct plugin_result result = {0};
    work((uint32_t)draw(&own->chance), &result);
    if (result.wrong != NULL)
        FAIL("%s: %s", path, result.wrong);
    for (unsigned i = 0; i < result.thrown; i++)
        count(COUNT_THROWN);
    churn(own, 10);
    CHECK(dlclose(library) == 0);
    /* What the library allocated outlives it. */
    if (result.block != NULL) {
        for (size_t i = 0; i < result.bytes; i++)
            CHECK(((unsigned char *)result.block)[i] == PLUGIN_FILL);
        free(result.block);
    }
    library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL)
        count(COUNT_UNLOADED);
    else
        CHECK(dlclose(library) == 0);
    count(COUNT_PLUGINS);
    loader_loud();
}

void loader_start(const char *program)
{
    snprintf(directory, sizeof directory, "%s", program);
    char *slash = strrchr(directory, '/');
    CHECK(slash != NULL);
    *slash = '\0';
    /* Handlers for fork that allocate, as other libraries have: this one stays. */
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/libtorture_atfork.so", directory);
    static void *stays;
    stays = open_plugin(path);
    CHECK(stays != NULL);
}
