/* operators.c: C++ new and delete in every replaceable form, under their mangled names (LP64), in
 * plain C, so that a C program under libtidemark.so is not made to load a C++ runtime.
 *
 * Four base forms do the work: plain new and delete, aligned new and delete. Every other form calls
 * its base through the dynamic symbol, as the standard says the default ones do: a program that
 * replaces only `operator new(size_t)` and `operator delete(void *)` then sees its own functions
 * behind new[], sized delete and the rest, and no block of its making reaches tm_free(). That costs
 * one indirect jump. The definitions are weak because this is what keeps both compilers from
 * binding those calls here.
 *
 * The C++ runtime is looked for on the failure path only: it calls the new_handler until a request
 * is met or the handler leaves, and throws std::bad_alloc. Built with -fexceptions, as exceptions
 * pass through these frames.
 */
#include "allocator/fast.h"
#include "allocator/tidemark_alloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef __LP64__
#error "the mangled names below spell size_t as unsigned long: an LP64 target is needed"
#endif

#define REPLACEABLE __attribute__((weak, visibility("default")))

/* std::nothrow_t, which only its address passes through here. */
struct nothrow;

REPLACEABLE void *tm_new(size_t size) __asm__("_Znwm");
REPLACEABLE void *tm_new_array(size_t size) __asm__("_Znam");
REPLACEABLE void *tm_new_nothrow(size_t size,
                                 const struct nothrow *tag) __asm__("_ZnwmRKSt9nothrow_t");
REPLACEABLE void *tm_new_array_nothrow(size_t size,
                                       const struct nothrow *tag) __asm__("_ZnamRKSt9nothrow_t");
REPLACEABLE void *tm_new_aligned(size_t size, size_t alignment) __asm__("_ZnwmSt11align_val_t");
REPLACEABLE void *tm_new_array_aligned(size_t size,
                                       size_t alignment) __asm__("_ZnamSt11align_val_t");
REPLACEABLE void *
tm_new_aligned_nothrow(size_t size, size_t alignment,
                       const struct nothrow *tag) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
REPLACEABLE void *tm_new_array_aligned_nothrow(
    size_t size, size_t alignment,
    const struct nothrow *tag) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");

REPLACEABLE void tm_delete(void *ptr) __asm__("_ZdlPv");
REPLACEABLE void tm_delete_array(void *ptr) __asm__("_ZdaPv");
REPLACEABLE void tm_delete_sized(void *ptr, size_t size) __asm__("_ZdlPvm");
REPLACEABLE void tm_delete_array_sized(void *ptr, size_t size) __asm__("_ZdaPvm");
REPLACEABLE void tm_delete_nothrow(void *ptr,
                                   const struct nothrow *tag) __asm__("_ZdlPvRKSt9nothrow_t");
REPLACEABLE void tm_delete_array_nothrow(void *ptr,
                                         const struct nothrow *tag) __asm__("_ZdaPvRKSt9nothrow_t");
REPLACEABLE void tm_delete_aligned(void *ptr, size_t alignment) __asm__("_ZdlPvSt11align_val_t");
REPLACEABLE void tm_delete_array_aligned(void *ptr,
                                         size_t alignment) __asm__("_ZdaPvSt11align_val_t");
REPLACEABLE void tm_delete_sized_aligned(void *ptr, size_t size,
                                         size_t alignment) __asm__("_ZdlPvmSt11align_val_t");
REPLACEABLE void tm_delete_array_sized_aligned(void *ptr, size_t size,
                                               size_t alignment) __asm__("_ZdaPvmSt11align_val_t");
REPLACEABLE void
tm_delete_aligned_nothrow(void *ptr, size_t alignment,
                          const struct nothrow *tag) __asm__("_ZdlPvSt11align_val_tRKSt9nothrow_t");
REPLACEABLE void tm_delete_array_aligned_nothrow(
    void *ptr, size_t alignment,
    const struct nothrow *tag) __asm__("_ZdaPvSt11align_val_tRKSt9nothrow_t");

/* The base forms of this file whatever the program put in their place, to tell the one from the
 * other. */
