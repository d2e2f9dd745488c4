/* contents.c: what is in a block: kept by realloc, zero from calloc, nobody else's, aligned,
 * writable to its end. */
#include "check.h"

#include <malloc.h>

static const size_t steps[] = {
    1,      16,     17,   48,      100,     128,     129,     500,      512,      1024,
    4000,   4096,   8192, 20000,   32768,   65536,   65537,   131072,   131073,   200000,
    262144, 300000, MIB,  2 * MIB, 5 * MIB, 8 * MIB, 9 * MIB, 16 * MIB, 33 * MIB, 64 * MIB};
enum { STEPS = sizeof steps / sizeof steps[0] };

/* Marks and looks at the ends and some bytes between: every byte of every pair would take minutes.
 */
static void mark(unsigned char *ptr, size_t bytes, unsigned salt)
{
    if (bytes <= 8192) {
        fill(ptr, bytes, salt);
        return;
    }
    for (size_t i = 0; i < bytes; i += 1021)
        ptr[i] = pattern(i, salt);
    for (size_t i = bytes - 64; i < bytes; i++)
        ptr[i] = pattern(i, salt);
}

static bool marked(const unsigned char *ptr, size_t made, size_t kept, unsigned salt)
{
    if (made <= 8192)
        return intact(ptr, kept, salt) == kept;
    for (size_t i = 0; i < kept; i += 1021)
        if (ptr[i] != pattern(i, salt))
            return false;
    if (kept == made)
        for (size_t i = made - 64; i < made; i++)
            if (ptr[i] != pattern(i, salt))
                return false;
    return true;
}

static void realloc_every_pair(void)
{
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t j = 0; j < STEPS; j++) {
            if (steps[i] > MIB && steps[j] > MIB && (i + j) % 3 != 0)
                continue; /* the longest pairs: every third one */
            unsigned salt = (unsigned)(i * STEPS + j);
            unsigned char *ptr = opaque(malloc(steps[i]));
            CHECK(ptr != NULL);
            mark(ptr, steps[i], salt);
            ptr = opaque(realloc(ptr, steps[j]));
            CHECK(ptr != NULL && aligned_to(ptr, 16) && malloc_usable_size(ptr) >= steps[j]);
            size_t kept = steps[i] < steps[j] ? steps[i] : steps[j];
            CHECK(marked(ptr, steps[i], kept, salt));
            ptr[steps[j] - 1] = 1;
            free(ptr);
        }
    }
}

static void realloc_chain_up_and_down(void)
{
    for (unsigned round = 0; round < 3; round++) {
        unsigned char *ptr = opaque(malloc(1)), *neighbour = NULL;
        ptr[0] = pattern(0, 9);
        size_t size = 1;
        for (size_t i = 0; i < 2 * STEPS; i++) {
            size_t next = steps[i < STEPS ? i : 2 * STEPS - 1 - i];
            ptr = opaque(realloc(ptr, next));
            CHECK(ptr != NULL);
            size_t kept = size < next ? size : next;
            for (size_t at = 0; at < kept; at += kept / 5000 + 1)
                CHECK(ptr[at] == pattern(at, 9));
            for (size_t at = kept; at < next; at++)
                ptr[at] = pattern(at, 9);
            size = next;
            /* Something in the way, so that growing in place does not always succeed. */
            free(neighbour);
            neighbour = round == 1 ? opaque(malloc(next)) : NULL;
            if (neighbour != NULL)
                memset(neighbour, 0xee, next < 4096 ? next : 4096);
        }
        free(neighbour);
        free(ptr);
    }
}

static void calloc_zero_after_dirty(void)
{
    for (size_t i = 0; i < STEPS; i++) {
        size_t size = steps[i];
        size_t count = size <= 4096 ? 200 : size <= MIB ? 20 : 2;
        static unsigned char *blocks[200];
        for (unsigned round = 0; round < 2; round++) {
            for (size_t j = 0; j < count; j++) {
                blocks[j] = opaque(malloc(size));
                CHECK(blocks[j] != NULL);
                memset(blocks[j], 0xff, malloc_usable_size(blocks[j]));
            }
            for (size_t j = 0; j < count; j++)
                free(blocks[round == 0 ? j : count - 1 - j]);
            for (size_t j = 0; j < count; j++) {
                blocks[j] = opaque(calloc(1, size));
                CHECK(blocks[j] != NULL);
                CHECK(all_zero(blocks[j], size));
                memset(blocks[j], 0xff, malloc_usable_size(blocks[j]));
            }
            for (size_t j = 0; j < count; j++)
                free(blocks[j]);
        }
    }
}

