/* writes.c: writes where no live block is: into freed blocks, and past the ends of live ones. A
 * write itself no allocator sees. What counts is what it is led to by it: the chosen address, a
 * place of the program's own that was never its to give, must never come out of malloc(), and no
 * live block may be handed out again.
 */
#include "tests/misuse/misuse.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

enum { NEIGHBOURS = 40, CHOSEN_BYTES = 64 * KIB };

/* It looks like a block with a header of any size. */
static _Alignas(4096) uint64_t chosen[CHOSEN_BYTES / sizeof(uint64_t)];

static void *choose(size_t size)
{
    for (size_t i = 0; i < CHOSEN_BYTES / sizeof *chosen; i++)
        chosen[i] = 0;
    chosen[255] = (size + 8 + 15) & ~(uint64_t)15;
    chosen[255] |= 1;
    forbid(chosen, sizeof chosen);
    return &chosen[256];
}

/* A block among live ones, freed: with some others of its class, so that lists are longer than one.
 */
static char *among[NEIGHBOURS];
static size_t among_count;

static char *freed_among_live(size_t size)
{
    among_count = how_many(size, NEIGHBOURS);
    for (size_t i = 0; i < among_count; i++)
        among[i] = take(size);
    for (size_t i = 0; i < among_count; i++)
        if (i % 3 == 0)
            keep(among[i], size);
    char *block = among[among_count / 3 * 3 - 2];
    announce_block(block);
    for (size_t i = 0; i < among_count; i++)
        if (i % 3 == 1 && among[i] != block)
            give(among[i]);
    give(block);
    return block;
}

static void at_first_word(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = UINT64_C(0x4141414141414141);
    go_on(size);
}

static void at_second_word(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[1] = UINT64_C(0x4141414141414141);
    go_on(size);
}

static void at_later_bytes(size_t size)
{
    char *block = freed_among_live(size);
    memset(opaque(block + 24), 0x41, size - 24 > 64 ? 64 : size - 24);
    go_on(size);
}

static void at_last_byte(size_t size)
{
    volatile char *block = opaque(freed_among_live(size));
    block[size - 1] = (char)0xa5;
    go_on(size);
}

static void everywhere(size_t size)
{
    memset(opaque(freed_among_live(size)), 0x41, size);
    go_on(size);
}

static void zeroes(size_t size)
{
    memset(opaque(freed_among_live(size)), 0, size);
    go_on(size);
}

static void one_bit(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] ^= 0x40;
    go_on(size);
}

/* More is freed behind it before anything is taken. */
static void before_others(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = (uint64_t)(uintptr_t)choose(size);
    for (size_t i = 2; i < among_count; i += 3)
        give(among[i]);
    go_on(size);
}

/* ---- a forged list ---- */

static void plain(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = (uint64_t)(uintptr_t)choose(size);
    go_on(size);
}

static void in_second_word(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[1] = (uint64_t)(uintptr_t)choose(size);
    go_on(size);
}

static void in_all_words(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    uint64_t to = (uint64_t)(uintptr_t)choose(size);
    for (size_t i = 0; i < size / 8 && i < 512; i++)
        block[i] = to;
    go_on(size);
}

/* As glibc hides its links since 2.32: by the place that they stand at. */
static void as_glibc_hides(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = (uint64_t)(uintptr_t)choose(size) ^ (uint64_t)(uintptr_t)block >> 12;
    go_on(size);
}

/* A difference that the attacker reads from freed blocks: if a word is a link to the block freed
 * before it, hidden by a key, the key falls out. */
static void by_key_that_was_read(size_t size)
{
    char *previous = NULL;
    among_count = how_many(size, NEIGHBOURS);
    for (size_t i = 0; i < among_count; i++)
        among[i] = take(size);
    announce_block(among[1]);
    for (size_t i = 0; i < 2; i++) {
        previous = among[i];
        give(previous);
    }
    volatile uint64_t *block = opaque(among[1]);
    block[0] = block[0] ^ (uint64_t)(uintptr_t)among[0] ^ (uint64_t)(uintptr_t)choose(size);
    go_on(size);
}

