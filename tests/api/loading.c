/* loading.c: dlopen and dlclose while other threads allocate, plugins that bring their C++ runtime
 * along, and that a C program is not given a C++ runtime by the preload. The plugins lie beside the
 * program, in TIDEMARK_API_PLUGINS. */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

static void *load(const char *name, int flags)
{
    const char *directory = getenv("TIDEMARK_API_PLUGINS");
    if (directory == NULL)
        skip("TIDEMARK_API_PLUGINS does not say where the plugins are");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    void *plugin = dlopen(path, flags);
    if (plugin == NULL)
        fail("%s", dlerror());
    return plugin;
}

static void load_and_unload(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        void *plugin = load("libapi_plain.so", RTLD_NOW | (i % 2 == 0 ? RTLD_LOCAL : RTLD_GLOBAL));
        void *(*make)(size_t) = (void *(*)(size_t))dlsym(plugin, "plugin_make");
        void (*take)(void *) = (void (*)(void *))dlsym(plugin, "plugin_take");
        CHECK(make != NULL && take != NULL);
        void *ours = opaque(malloc(500)), *theirs = opaque(make(500));
        CHECK(ours != NULL && theirs != NULL && all_zero(theirs, 500));
        take(ours);
        CHECK(dlclose(plugin) == 0);
        memset(theirs, 1, 500);
        free(theirs);
    }
}

static void load_loop(void)
{
    load_and_unload(300);
}

static _Atomic bool stop;

static void *churn(void *argument)
{
    while (!stop) {
        void *a = opaque(malloc(100)), *b = opaque(malloc(40000));
        CHECK(a != NULL && b != NULL);
        free(a);
        free(b);
    }
    return NULL;
}

static void load_loop_while_threads_allocate(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    load_and_unload(100);
    stop = true;
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void missing_library(void)
{
    for (unsigned i = 0; i < 100; i++) {
        CHECK(dlopen("/nowhere/libnothing.so", RTLD_NOW) == NULL);
        CHECK(dlerror() != NULL);
        CHECK(dlsym(RTLD_DEFAULT, "no_such_symbol_anywhere") == NULL);
    }
}

static void c_program_has_no_cxx_runtime(void)
{
    CHECK(dlopen("libstdc++.so.6", RTLD_NOW | RTLD_NOLOAD) == NULL);
}

static void cxx_plugin_with_local_runtime(void)
{
    void *plugin = load("libapi_thrower.so", RTLD_NOW | RTLD_LOCAL);
    int (*catches)(void) = (int (*)(void))dlsym(plugin, "plugin_catches");
    CHECK(catches != NULL);
    int step = catches();
    if (step != 0)
        fail("step %d of plugin_catches() was not as the standard says", step);
    CHECK(dlclose(plugin) == 0);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"load_loop", load_loop},
        {"load_loop_while_threads_allocate", load_loop_while_threads_allocate},
        {"missing_library", missing_library},
        {"c_program_has_no_cxx_runtime", c_program_has_no_cxx_runtime},
        {"cxx_plugin_with_local_runtime", cxx_plugin_with_local_runtime},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
