/* tidemark.h: what a program can ask of Tidemark from within. Nothing is linked for it: each call
 * looks for the library in the running process, so the same program runs under Tidemark and
 * without, where a call fails with ENOSYS. The functions may also be called by name where this
 * header does not reach: ctypes.CDLL(None).tidemark_snapshot(None, 0) in Python.
 *
 * To give free memory back there is malloc_trim(0), as with glibc.
 */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which call sites are recorded, as `sites=` has it. */
enum tidemark_sites {
    TIDEMARK_SITES_OFF = 0,
    TIDEMARK_SITES_SAMPLE = 1,
    TIDEMARK_SITES_ALL = 2,
};

typedef int tidemark_snapshot_function(char *path, size_t size);
typedef int tidemark_record_function(int sites);

/* The function of that name in the library, copied to *function (a pointer). 0, or -1 and ENOSYS.
 */
static inline int tidemark_find(const char *name, void *function)
{
    void *found = dlsym(NULL /* RTLD_DEFAULT, which needs _GNU_SOURCE */, name);
    if (found == NULL) {
        errno = ENOSYS;
        return -1;
    }
    memcpy(function, &found, sizeof found);
    return 0;
}

/* 1: this process runs under Tidemark. 0: it does not. */
static inline int tidemark_is_there(void)
{
    return dlsym(NULL, "tidemark_status") != NULL;
}

/* Takes a snapshot and waits until it is written, whatever signal= says. If path is not NULL, the
 * file's path is put there. 0, or -1 and errno: ENOSYS there is no Tidemark here; ENAMETOOLONG it
 * is written, but its path does not fit in size bytes; EPERM the process was started set-user-id,
 * set-group-id or with raised capabilities, and writes none; or why it could not be written. Not to
 * be called from a signal handler. */
static inline int tidemark_snapshot(char *path, size_t size)
{
    tidemark_snapshot_function *call;
    return tidemark_find("tidemark_snapshot", &call) == 0 ? call(path, size) : -1;
}

/* Records call sites from now on, or no longer: one of enum tidemark_sites. Each thread follows at
 * its next look at the allocator's shared parts, within some allocations. 0, or -1 and errno:
 * ENOSYS there is no Tidemark here; EINVAL there is no such value; EPERM as above. */
static inline int tidemark_record(int sites)
{
    tidemark_record_function *call;
    return tidemark_find("tidemark_record", &call) == 0 ? call(sites) : -1;
}

#ifdef __cplusplus
}
#endif

#endif
