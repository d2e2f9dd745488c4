/* snapshot_reader_mutate.c: whole snapshots with a few bytes changed, many times over: what the
 * fuzzer does, in every test run, without clang and the same each time. snapshot_reader_mutate
 * [SEED [ROUNDS]]; the seed is printed.
 */
#include "tests/fuzz/snapshot_reader.h"
#include "tests/report/sites_fixture.h"
#include "tests/report/snapshot_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values at which arithmetic on sizes and addresses breaks. */
static const uint64_t edges[] = {
    0,
    1,
    7,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x40000,
    0x10000000,
    UINT64_C(1) << 57,
    UINT64_MAX,
    4096,
    UINT64_MAX - 4095,
    UINT64_C(1) << 63,
    (UINT64_C(1) << 57) - 1,
    0xffff,
};

static void mutate(unsigned char *bytes, size_t size, uint64_t *state)
{
    uint64_t times = 1 + fixture_next(state) % 4;
    for (uint64_t i = 0; i < times; i++) {
        uint64_t dice = fixture_next(state);
        /* Beyond the magic and the version, which would end it at once. */
        size_t at = 12 + (size_t)(fixture_next(state) % (size - 12));
        static const size_t widths[] = {1, 2, 4, 8};
        size_t width = widths[dice % 4];
        if (dice >> 4 & 1)
            at -= at % 8; /* where fields start */
        if (at + width > size)
            continue;
        uint64_t value = dice >> 8 & 1 ? edges[(dice >> 16) % (sizeof edges / sizeof edges[0])]
                                       : fixture_next(state);
        if (dice >> 9 & 1) { /* a near value instead of a far one */
            memcpy(&value, bytes + at, width);
            value += (dice >> 32) % 9 - 4;
        }
        memcpy(bytes + at, &value, width);
    }
}

static size_t run(const struct fixture *fixture, uint64_t rounds, uint64_t *state)
{
    size_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        /* Exactly as large as the file, so that a sanitiser sees a read past its end. */
        size_t size = fixture->size;
        if (fixture_next(state) % 16 == 0)
            size = 24 + (size_t)(fixture_next(state) % (size - 24));
        unsigned char *copy = malloc(size);
        if (!copy)
            abort();
        memcpy(copy, fixture->bytes, size);
        mutate(copy, size, state);
        taken += snapshot_reader_try(copy, size);
        free(copy);
    }
    return taken;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240917;
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 5000;
    uint64_t state = seed;
    enum { FIXTURES = 6 };
    struct fixture fixtures[FIXTURES];
    size_t taken = 0;
    printf("seed %llu, %llu rounds\n", (unsigned long long)seed, (unsigned long long)rounds);
    fflush(stdout);
    fixture_hand_made(&fixtures[0]);
    fixture_hostile(&fixtures[1]);
    fixture_random(&fixtures[2], 7, 6);
    struct sites_parts parts = sites_hand_made();
    fixture_sites(&fixtures[3], &parts);
    parts = sites_sampled();
    fixture_sites(&fixtures[4], &parts);
    fixture_random_sites(&fixtures[5], 8, 12, 40, 6);
    for (int i = 0; i < FIXTURES; i++) {
        if (!snapshot_reader_try(fixtures[i].bytes, fixtures[i].size)) {
            fprintf(stderr, "snapshot %d is refused unchanged\n", i);
            return 1;
        }
        taken += run(&fixtures[i], rounds, &state);
        fixture_free(&fixtures[i]);
    }
    printf("%zu of %llu mutants were read whole\n", taken, (unsigned long long)rounds * FIXTURES);
    /* If nearly all were refused, the analysis behind the reader would hardly be tested. */
    return taken > rounds / 4 ? 0 : 1;
}