extern __typeof__(tm_new) own_new __attribute__((alias("_Znwm"), visibility("hidden")));
extern __typeof__(tm_new_array) own_new_array __attribute__((alias("_Znam"), visibility("hidden")));
extern __typeof__(tm_new_aligned) own_new_aligned
    __attribute__((alias("_ZnwmSt11align_val_t"), visibility("hidden")));
extern __typeof__(tm_new_array_aligned) own_new_array_aligned
    __attribute__((alias("_ZnamSt11align_val_t"), visibility("hidden")));

typedef void new_handler_fn(void);
typedef new_handler_fn *get_new_handler_fn(void);
typedef void throw_bad_alloc_fn(void);
typedef void *new_nothrow_fn(size_t size, const struct nothrow *tag);
typedef void *new_aligned_nothrow_fn(size_t size, size_t alignment, const struct nothrow *tag);

/* The failure path. */

/* A symbol of a loaded C++ runtime itself, never the one of the same name that comes first in the
 * global scope (which is this library's); NULL if no runtime is loaded. One that came RTLD_LOCAL
 * with a plugin is found too. The runtime stays loaded while its caller is in it, so the reference
 * is dropped at once. */
static void *runtime_symbol(const char *name)
{
    static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1"};
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        void *runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        if (runtime == NULL)
            continue;
        void *symbol = dlsym(runtime, name);
        dlclose(runtime);
        if (symbol != NULL)
            return symbol;
    }
    return NULL;
}

static void *global_or_runtime_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);
    return symbol != NULL ? symbol : runtime_symbol(name);
}

static new_handler_fn *current_new_handler(void)
{
    get_new_handler_fn *get =
        (get_new_handler_fn *)global_or_runtime_symbol("_ZSt15get_new_handlerv");
    return get != NULL ? get() : NULL;
}

/* Throws std::bad_alloc. A caller of new cannot take NULL, so without a runtime that throws the
 * process ends. */
static _Noreturn void throw_bad_alloc(void)
{
    throw_bad_alloc_fn *throw =
        (throw_bad_alloc_fn *)global_or_runtime_symbol("_ZSt17__throw_bad_allocv");
    if (throw != NULL)
        throw();
    static const char message[] =
        "tidemark: operator new found no memory, and no C++ runtime (libstdc++.so.6, libc++.so.1) "
        "that could throw std::bad_alloc; link the program with a shared one\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written;
    abort();
}

__attribute__((cold, noinline)) static void *new_after_failure(size_t size, size_t alignment)
{
    for (;;) {
        new_handler_fn *handler = current_new_handler();
        if (handler == NULL)
            throw_bad_alloc();
        handler(); /* may throw */
        void *ptr = alignment != 0 ? tm_aligned(alignment, size) : tm_malloc(size);
        if (ptr != NULL)
            return ptr;
    }
}

/* C cannot catch what a new_handler, or an operator new of the program's own, throws. The runtime's
 * nothrow form can: it calls the throwing form through the dynamic symbol and turns an exception
 * into NULL. `ours`: the throwing form is this file's, so without a new_handler there is nothing to
 * call. alignment 0: a plain form. */