/* The words of another freed block, which are good ones. */
static void copied_from_another(size_t size)
{
    char *block = freed_among_live(size);
    memcpy(opaque(block), opaque(among[1]), size < 64 ? size : 64);
    go_on(size);
}

/* The words that it had when it was freed the last time. */
static void replayed(size_t size)
{
    char old[64];
    size_t bytes = size < sizeof old ? size : sizeof old;
    char *block = freed_among_live(size);
    memcpy(old, opaque(block), bytes);
    size_t taken = 0;
    char *again[NEIGHBOURS] = {NULL};
    do
        again[taken] = take(size);
    while (again[taken++] != block && taken < how_many(size, NEIGHBOURS));
    if (again[taken - 1] != block)
        cannot("the block does not come back soon");
    for (size_t i = 0; i + 1 < taken; i++)
        keep(again[i], size);
    give(block);
    memcpy(opaque(block), old, bytes);
    go_on(size);
}

/* As by_key_that_was_read, by one who takes the second word for a sum of the first, the place and a
 * secret, and has the chosen place in his hand: it is to look like a free block, too. */
static void by_sum_that_was_read(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    uint64_t *to = choose(size);
    uint64_t secret = block[1] ^ block[0] ^ (uint64_t)(uintptr_t)block;
    to[0] = 0;
    to[1] = secret ^ (uint64_t)(uintptr_t)to;
    block[0] = (uint64_t)(uintptr_t)to;
    block[1] = secret ^ (uint64_t)(uintptr_t)block ^ (uint64_t)(uintptr_t)to;
    go_on(size);
}

/* Bytes of the freed block, read from it and put into it once it is handed out again. */
static void read_and_put_back(size_t size)
{
    char left[64];
    size_t bytes = size < sizeof left ? size : sizeof left;
    for (size_t round = how_many(size, 200); round > 0; round--) {
        char *block = take(size);
        announce_block(block);
        give(block);
        memcpy(left, opaque(block), bytes);
        char *again = take(size);
        memcpy(again, left, bytes);
        give(again);
    }
    go_on(size);
}

static void to_itself(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = (uint64_t)(uintptr_t)block;
    go_on(size);
}

static void to_a_live_block(size_t size)
{
    volatile uint64_t *block = opaque(freed_among_live(size));
    block[0] = (uint64_t)(uintptr_t)among[0];
    go_on(size);
}

/* ---- beyond the ends ---- */

/* Two blocks of which one lies behind the other with the least between them. */
static void nearest(size_t size, char **low, char **high)
{
    size_t best = SIZE_MAX;
    among_count = how_many(size, NEIGHBOURS);
    for (size_t i = 0; i < among_count; i++)
        among[i] = take(size);
    for (size_t i = 0; i < among_count; i++)
        for (size_t j = 0; j < among_count; j++)
            if (among[j] > among[i] && (size_t)(among[j] - among[i]) < best) {
                best = (size_t)(among[j] - among[i]);
                *low = among[i];
                *high = among[j];
            }
}

/* Each is freed, the one that was written beyond first. */
__attribute__((noreturn)) static void free_and_go_on(char *first, char *second, size_t size)
{
    give(first);
    if (second != NULL)
        give(second);
    go_on(size);
}

static void overflow(size_t size, size_t by, bool freed)
{
    char *low = NULL, *high = NULL;
    nearest(size, &low, &high);
    size_t usable = malloc_usable_size(low);
    announce(low, (size_t)(high - low) + usable, usable);
    if (freed)
        give(high);
    memset(opaque(low + usable), 0x41, by);
    free_and_go_on(low, freed ? NULL : high, size);
}

static void overflow_1_to_live(size_t size)
{
    overflow(size, 1, false);
}

static void overflow_1_to_freed(size_t size)
{
    overflow(size, 1, true);
}

static void overflow_16_to_live(size_t size)
{
    overflow(size, 16, false);
}

static void overflow_16_to_freed(size_t size)
{
    overflow(size, 16, true);
}

static void underflow(size_t size, size_t by, bool freed)
{
    char *low = NULL, *high = NULL;
    nearest(size, &low, &high);
    size_t usable = malloc_usable_size(high);
    announce(low, (size_t)(high - low) + usable, usable);
    if (freed)
        give(low);
    memset(opaque(high - by), 0x41, by);
    free_and_go_on(high, freed ? NULL : low, size);
}