static void calloc_zero_at_random(void)
{
    enum { BLOCKS = 2000 };
    static unsigned char *blocks[BLOCKS];
    uint64_t random = 424242;
    for (unsigned turn = 0; turn < 60000; turn++) {
        size_t at = next_random(&random) % BLOCKS;
        free(blocks[at]);
        size_t bits = next_random(&random) % 18;
        size_t size = 1 + next_random(&random) % ((size_t)2 << bits);
        bool zeroed = next_random(&random) % 2 == 0;
        blocks[at] = opaque(zeroed ? calloc(size, 1) : malloc(size));
        CHECK(blocks[at] != NULL);
        if (zeroed)
            CHECK(all_zero(blocks[at], size));
        memset(blocks[at], 0xff, malloc_usable_size(blocks[at]));
    }
    for (size_t at = 0; at < BLOCKS; at++)
        free(blocks[at]);
}

static void alignment_16_for_every_size(void)
{
    for (size_t size = 1; size <= 70000; size += size < 3000 ? 1 : 37) {
        void *a = opaque(malloc(size)), *b = opaque(calloc(1, size));
        void *c = opaque(realloc(NULL, size));
        CHECK(a != NULL && b != NULL && c != NULL);
        CHECK(aligned_to(a, 16) && aligned_to(b, 16) && aligned_to(c, 16));
        free(a);
        free(b);
        free(c);
    }
}

static void usable_bytes_are_the_blocks_own(void)
{
    enum { BLOCKS = 500 };
    static unsigned char *blocks[BLOCKS];
    for (size_t i = 0; i < STEPS && steps[i] <= 65537; i++) {
        for (unsigned j = 0; j < BLOCKS; j++) {
            blocks[j] = opaque(malloc(steps[i]));
            CHECK(blocks[j] != NULL);
            CHECK(malloc_usable_size(blocks[j]) >= steps[i]);
            fill(blocks[j], malloc_usable_size(blocks[j]), j);
        }
        for (unsigned j = 0; j < BLOCKS; j++) {
            size_t usable = malloc_usable_size(blocks[j]);
            CHECK(intact(blocks[j], usable, j) == usable);
            free(blocks[j]);
        }
    }
}

static void usable_bytes_of_large_blocks(void)
{
    for (size_t i = 0; i < STEPS; i++) {
        unsigned char *ptr = opaque(malloc(steps[i]));
        CHECK(ptr != NULL);
        size_t usable = malloc_usable_size(ptr);
        memset(ptr, 0x77, usable);
        free(ptr);
    }
}

/* Random work on many live blocks of all sizes, each filled to its end and looked at before it
 * goes. */
static void blocks_never_overlap(void)
{
    enum { BLOCKS = 5000 };
    static struct {
        unsigned char *ptr;
        size_t size;
        unsigned salt;
    } shadow[BLOCKS];
    uint64_t random = 20240607;
    for (unsigned turn = 0; turn < 100000; turn++) {
        size_t at = next_random(&random) % BLOCKS;
        if (shadow[at].ptr != NULL)
            CHECK(intact(shadow[at].ptr, shadow[at].size, shadow[at].salt) == shadow[at].size);
        size_t bits = next_random(&random) % (turn % 100 == 0 ? 20 : 11);
        size_t size = next_random(&random) % ((size_t)16 << (bits < 16 ? bits : 16));
        uint64_t action = next_random(&random) % 10;
        if (action < 5 || shadow[at].ptr == NULL) {
            free(shadow[at].ptr);
            shadow[at].ptr = opaque(malloc(size));
        } else if (action < 8 && size > 0) {
            size_t kept = size < shadow[at].size ? size : shadow[at].size;
            shadow[at].ptr = opaque(realloc(shadow[at].ptr, size));
            CHECK(intact(shadow[at].ptr, kept, shadow[at].salt) == kept);
        } else {
            free(shadow[at].ptr);
            shadow[at].ptr = NULL;
            continue;
        }
        CHECK(shadow[at].ptr != NULL);
        shadow[at].size = size;
        shadow[at].salt = turn;
        fill(shadow[at].ptr, size, turn);
    }
    for (size_t at = 0; at < BLOCKS; at++)
        free(shadow[at].ptr);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"realloc_every_pair", realloc_every_pair},
        {"realloc_chain_up_and_down", realloc_chain_up_and_down},
        {"calloc_zero_after_dirty", calloc_zero_after_dirty},
        {"calloc_zero_at_random", calloc_zero_at_random},
        {"alignment_16_for_every_size", alignment_16_for_every_size},
        {"usable_bytes_are_the_blocks_own", usable_bytes_are_the_blocks_own},
        {"usable_bytes_of_large_blocks", usable_bytes_of_large_blocks},
        {"blocks_never_overlap", blocks_never_overlap},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