__attribute__((cold, noinline)) static void *
nothrow_slow(size_t size, size_t alignment, const struct nothrow *tag, bool array, bool ours)
{
    if (ours && current_new_handler() == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (alignment == 0) {
        new_nothrow_fn *nothrow =
            (new_nothrow_fn *)runtime_symbol(array ? "_ZnamRKSt9nothrow_t" : "_ZnwmRKSt9nothrow_t");
        if (nothrow != NULL)
            return nothrow(size, tag);
        return array ? tm_new_array(size) : tm_new(size);
    }
    new_aligned_nothrow_fn *nothrow = (new_aligned_nothrow_fn *)runtime_symbol(
        array ? "_ZnamSt11align_val_tRKSt9nothrow_t" : "_ZnwmSt11align_val_tRKSt9nothrow_t");
    if (nothrow != NULL)
        return nothrow(size, alignment, tag);
    return array ? tm_new_array_aligned(size, alignment) : tm_new_aligned(size, alignment);
}

static bool power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* The base forms. */

static void *new_slow(size_t size)
{
    void *ptr = tm_take(size);
    return tm_likely(ptr != NULL) ? tm_told(ptr, size) : new_after_failure(size, 0);
}

void *tm_new(size_t size)
{
    return tm_malloc_or(size, new_slow);
}

void tm_delete(void *ptr)
{
    tm_free_fast(ptr);
}

void *tm_new_aligned(size_t size, size_t alignment)
{
    if (tm_unlikely(!power_of_two(alignment)))
        throw_bad_alloc(); /* no handler could make room for this */
    void *ptr = tm_aligned(alignment, size);
    return tm_likely(ptr != NULL) ? ptr : new_after_failure(size, alignment);
}

void tm_delete_aligned(void *ptr, size_t alignment)
{
    tm_free_fast(ptr);
}

/* Nothrow new: the allocator directly while the throwing forms behind it are this file's. */

void *tm_new_nothrow(size_t size, const struct nothrow *tag)
{
    bool ours = tm_new == own_new;
    if (tm_likely(ours)) {
        void *ptr = tm_malloc_fast(size);
        if (tm_likely(ptr != NULL))
            return ptr;
    }
    return nothrow_slow(size, 0, tag, false, ours);
}

void *tm_new_array_nothrow(size_t size, const struct nothrow *tag)
{
    bool ours = tm_new_array == own_new_array && tm_new == own_new;
    if (tm_likely(ours)) {
        void *ptr = tm_malloc_fast(size);
        if (tm_likely(ptr != NULL))
            return ptr;
    }
    return nothrow_slow(size, 0, tag, true, ours);
}

void *tm_new_aligned_nothrow(size_t size, size_t alignment, const struct nothrow *tag)
{
    if (tm_unlikely(!power_of_two(alignment))) {
        errno = ENOMEM;
        return NULL;
    }
    bool ours = tm_new_aligned == own_new_aligned;
    if (tm_likely(ours)) {
        void *ptr = tm_aligned(alignment, size);
        if (tm_likely(ptr != NULL))
            return ptr;
    }
    return nothrow_slow(size, alignment, tag, false, ours);
}

void *tm_new_array_aligned_nothrow(size_t size, size_t alignment, const struct nothrow *tag)
{
    if (tm_unlikely(!power_of_two(alignment))) {
        errno = ENOMEM;
        return NULL;
    }
    bool ours = tm_new_array_aligned == own_new_array_aligned && tm_new_aligned == own_new_aligned;
    if (tm_likely(ours)) {
        void *ptr = tm_aligned(alignment, size);
        if (tm_likely(ptr != NULL))
            return ptr;
    }
    return nothrow_slow(size, alignment, tag, true, ours);
}

/* What the standard derives from the above. */

void *tm_new_array(size_t size)
{
    return tm_new(size);
}

void *tm_new_array_aligned(size_t size, size_t alignment)
{
    return tm_new_aligned(size, alignment);
}

void tm_delete_array(void *ptr)
{
    tm_delete(ptr);
}

void tm_delete_sized(void *ptr, size_t size)
{
    tm_delete(ptr);
}

void tm_delete_array_sized(void *ptr, size_t size)
{
    tm_delete_array(ptr);
}

void tm_delete_nothrow(void *ptr, const struct nothrow *tag)
{
    tm_delete(ptr);
}

void tm_delete_array_nothrow(void *ptr, const struct nothrow *tag)
{
    tm_delete_array(ptr);
}

void tm_delete_array_aligned(void *ptr, size_t alignment)
{
    tm_delete_aligned(ptr, alignment);
}

void tm_delete_sized_aligned(void *ptr, size_t size, size_t alignment)
{
    tm_delete_aligned(ptr, alignment);
}

void tm_delete_array_sized_aligned(void *ptr, size_t size, size_t alignment)
{
    tm_delete_array_aligned(ptr, alignment);
}

void tm_delete_aligned_nothrow(void *ptr, size_t alignment, const struct nothrow *tag)
{
    tm_delete_aligned(ptr, alignment);
}

void tm_delete_array_aligned_nothrow(void *ptr, size_t alignment, const struct nothrow *tag)
{
    tm_delete_array_aligned(ptr, alignment);
}
