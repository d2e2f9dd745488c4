/* walk.c: the program under the fault injector: small, seeded, and through every part of the
 * allocator and of the recorder that asks the kernel for something. Each block carries a pattern
 * of its own that is checked before it is freed or resized, and all of them between the parts.
 * Whatever the kernel refuses, a request is answered or refused with ENOMEM, a block that could not
 * be resized is as it was, and free keeps errno.
 *
 * usage: walk SEED PART...; the parts are named at the end. Exit status 0: all of that held.
 */
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    SLOTS = 700,
    KIB = 1024,
    MIB = 1024 * KIB,
    PAGE = 4 * KIB,
    HALF = PAGE / 2,
    EDGE_PAGES = 16, /* of a large block so many pages at either end are written to */
    KEPT_ERRNO = 4242,
};

struct slot {
    unsigned char *block; /* NULL: none */
    size_t size, usable;
    uint64_t pattern;
};
static struct slot slots[SLOTS];
static uint64_t random_state;
static unsigned refused;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static _Noreturn void broken(const char *what, const struct slot *slot)
{
    inject_mark(false);
    fprintf(stderr, "walk: %s; slot %d, block %p of %zu bytes\n", what,
            slot == NULL ? -1 : (int)(slot - slots), slot == NULL ? NULL : (void *)slot->block,
            slot == NULL ? 0 : slot->size);
    abort();
}

static void expect(bool holds, const char *what)
{
    if (!holds)
        broken(what, NULL);
}

/* The next offset of a block of that size at which there is a word of the pattern. */
static size_t after(size_t offset, size_t size)
{
    if (size <= 2 * KIB)
        return offset + sizeof(uint64_t);
    offset += HALF;
    if (offset == EDGE_PAGES * PAGE && size > 2 * EDGE_PAGES * PAGE)
        offset = (size - EDGE_PAGES * PAGE) / PAGE * PAGE;
    return offset;
}

static uint64_t word_at(const struct slot *slot, size_t offset)
{
    return (slot->pattern ^ offset) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Of a size that the block may have had before. */
static void check_as(const struct slot *slot, size_t size)
{
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i = after(i, slot->size)) {
        uint64_t word;
        memcpy(&word, slot->block + i, sizeof word);
        if (word != word_at(slot, i))
            broken("contents changed", slot);
    }
}

static void check(const struct slot *slot)
{
    if (malloc_usable_size(slot->block) != slot->usable)
        broken("usable size changed", slot);
    check_as(slot, slot->size);
}

static void check_all(void)
{
    for (const struct slot *slot = slots; slot < slots + SLOTS; slot++)
        if (slot->block != NULL)
            check(slot);
}

static void fill(struct slot *slot, size_t size)
{
    slot->size = size;
    slot->usable = malloc_usable_size(slot->block);
    slot->pattern = random64();
    if (slot->usable < size)
        broken("usable size below the request", slot);
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i = after(i, size)) {
        uint64_t word = word_at(slot, i);
        memcpy(slot->block + i, &word, sizeof word);
    }
}

static void check_zero(const struct slot *slot, size_t size)
{
    /* Of large ones those places that the pattern of another may have been at. */
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i = size <= 64 * KIB ? i + sizeof(uint64_t)
                                                         : size <= MIB    ? i + HALF
                                                                          : after(i, size)) {
        uint64_t word;
        memcpy(&word, slot->block + i, sizeof word);
        if (word != 0)
            broken("calloc is not zero", slot);
    }
}

/* A request that was answered with `block`, errno having been 0. */
static bool is_answered(const void *block)
{
    if (block != NULL)
        return true;
    refused++;
    if (errno != ENOMEM)
        broken("refused with another errno than ENOMEM", NULL);
    return false;
}

static bool take(struct slot *slot, size_t size)
{
    errno = 0;
    slot->block = malloc(size);
    if (is_answered(slot->block))
        fill(slot, size);
    return slot->block != NULL;
}

static bool take_zero(struct slot *slot, size_t size)
{
    errno = 0;
    slot->block = calloc(1, size);
    if (is_answered(slot->block)) {
        check_zero(slot, size);
        fill(slot, size);
    }
    return slot->block != NULL;
}

