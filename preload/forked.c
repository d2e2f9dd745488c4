/* forked.c: see forked.h. glibc (2.36) frees what belongs to a thread, and forgets it only then:
 * the copies of libraries' thread-local storage when a stack is used again or such a library is
 * closed, the values of keys beyond the first 32 when a thread ends. A child that another thread
 * forks in between frees them again once it uses that thread's stack. glibc's own malloc stops such
 * a child where it notices; here a block that is free and that libc's or the loader's own code
 * frees again stays free, and no more becomes of it. The program's own frees are looked at as
 * everywhere.
 */
#include "preload/forked.h"

#include <features.h>

#ifdef __GLIBC__
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#include "allocator/hooks.h"

/* Since glibc 2.35: which library an address is in, without a lock. Weak: an older one has it not.
 */
#pragma weak _dl_find_object

/* The loader's, and of no header. */
extern void *__tls_get_addr(void *index);

/* Threads, at the fork. Guarded by the allocator's locks, which a fork holds. */
static bool several;

static const void *library_of(const void *code)
{
    struct dl_find_object found;
    return _dl_find_object((void *)(uintptr_t)code, &found) == 0 ? found.dlfo_link_map : NULL;
}

static bool pardon(const void *caller)
{
    const void *library = library_of(caller);
    return library != NULL && (library == library_of((const void *)gnu_get_libc_version) ||
                               library == library_of((const void *)__tls_get_addr));
}

void tm_forked_prepare(void)
{
    several = __libc_single_threaded == 0;
}

void tm_forked_child(void)
{
    if (several && _dl_find_object != NULL)
        atomic_store_explicit(&tm_hook_pardon, pardon, memory_order_relaxed);
}
#else
void tm_forked_prepare(void) {}

void tm_forked_child(void) {}
#endif
