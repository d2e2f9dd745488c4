/* bounce.h: does purging pay? Whoever holds free memory against a budget asks here how much more he
 * may hold, because what he gave back came back at once.
 *
 * A program that fills and empties in a cycle faults in again what was just purged, and each page
 * costs it some three microseconds. Bytes that are purged and taken again within a second earn
 * themselves as a bonus on the budget, so that after one round of the cycle nothing is purged any
 * more; and a bonus of which a second's use leaves three quarters untouched is taken away.
 * (jemalloc and mimalloc wait a while before each purge instead, which keeps a peak's memory for
 * ever when the program goes idle; tcmalloc looks at low-water marks as is done here.)
 *
 * A struct tm_bounce belongs to whoever holds the memory and is guarded by what guards that.
 */
#ifndef TIDEMARK_BOUNCE_H
#define TIDEMARK_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_bounce {
    uint64_t since_ms;  /* when the second began; coarse monotonic clock */
    size_t gone;        /* bytes purged in it that did not come back */
    size_t bonus;       /* bytes that may be held on top of the budget */
    size_t least, most; /* bytes held, the extremes in this second as far as it was looked */
};

/* The clock of since_ms: coarse, and answered in user space. */
uint64_t tm_bounce_now_ms(void);

/* Bytes were purged. */
void tm_bounce_gone(struct tm_bounce *bounce, size_t bytes);

void tm_bounce_back_slow(struct tm_bounce *bounce, size_t bytes);

/* Bytes of fresh pages were taken into use: they may be some that were purged. */
static inline void tm_bounce_back(struct tm_bounce *bounce, size_t bytes)
{
    if (__builtin_expect(bounce->gone != 0, 0))
        tm_bounce_back_slow(bounce, bytes);
}

void tm_bounce_look_slow(struct tm_bounce *bounce, size_t held);

/* Says how much is held now, and lets a bonus expire. To be called on slow paths, now and then. */
static inline void tm_bounce_look(struct tm_bounce *bounce, size_t held)
{
    if (__builtin_expect((bounce->gone | bounce->bonus) != 0, 0))
        tm_bounce_look_slow(bounce, held);
}

#endif