static void underflow_1_to_live(size_t size)
{
    underflow(size, 1, false);
}

static void underflow_1_to_freed(size_t size)
{
    underflow(size, 1, true);
}

static void underflow_16_to_live(size_t size)
{
    underflow(size, 16, false);
}

static void underflow_16_to_freed(size_t size)
{
    underflow(size, 16, true);
}

/* Before the one of many blocks that begins at a multiple of 64 KiB: under Tidemark the first of a
 * pool, before which nothing may be in use. */
static void underflow_16_of_the_first(size_t size)
{
    char *first = NULL;
    among_count = how_many(size, NEIGHBOURS);
    for (size_t i = 0; i < among_count; i++) {
        among[i] = take(size);
        if (first == NULL && i > 0 && (uintptr_t)among[i] % (64 * (size_t)KIB) == 0)
            first = among[i];
    }
    if (first == NULL)
        cannot("no block begins there");
    announce(first - 64 * (size_t)KIB, 64 * (size_t)KIB + size, size);
    memset(opaque(first - 16), 0x41, 16);
    for (size_t i = 0; i < among_count; i++)
        give(among[i]);
    among_count = 0;
    go_on(size);
}

/* All that lies behind a block is filled with the chosen address, until the memory ends or 40 MiB
 * are full; what the program lives by lies elsewhere. If that ends the process, it was stopped. */
static void overflow_of_all(size_t size)
{
    char *low = NULL, *high = NULL;
    nearest(size, &low, &high);
    uint64_t to = (uint64_t)(uintptr_t)choose(size);
    size_t usable = malloc_usable_size(low), page = 4096;
    announce(low, (size_t)40 * MIB, usable);
    int pipes[2];
    if (pipe(pipes) != 0)
        cannot("pipe failed");
    for (char *at = low; at < low + (size_t)40 * MIB;) {
        char *end = at_address(((uintptr_t)at | (page - 1)) + 1);
        char byte;
        /* A page that cannot be read cannot be written. */
        if (write(pipes[1], at, 1) != 1 || read(pipes[0], &byte, 1) != 1)
            break;
        for (; at + sizeof to <= end; at += sizeof to)
            *(volatile uint64_t *)opaque(at) = to;
        at = end;
    }
    for (size_t i = 0; i < among_count; i++)
        if (among[i] != low)
            give(among[i]);
    go_on(size);
}

const struct misuse_case misuse_cases[] = {
    {"at_first_word", at_first_word, 1},
    {"at_second_word", at_second_word, 1},
    {"at_later_bytes", at_later_bytes, 64},
    {"at_last_byte", at_last_byte, 1},
    {"everywhere", everywhere, 1},
    {"zeroes", zeroes, 1},
    {"one_bit", one_bit, 1},
    {"before_others", before_others, 1},
    {"plain", plain, 1},
    {"in_second_word", in_second_word, 1},
    {"in_all_words", in_all_words, 1},
    {"as_glibc_hides", as_glibc_hides, 1},
    {"by_key_that_was_read", by_key_that_was_read, 1},
    {"copied_from_another", copied_from_another, 1},
    {"by_sum_that_was_read", by_sum_that_was_read, 1},
    {"replayed", replayed, 1},
    {"read_and_put_back", read_and_put_back, 1},
    {"to_itself", to_itself, 1},
    {"to_a_live_block", to_a_live_block, 1},
    {"overflow_1_to_live", overflow_1_to_live, 1},
    {"overflow_1_to_freed", overflow_1_to_freed, 1},
    {"overflow_16_to_live", overflow_16_to_live, 1},
    {"overflow_16_to_freed", overflow_16_to_freed, 1},
    {"underflow_1_to_live", underflow_1_to_live, 1},
    {"underflow_1_to_freed", underflow_1_to_freed, 1},
    {"underflow_16_to_live", underflow_16_to_live, 1},
    {"underflow_16_of_the_first", underflow_16_of_the_first, 4096},
    {"underflow_16_to_freed", underflow_16_to_freed, 1},
    {"overflow_of_all", overflow_of_all, 1},
    {NULL, NULL, 0},
};