static bool take_aligned(struct slot *slot, size_t alignment, size_t size)
{
    errno = 0;
    slot->block = memalign(alignment, size);
    if (is_answered(slot->block)) {
        if ((uintptr_t)slot->block % alignment != 0)
            broken("wrong alignment", slot);
        fill(slot, size);
    }
    return slot->block != NULL;
}

static void release(struct slot *slot)
{
    if (slot->block == NULL)
        return;
    check(slot);
    void *block = slot->block;
    slot->block = NULL;
    errno = KEPT_ERRNO;
    free(block);
    if (errno != KEPT_ERRNO)
        broken("free changed errno", slot);
}

static void resize(struct slot *slot, size_t size)
{
    check(slot);
    size_t least = size < slot->size ? size : slot->size;
    errno = 0;
    void *moved = realloc(slot->block, size);
    if (is_answered(moved)) {
        slot->block = moved;
        check_as(slot, least);
        fill(slot, size);
    } else {
        check(slot);
    }
}

static void release_all(void)
{
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
        release(slot);
}

/* Of every kind: small, page runs, spans of arenas, mappings. */
static size_t random_size(void)
{
    unsigned kind = (unsigned)(random64() % 100);
    if (kind < 70)
        return 1 + random64() % 1024;
    if (kind < 85)
        return 1 * KIB + random64() % (15 * KIB);
    if (kind < 93)
        return 16 * KIB + random64() % (200 * KIB);
    return kind < 98 ? 256 * KIB + random64() % (5 * MIB) : 8 * MIB + random64() % (4 * MIB);
}

/* ---- the parts ---- */

static void part_mix(void)
{
    for (int i = 0; i < 1500; i++) {
        struct slot *slot = &slots[random64() % SLOTS];
        uint64_t choice = random64() % 8;
        if (slot->block != NULL && choice == 0)
            resize(slot, random_size());
        else if (slot->block != NULL)
            release(slot);
        else if (choice < 2)
            take_zero(slot, random_size());
        else if (choice == 2)
            take_aligned(slot, (size_t)16 << random64() % 16, random_size());
        else
            take(slot, random_size());
    }
}

/* Two blocks that grow in turn through all kinds of memory, and shrink again. */
static void part_growth(void)
{
    if (!take(&slots[0], 10) || !take(&slots[1], 10))
        return;
    for (size_t size = 16; size < 40 * MIB; size += size / 2 + random64() % 64) {
        resize(&slots[0], size);
        resize(&slots[1], size / 3 + 1);
    }
    for (size_t size = 30 * MIB; size > 16; size -= size / 2 + 1) {
        resize(&slots[0], size);
        resize(&slots[1], size);
    }
}

static void part_aligned(void)
{
    for (size_t alignment = 16; alignment <= 64 * MIB; alignment *= 4) {
        static const size_t sizes[] = {1, 100, 5000, 70 * KIB, 700 * KIB, 9 * MIB};
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            take_aligned(&slots[i], alignment, sizes[i]);
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            release(&slots[i]);
    }
}

/* More than a chunk of each kind, all of it freed, and again: chunks come and go. */
static void part_chunks(void)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            take(&slots[i], round == 1 ? 60 * KIB : 8 * KIB);
        for (int i = 300; i < 324; i++)
            take(&slots[i], 2 * MIB - 100);
        for (int i = 0; i < 324; i += 2)
            release(&slots[i]);
        check_all();
        release_all();
        if (round == 1)
            malloc_trim(0);
    }
}

/* So many mappings that their table grows, and graves in it. */
static void part_mappings(void)
{
    for (int i = 0; i < 150; i++)
        take(&slots[i], 9 * MIB + (size_t)i);
    for (int i = 0; i < 150; i += 3)
        resize(&slots[i], 12 * MIB);
    for (int i = 1; i < 150; i += 3)
        release(&slots[i]);
    for (int i = 1; i < 150; i += 3)
        take_zero(&slots[i], 9 * MIB);
}

/* Of a thread or a process. */
static bool is_refusal(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EPERM || error == ENOSYS;
}

