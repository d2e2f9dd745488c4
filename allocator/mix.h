/* mix.h: small arithmetic on bits and bytes that several rooms need. Below everything. */
#ifndef TIDEMARK_MIX_H
#define TIDEMARK_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What splitmix64 (Steele, Lea, Flood 2014) adds to its state for each number, and how it makes the
 * number of the state. */
#define TM_MIX_STEP UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t tm_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Whether all of `count` bytes are that one. */
static inline bool tm_is_filled(const char *from, size_t count, char byte)
{
    return count == 0 || (from[0] == byte && memcmp(from, from + 1, count - 1) == 0);
}

#endif
