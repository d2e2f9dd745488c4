/* bounce.c: see bounce.h. */
#include "allocator/bounce.h"

#include <time.h>

enum { SECOND_MS = 1000 };

uint64_t tm_bounce_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A new second begins. */
static void begin(struct tm_bounce *bounce, uint64_t now, size_t held)
{
    bounce->since_ms = now;
    bounce->gone = 0;
    bounce->least = bounce->most = held;
}

void tm_bounce_gone(struct tm_bounce *bounce, size_t bytes)
{
    uint64_t now = tm_bounce_now_ms();
    if (now - bounce->since_ms > SECOND_MS && bounce->bonus == 0)
        begin(bounce, now, 0);
    bounce->gone += bytes;
}

void tm_bounce_back_slow(struct tm_bounce *bounce, size_t bytes)
{
    /* What went long ago does not come back now: it is wanted anew. */
    if (tm_bounce_now_ms() - bounce->since_ms > 2 * SECOND_MS)
        bounce->gone = 0;
    if (bytes > bounce->gone)
        bytes = bounce->gone;
    bounce->gone -= bytes;
    bounce->bonus += bytes;
}

void tm_bounce_look_slow(struct tm_bounce *bounce, size_t held)
{
    if (held < bounce->least)
        bounce->least = held;
    if (held > bounce->most)
        bounce->most = held;
    uint64_t now = tm_bounce_now_ms();
    if (now - bounce->since_ms <= SECOND_MS)
        return;
    /* What was never taken out of what is held is not needed. (Of a second that ended long ago
     * nothing is known: the program was idle.) */
    size_t used = bounce->most - bounce->least;
    if (used < bounce->most / 4 || now - bounce->since_ms > 2 * SECOND_MS)
        bounce->bonus = 0;
    else if (bounce->bonus > 2 * used)
        bounce->bonus = 2 * used;
    begin(bounce, now, held);
}
