/* many.c: allocates from more stacks than an export writes one by one: 2 to the power of DEPTH, as
 * each level calls the next from two places. Half way down the stack is moved by an amount of its
 * own, since of one function at one place of the stack the recorder keeps 256 ways to get there.
 * Takes one snapshot at its end (exit=snapshot).
 */
#include <alloca.h>
#include <stdlib.h>

enum { DEPTH = 15, MOVED = 8 };

static void *volatile kept;
static volatile int left;

__attribute__((noinline)) static void *at_bottom(unsigned number)
{
    return malloc(16 + number % 64 * 16);
}

/* NOLINTNEXTLINE(misc-no-recursion): the stacks are what this is for */
__attribute__((noinline)) static void descend(int depth, unsigned number)
{
    if (depth == 0) {
        kept = at_bottom(number);
        return;
    }
    volatile char *moved = depth == MOVED ? alloca(64 * (number + 1)) : NULL;
    descend(depth - 1, 2 * number);
    descend(depth - 1, 2 * number + 1);
    if (moved)
        *moved = 0; /* and the second call is no jump */
}

/* NOLINTNEXTLINE(misc-no-recursion) */
__attribute__((noinline)) static void deepen(int levels)
{
    if (levels == 0)
        descend(DEPTH, 0);
    else
        deepen(levels - 1);
    left = levels; /* the calls are no jumps */
}

int main(int argc, char **argv)
{
    deepen(argc > 1 ? atoi(argv[1]) : 0);
    return 0;
}
