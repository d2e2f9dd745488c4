/* cache.h: free pages of arenas that may still be resident: how many there may be, and giving back
 * the rest.
 *
 * The rule is a budget at free time, not a decay: what is cached may not exceed the larger of a
 * floor and a part of what is in use. Whoever frees past it purges the coldest arenas then and
 * there, so that the last frees of a phase clean up also when the program does nothing afterwards.
 * (Time decay, as jemalloc and mimalloc do it, needs later calls; a background thread breaks fork
 * and unshare.) All of it is guarded by tm_arena_lock.
 *
 * The counters below are sums that many threads add to and anybody reads: relaxed, as nothing is
 * read on the strength of them. A reader may have one that is a moment older than another, even a
 * difference below 0 where he subtracts (tm_cache_budget()): then a purge comes a little earlier
 * or later.
 */
#ifndef TIDEMARK_CACHE_H
#define TIDEMARK_CACHE_H

#include "allocator/chunk.h"

/* Marks free pages of an arena as maybe resident; the arena becomes the hottest. Called whenever
 * pages were freed: these may let others go back (chunk.h). */
void tm_cache_add(struct tm_arena *arena, uint64_t pages);
/* Takes pages out of the cache: they are in use by now, or gone. */
void tm_cache_drop(struct tm_arena *arena, uint64_t pages);
/* A recently freed empty arena, or NULL. */
struct tm_arena *tm_cache_warm_arena(void);

/* Purges down to the budget if it is exceeded. Drops tm_arena_lock and takes it again while the
 * kernel works. */
void tm_cache_settle(void);
/* Purges everything. True if pages went. */
bool tm_cache_empty(void);

/* In the child of a fork: whoever was purging is not there. What he had taken out counts as cached
 * again. */
void tm_cache_fork_child(void);

/* Bytes in use, for the budget and the census: relaxed, changed by arena.c and large.c. */
extern _Atomic uint64_t tm_bytes_in_pools, tm_bytes_in_spans, tm_bytes_in_mappings;
/* Bytes of pools, spans and mappings that were taken since the start, cumulative; relaxed, changed
 * by arena.c and large.c. */
extern _Atomic uint64_t tm_bytes_taken;
/* Of the bytes in pools: in pages that were not touched since they were fresh or purged; relaxed,
 * changed by pool.c. */
extern _Atomic uint64_t tm_bytes_clean_in_pools;
/* Bytes cached; relaxed. */
extern _Atomic uint64_t tm_cached_bytes;
/* Bytes of drained pages inside pools, as of the last slow path of each heap; relaxed, changed by
 * heap.c. */
extern _Atomic uint64_t tm_drained_bytes;

/* Pages that were not in the cache were taken into use. */
void tm_cache_taken(unsigned fresh_pages);
/* Pages inside pools were purged; purged pages inside pools were taken into use. These take the
 * lock.
 */
void tm_cache_pool_pages_gone(unsigned pages);
void tm_cache_pool_pages_back(unsigned pages);
/* Bytes that may be held on top of the budget, for a while, as what was purged came back. While it
 * is not 0 somebody should call tm_arena_settle() now and then. Any thread, no lock. */
size_t tm_cache_bonus(void);

/* The budget in bytes as things stand, without what bounces back (bounce.h). Any thread, no lock.
 */
size_t tm_cache_budget(void);
void tm_cache_set_retain(size_t bytes, unsigned percent);

#endif
