/* misuse.c: see misuse.h. Uses no stdio and takes nothing from the heap for itself. */
#include "tests/misuse/misuse.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RANGES = 64,
    BLOCKS = 20000,
    ROUND_BYTES = 8 * MIB,
    FEWEST = 6,
};

struct range {
    uintptr_t start, end;
    unsigned char tag; /* each byte of it, of a kept one */
};

static struct range kept[RANGES], forbidden[RANGES];
static size_t kept_count, forbidden_count;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0 && write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(3);
}

void ignored(const char *what)
{
    say("ignored %s\n", what);
    _exit(0);
}

void corrupt(const char *what, const void *where)
{
    say("corrupt %s %p\n", what, where);
    _exit(0);
}

void cannot(const char *why)
{
    say("cannot %s\n", why);
    _exit(0);
}

void *take(size_t size)
{
    void *block = opaque(malloc(size));
    if (block == NULL)
        cannot("malloc failed");
    return block;
}

void give(void *ptr)
{
    free(opaque(ptr));
}

void announce(const void *start, size_t bytes, size_t usable)
{
    uintptr_t low = (uintptr_t)start;
    say("address %#zx %#zx %zu\n", (size_t)low, (size_t)(low + bytes), usable);
}

void announce_block(void *block)
{
    size_t usable = malloc_usable_size(block);
    announce(block, usable, usable);
}

static void add(struct range *ranges, size_t *count, const void *start, size_t bytes)
{
    if (*count == RANGES) {
        say("cannot: the table of ranges is full\n");
        _exit(3);
    }
    uintptr_t low = (uintptr_t)start;
    ranges[*count].start = low;
    ranges[*count].end = low + bytes;
    ranges[(*count)++].tag = 0;
}

void keep(void *block, size_t bytes)
{
    add(kept, &kept_count, block, bytes);
    kept[kept_count - 1].tag = (unsigned char)(0x60 + kept_count);
    memset(block, kept[kept_count - 1].tag, bytes);
}

bool is_kept(uintptr_t address)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].start == address)
            return true;
    return false;
}

void forbid(const void *start, size_t bytes)
{
    add(forbidden, &forbidden_count, start, bytes);
}

static void check_kept(void)
{
    for (size_t i = 0; i < kept_count; i++) {
        const unsigned char *byte = at_address(kept[i].start);
        for (size_t left = kept[i].end - kept[i].start; left > 0; left--, byte++)
            if (*byte != kept[i].tag)
                corrupt("a live block changed at", byte);
    }
}

static bool overlap(const struct range *one, const struct range *other)
{
    return one->start < other->end && other->start < one->end;
}

/* By start. (libc's qsort may call malloc.) */
static void sort(struct range *ranges, size_t count)
{
    for (size_t gap = count / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < count; i++)
            for (size_t j = i; j >= gap && ranges[j - gap].start > ranges[j].start; j -= gap) {
                struct range swap = ranges[j];
                ranges[j] = ranges[j - gap];
                ranges[j - gap] = swap;
            }
}

static struct range blocks[BLOCKS], sorted[BLOCKS];

size_t how_many(size_t size, size_t most)
{
    size_t count = ROUND_BYTES / size;
    return count < FEWEST ? FEWEST : count > most ? most : count;
}

static void take_and_check(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *block = take(size);
        blocks[i] = (struct range){(uintptr_t)block, (uintptr_t)block + size, 0};
        for (size_t k = 0; k < forbidden_count; k++)
            if (overlap(&blocks[i], &forbidden[k]))
                corrupt("malloc returned the chosen address", block);
        for (size_t k = 0; k < kept_count; k++)
            if (overlap(&blocks[i], &kept[k]))
                corrupt("malloc returned a live block", block);
    }
    memcpy(sorted, blocks, count * sizeof *blocks);
    sort(sorted, count);
    for (size_t i = 1; i < count; i++)
        if (overlap(&sorted[i - 1], &sorted[i]))
            corrupt("two blocks overlap at", at_address(sorted[i].start));
    for (size_t i = 0; i < count; i++) {
        memset(at_address(blocks[i].start), (int)(i & 0x7f), size < 32 ? size : 32);
        *(char *)at_address(blocks[i].end - 1) = (char)(i & 0x7f);
    }
    check_kept();
    for (size_t i = 0; i < count; i++)
        if (*(char *)at_address(blocks[i].start) != (char)(i & 0x7f) ||
            *(char *)at_address(blocks[i].end - 1) != (char)(i & 0x7f))
            corrupt("a new block changed at", at_address(blocks[i].start));
}

static void give_all(size_t count)
{
    for (size_t i = 1; i < count; i += 2)
        give(at_address(blocks[i].start));
    for (size_t i = (count + 1) / 2; i-- > 0;)
        give(at_address(blocks[2 * i].start));
}

void go_on(size_t size)
{
    check_kept();
    for (unsigned round = 0; round < 3; round++) {
        size_t count = how_many(size, BLOCKS);
        take_and_check(size, count);
        give_all(count);
        take_and_check(48, 100);
        give_all(100);
        check_kept();
    }
    /* What waits in a quarantine of some thousand places leaves it by chance. */
    for (unsigned pair = 0; pair < 60000; pair++)
        give(take(48));
    take_and_check(size, how_many(size, BLOCKS));
    ignored("and nothing came of it");
}

static void *wait_for_ever(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

void with_a_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        cannot("a thread cannot be made");
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (const struct misuse_case *at = misuse_cases; at->name != NULL; at++)
            say("%s %zu\n", at->name, at->least);
        return 0;
    }
    for (const struct misuse_case *at = misuse_cases; count == 3 && at->name != NULL; at++)
        if (strcmp(at->name, arguments[1]) == 0) {
            at->run((size_t)strtoull(arguments[2], NULL, 10));
            return 0;
        }
    static const char usage[] = "usage: PROGRAM --list | PROGRAM CASE SIZE\n";
    return write(STDERR_FILENO, usage, sizeof usage - 1) > 0 ? 2 : 3;
}