static void *work(void *argument)
{
    struct slot *from = argument;
    for (int i = 0; i < 100; i++)
        take(&from[i], i % 10 == 9 ? random64() % (100 * KIB) : random64() % 600);
    for (int i = 0; i < 100; i += 3)
        release(&from[i]);
    return NULL;
}

/* One after the other, so that calls come in one order: blocks outlive their thread, others free
 * them. */
static void part_threads(void)
{
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, work, &slots[100 * i]);
        expect(error == 0 || is_refusal(error), "pthread_create failed otherwise");
        if (error == 0)
            pthread_join(thread, NULL);
        for (int j = 100 * i; j < 100 * i + 50; j++)
            release(&slots[j]);
        check_all();
    }
}

static void part_forks(void)
{
    for (int i = 0; i < 200; i++)
        take(&slots[i], random_size() / 8 + 1);
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            check_all();
            for (int j = 0; j < 200; j += 2)
                release(&slots[j]);
            for (int j = 200; j < 260; j++)
                take(&slots[j], random_size());
            check_all();
            release_all();
            _exit(0);
        }
        if (child < 0) {
            expect(is_refusal(errno), "fork failed otherwise");
            continue;
        }
        expect(waitpid(child, &status, 0) == child && status == 0, "the child of a fork failed");
    }
}

static void part_trims(void)
{
    for (int i = 0; i < SLOTS; i++)
        take(&slots[i], random64() % (20 * KIB) + 1);
    for (int i = 0; i < SLOTS; i++)
        if (i % 16 != 0)
            release(&slots[i]);
    malloc_trim(0);
    check_all();
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].block == NULL)
            take_zero(&slots[i], random64() % (20 * KIB) + 1);
    malloc_trim(0);
}

static int record(int sites)
{
    int (*call)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "tidemark_record");
    expect(call != NULL, "the library is not there");
    return call(sites);
}

/* Recording is switched on, from the start of which a thread of its own makes ready, and off. */
static void part_record(void)
{
    static const int sites[] = {2, 1, 0};
    for (unsigned i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        expect(record(sites[i]) == 0, "tidemark_record failed");
        usleep(20000);
        for (int j = 0; j < 600; j++) {
            struct slot *slot = &slots[random64() % SLOTS];
            if (slot->block == NULL)
                take(slot, random_size());
            else
                release(slot);
        }
        part_threads();
        release_all();
    }
}

/* A snapshot is written or it is told why not. */
static void part_snapshot(void)
{
    int (*call)(char *, size_t) = (int (*)(char *, size_t))dlsym(RTLD_DEFAULT, "tidemark_snapshot");
    expect(call != NULL, "the library is not there");
    for (int i = 0; i < 200; i++)
        take(&slots[i], random_size() / 4 + 1);
    for (int i = 0; i < 2; i++) {
        char path[4200];
        errno = 0;
        int result = call(path, sizeof path);
        expect(result == 0 || (result == -1 && errno != 0), "tidemark_snapshot failed otherwise");
        printf(result == 0 ? "written %s\n" : "failed\n", path);
        fflush(stdout);
        check_all();
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"mix", part_mix},           {"growth", part_growth},     {"aligned", part_aligned},
    {"chunks", part_chunks},     {"mappings", part_mappings}, {"threads", part_threads},
    {"forks", part_forks},       {"trims", part_trims},       {"record", part_record},
    {"snapshot", part_snapshot},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: walk SEED PART...; parts:");
        for (unsigned i = 0; i < PARTS; i++)
            fprintf(stderr, " %s", parts[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 0) | 1;
    /* Made by the first printf else, which has no memory then. */
    static char buffer[4096];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    inject_mark(true);
    for (int i = 2; i < argc; i++) {
        unsigned part = 0;
        while (part < PARTS && strcmp(parts[part].name, argv[i]) != 0)
            part++;
        if (part == PARTS)
            broken("there is no such part", NULL);
        parts[part].run();
        check_all();
        release_all();
    }
    inject_mark(false);
    /* What was refused is refused no longer. */
    for (int i = 0; i < 50; i++)
        expect(take(&slots[i], 1000 * (size_t)i + 1), "no memory though nothing fails any more");
    release_all();
    printf("ok, %u refused\n", refused);
    return 0;
}
