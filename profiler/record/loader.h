/* loader.h: when libunwind is loaded (unwind.h): before main if sites are recorded from there;
 * else, once recording is switched on in a running process, by a thread that lives for that only.
 * dlopen() takes the loader's lock, which another thread may hold while it waits for something that
 * the caller of malloc holds; a thread that holds nothing may wait for it as long as need be.
 */
#ifndef TIDEMARK_RECORD_LOADER_H
#define TIDEMARK_RECORD_LOADER_H

/* Loads it here and now. Before main only. */
void tm_loader_load(void);
/* It is wanted: see to it at the next tm_loader_look(). Async-signal-safe. */
void tm_loader_want(void);
/* From the recorder, outside all locks, now and then: starts the thread if need be and possible.
 * May allocate. */
void tm_loader_look(void);
/* Around each call of dl_iterate_phdr. Keeps errno. */
void tm_loader_listing(void);
void tm_loader_listed(void);
/* Around fork: first of all, and last in the parent. */
void tm_loader_fork_prepare(void);
void tm_loader_fork_parent(void);
void tm_loader_fork_child(void);

#endif
