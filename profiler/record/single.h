/* single.h: whether the process has one thread only, as glibc knows; another libc may know and not
 * tell: then it has several. */
#ifndef TIDEMARK_RECORD_SINGLE_H
#define TIDEMARK_RECORD_SINGLE_H

#include <features.h>
#include <stdbool.h>

#ifdef __GLIBC__
#include <sys/single_threaded.h>
#endif

static inline bool tm_single_threaded(void)
{
#ifdef __GLIBC__
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}

#endif
