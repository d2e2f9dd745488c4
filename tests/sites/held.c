/* held.c: fills its heap and frees nearly all of it again, so that the survivors of three sites,
 * at_first, at_second and at_third, hold pages alone and with each other, and prints where each of
 * its live blocks is. held_test.py computes from these addresses who holds what.
 *
 * usage: held [fix|warm]; fix: what at_first keeps is freed, too; warm: blocks of 2 KiB alone,
 * which come and go in bursts, so that most are handed out again while the processor's caches have
 * them.
 *
 * Lines: `live SITE ADDRESS`, then `rss BYTES`, once all that can go back went.
 */
#include "tests/sites/program.h"

#include <stdbool.h>

enum site { FIRST, SECOND, THIRD, FILLER };
static const char *const names[] = {"at_first", "at_second", "at_third", "at_filler"};

struct block {
    void *address;
    enum site site;
    bool stays;
};

enum { MOST = 700000 };
static struct block blocks[MOST];
static unsigned count;

static void *at_first(size_t size)
{
    return malloc(size);
}

static void *at_second(size_t size)
{
    return malloc(size);
}

static void *at_third(size_t size)
{
    return malloc(size);
}

static void *at_filler(size_t size)
{
    return malloc(size);
}

static void take(enum site site, size_t size, bool stays)
{
    static void *(*const sites[])(size_t) = {at_first, at_second, at_third, at_filler};
    if (count == MOST)
        fail("takes more blocks than it has room for");
    void *address = sites[site](size);
    memset(address, 1, size);
    blocks[count++] = (struct block){address, site, stays};
}

static unsigned dice(unsigned below)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % below);
}

/* Frees those that do not stay, in any order. */
static void free_others(void)
{
    unsigned kept = 0;
    for (unsigned i = count; i > 1; i--) {
        unsigned j = dice(i);
        struct block block = blocks[i - 1];
        blocks[i - 1] = blocks[j];
        blocks[j] = block;
    }
    for (unsigned i = 0; i < count; i++)
        if (blocks[i].stays)
            blocks[kept++] = blocks[i];
        else
            free(blocks[i].address);
    count = kept;
}

/* Blocks one beside the other: of each `period` one survives, of each of the sites in turns, for
 * `run` of them. */
static void side_by_side(size_t size, unsigned all, unsigned period, const enum site *sites,
                         unsigned turns, unsigned run)
{
    for (unsigned i = 0; i < all; i++) {
        bool stays = i % period == 0;
        take(stays ? sites[i / period / run % turns] : FILLER, size, stays);
    }
}

/* The pools are used once more, in any order, by one site after the other. */
static void used_again(size_t size, unsigned all)
{
    static const enum site sites[] = {FIRST, SECOND, THIRD};
    for (unsigned i = 0; i < all; i++)
        take(FILLER, size, i % 200 == 0); /* so that no pool is ever empty */
    free_others();
    for (unsigned i = 0; i < all * 3 / 4; i++)
        take(sites[i / 300 % 3], size, dice(8) == 0);
    free_others();
    for (unsigned i = 0; i < count; i++)
        if (blocks[i].site == FILLER)
            blocks[i].stays = false;
    free_others();
}

/* A third of the blocks is freed; then eight go and eight come, for one site after the other. */
static void bursts(size_t size, unsigned all)
{
    enum { BURST = 8, BURSTS = 45000, RUN = 50 };
    for (unsigned i = 0; i < all; i++)
        take(i / 100 % 3, size, i % 3 != 0);
    free_others();
    for (unsigned burst = 0; burst < BURSTS; burst++) {
        unsigned kept = count - BURST;
        for (unsigned i = kept; i < count; i++) {
            unsigned j = dice(i + 1);
            struct block block = blocks[i];
            blocks[i] = blocks[j];
            blocks[j] = block;
        }
        for (unsigned i = kept; i < count; i++)
            free(blocks[i].address);
        count = kept;
        for (unsigned i = 0; i < BURST; i++)
            take(burst / RUN % 3, size, true);
    }
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1)
        fail("cannot read /proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void three_sites(void)
{
    static const enum site alone[] = {FIRST}, two[] = {FIRST, SECOND}, third[] = {THIRD, SECOND};
    side_by_side(208, 120000, 30, alone, 1, 1);
    side_by_side(208, 60000, 10, two, 2, 1);
    side_by_side(2000, 8000, 6, third, 2, 9);
    free_others();
    used_again(144, 240000);
    used_again(3000, 8000);
}

int main(int argc, char **argv)
{
    bool fix = argc == 2 && strcmp(argv[1], "fix") == 0;
    use_static_output();
    memset(blocks, 0, sizeof blocks); /* so that it is resident from the start */
    if (argc == 2 && strcmp(argv[1], "warm") == 0)
        bursts(2000, 18000);
    else
        three_sites();
    for (unsigned i = 0; fix && i < count; i++)
        if (blocks[i].site == FIRST)
            blocks[i].stays = false;
    free_others();
    for (unsigned i = 0; i < count; i++)
        printf("live %s %lu\n", names[blocks[i].site], (unsigned long)blocks[i].address);
    fflush(stdout);
    ask(TM_REQUEST_TRIM);
    take_snapshot();
    printf("rss %ld\n", resident_bytes());
    return 0;
}
