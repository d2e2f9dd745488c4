/* phases.c: a program whose call sites behave in known ways, and takes a snapshot after each of its
 * rounds, the first of which is number 0:
 *   leaks       LEAKED blocks more in every round
 *   plateau     FILLED blocks more in rounds 0 to 1, then none
 *   saw_tooth   SAWN blocks in even rounds, which odd rounds free
 *   turned_over as many blocks as rounds so far, all of them new in every round
 *   goes        GONE blocks in round 0, freed in round 1
 *   appears     GONE blocks in round 1
 *   fills, keeps  round 0 fills pages with one block of `keeps` in every PER_KEPT, and round 1
 * frees those of `fills`
 *
 * Built with SECOND_BUILD it is the same program in other places of its file.
 *
 * usage: phases ROUNDS [PAUSE-MS [FACTOR]]: FACTOR times as many blocks in every round
 */
#include "tests/sites/program.h"

#include <sys/mman.h>

enum { /* of each, in a round */
       LEAKED = 200,
       FILLED = 300,
       SAWN = 400,
       GONE = 100,
       KEPT = 200,
       PER_KEPT = 64,
       MOST = 100,
       FACTORS = 100
};
static const size_t LIST_BYTES = 256 << 20;

#ifdef SECOND_BUILD
static int moves_the_others(int number)
{
    return number * 3 + 1;
}
static volatile int moved;
#endif

static void *leaks(void)
{
    return malloc(512);
}

static void *plateau(void)
{
    return malloc(1024);
}

static void *saw_tooth(void)
{
    return malloc(256);
}

static void *turned_over(void)
{
    return malloc(2048);
}

static void *goes(void)
{
    return malloc(4096);
}

static void *appears(void)
{
    return malloc(4096);
}

static void *fills(void)
{
    return malloc(64);
}

static void *keeps(void)
{
    return malloc(64);
}

/* So many blocks of a site. The list is no block of the heap, so that nothing else allocates. */
struct blocks {
    void **list;
    long count;
};

static void take(struct blocks *blocks, void *(*site)(void), long more)
{
    if (!blocks->list)
        blocks->list = mmap(NULL, LIST_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (blocks->list == MAP_FAILED)
        fail("no memory for a list");
    while (more-- > 0) {
        void *block = site();
        if (!block)
            fail("no memory for a block");
        memset(block, 1, 16);
        blocks->list[blocks->count++] = block;
    }
}

static void give_back(struct blocks *blocks)
{
    while (blocks->count > 0)
        free(blocks->list[--blocks->count]);
}

static struct blocks leaked, filled, sawn, turned, gone, come, filler, kept;

static void go(long round, long factor)
{
    take(&leaked, leaks, LEAKED * factor);
    if (round < 2)
        take(&filled, plateau, FILLED * factor);
    if (round % 2 == 0)
        take(&sawn, saw_tooth, SAWN * factor);
    else
        give_back(&sawn);
    give_back(&turned);
    take(&turned, turned_over, (round + 1) * 10 * factor);
    if (round == 0)
        take(&gone, goes, GONE * factor);
    if (round == 1) {
        give_back(&gone);
        take(&come, appears, GONE * factor);
        give_back(&filler);
    }
    for (long i = 0; i < KEPT * factor && round == 0; i++) {
        take(&kept, keeps, 1);
        take(&filler, fills, PER_KEPT - 1);
    }
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    long pause = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long factor = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    if (rounds < 1 || rounds > MOST || pause < 0 || factor < 1 || factor > FACTORS) {
        fputs("usage: phases ROUNDS [PAUSE-MS [FACTOR]]\n", stderr);
        return 2;
    }
#ifdef SECOND_BUILD
    moved = moves_the_others(argc);
#endif
    /* The clock of births is coarse, and its first tick has no number. */
    sleep_ms(50);
    for (long round = 0; round < rounds; round++) {
        go(round, factor);
        take_snapshot();
        sleep_ms(pause);
    }
    return 0;
}
