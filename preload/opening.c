/* opening.c: dlopen and dlmopen, which Tidemark stands in front of to know, before a library is
 * loaded, that its malloc may be another one (libc_malloc.h, foreign.h). What is asked for is
 * passed on as it is.
 *
 * libc's functions find out who calls them by the address that they return to: the library's run
 * path, $ORIGIN and namespace depend on it. So these end in a jump, which leaves the return address
 * the caller's: the call comes last, with arguments in the same places. (gcc 12 makes a jump of
 * that where it optimises; compilers that can be told to are told.)
 */
#include <dlfcn.h>
#include <string.h>

#include "preload/export.h"
#include "preload/foreign.h"
#include "preload/libc_malloc.h"
#include "preload/loading.h"

#ifdef __GLIBC__

#if __has_attribute(musttail)
#define BY_JUMP __attribute__((musttail))
#else
#define BY_JUMP
#endif

typedef void *dlopen_fn(const char *file, int mode);
typedef void *dlmopen_fn(Lmid_t namespace, const char *file, int mode);

static _Atomic(void *) next_dlopen, next_dlmopen;

/* A handle of libc's is for asking it for its functions. */
static bool is_libc(const char *file)
{
    if (file == NULL)
        return false;
    const char *slash = strrchr(file, '/');
    return strncmp(slash != NULL ? slash + 1 : file, "libc.so", sizeof "libc.so" - 1) == 0;
}

static void before(const char *file, int mode)
{
    if ((mode & RTLD_DEEPBIND) != 0 || is_libc(file))
        tm_libc_malloc_hide();
}

EXPORT void *dlopen(const char *file, int mode)
{
    before(file, mode);
    BY_JUMP return ((dlopen_fn *)tm_loading_next(&next_dlopen, "dlopen"))(file, mode);
}

EXPORT void *dlmopen(Lmid_t namespace, const char *file, int mode)
{
    if (namespace == LM_ID_BASE)
        before(file, mode);
    else
        tm_foreign_namespace();
    BY_JUMP return ((dlmopen_fn *)tm_loading_next(&next_dlmopen, "dlmopen"))(namespace, file, mode);
}

#endif
