/* loading.h: the functions of libc that the library stands in front of so that the recorder knows
 * what the loader is about: dlclose, dl_iterate_phdr, and __libc_start_main.
 */
#ifndef TIDEMARK_PRELOAD_LOADING_H
#define TIDEMARK_PRELOAD_LOADING_H

#include <stdatomic.h>

/* The next function of that name after the library's own: libc's, which is looked up once. */
void *tm_loading_next(_Atomic(void *) *next, const char *name);

/* Looks libc's own up, so that no call has to. Once, before there is a second thread. */
void tm_loading_start(void);

#endif
