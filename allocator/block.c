/* block.c: the secret of block.h. It is made of the 16 random bytes that the kernel gives each
 * program it starts: no system call, which a filter might not allow. The C library takes its stack
 * canary from the same bytes, so they go through a mixer that leads nobody back to them.
 */
#include "allocator/block.h"

#include <string.h>
#include <sys/auxv.h>

#include "allocator/mix.h"

uintptr_t tm_block_secret;

void tm_block_begin(void)
{
    if (tm_block_secret != 0)
        return;
    /* Without them, which no kernel does: what the loader placed at random. */
    uint64_t seed[2] = {(uintptr_t)&seed, (uintptr_t)&tm_block_secret};
    const void *given = (const void *)getauxval(AT_RANDOM);
    if (given != NULL)
        memcpy(seed, given, sizeof seed);
    /* Odd: a block's address and a link are not, so no block has the mark 0, which is "none". */
    tm_block_secret = (uintptr_t)(tm_mix(seed[0] ^ tm_mix(seed[1])) | 1);
}
