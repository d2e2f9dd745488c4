/* loading.c: see loading.h. */
#include "preload/loading.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "preload/export.h"
#include "profiler/record/record.h"

typedef int dlclose_fn(void *handle);
typedef int each_object_fn(struct dl_phdr_info *info, size_t size, void *data);
typedef int dl_iterate_phdr_fn(each_object_fn *callback, void *data);

static _Atomic(void *) next_dlclose, next_dl_iterate_phdr;

/* Constructors that run before this library's may call what comes below, each then for itself. */
void *tm_loading_next(_Atomic(void *) *next, const char *name)
{
    void *found = atomic_load_explicit(next, memory_order_relaxed);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(next, found, memory_order_relaxed);
    }
    return found;
}

void tm_loading_start(void)
{
    tm_loading_next(&next_dlclose, "dlclose");
    tm_loading_next(&next_dl_iterate_phdr, "dl_iterate_phdr");
}

/* What the recorder remembers of code may be of that library. */
EXPORT int dlclose(void *handle)
{
    dlclose_fn *next = (dlclose_fn *)tm_loading_next(&next_dlclose, "dlclose");
    tm_record_unloading();
    int result = next(handle);
    tm_record_unloaded();
    return result;
}

static void listed(const int *nothing)
{
    (void)nothing;
    tm_record_listed();
}

/* Its callback runs under a lock of the loader's, and may leave it by an exception. */
EXPORT int dl_iterate_phdr(each_object_fn *callback, void *data)
{
    __attribute__((cleanup(listed))) int nothing = 0;
    dl_iterate_phdr_fn *next =
        (dl_iterate_phdr_fn *)tm_loading_next(&next_dl_iterate_phdr, "dl_iterate_phdr");
    (void)nothing;
    tm_record_listing();
    return next(callback, data);
}

#ifdef __GLIBC__
typedef int main_fn(int argc, char **argv, char **environment);
typedef int start_main_fn(main_fn *main, int argc, char **argv, void (*init)(void),
                          void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

/* libc's function that every program's first instructions call, and that calls main: the point at
 * which libc is ready and nothing of the program has run. (In the library's constructor it is not:
 * a library that is loaded there has libc initialise itself without arguments and environment.)
 * Both versions of it that programs ask for are one function in glibc since 2.34. */
start_main_fn __libc_start_main;

EXPORT int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void),
                             void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_main_fn *next = (start_main_fn *)dlsym(RTLD_NEXT, "__libc_start_main");
    tm_record_main();
    return next(main, argc, argv, init, fini, rtld_fini, stack_end);
}
#endif
