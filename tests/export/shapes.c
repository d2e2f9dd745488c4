/* shapes.c: a program whose heap has each figure that an export tells, by call sites that the test
 * knows: what is live, was live at the peak only, came and went, holds pages that are nearly empty
 * alone or with another site; a call from an inlined function, and one from functions whose names
 * are hard to write down (names.c). Takes one snapshot at its end (exit=snapshot).
 */
#include "tests/export/shapes.h"

#include <stdlib.h>

enum { SMALL = 48, MANY = 20000, LARGE = 100 * 1000, LARGES = 100, KEPT = 64 };

static void *blocks[MANY];
static void *others[MANY];
static void *large[LARGES];

__attribute__((noinline)) static void *at_small(void)
{
    return malloc(SMALL);
}

__attribute__((noinline)) static void *at_shared(void)
{
    return malloc(2 * SMALL);
}

__attribute__((noinline)) static void *at_shared_too(void)
{
    return malloc(2 * SMALL);
}

__attribute__((noinline)) static void *at_large(void)
{
    return malloc(LARGE);
}

static inline __attribute__((always_inline)) void *at_inlined(size_t size)
{
    return malloc(size);
}

__attribute__((noinline)) static void *around_inlined(size_t size)
{
    return at_inlined(size);
}

__attribute__((noinline)) static void at_temporary(void)
{
    for (int i = 0; i < 1000; i++) {
        void *volatile block = malloc(100 + (unsigned)i);
        free(block);
    }
}

int main(void)
{
    for (int i = 0; i < MANY; i++) {
        blocks[i] = at_small();
        others[i] = i % 3 ? at_shared() : at_shared_too();
    }
    for (int i = 0; i < LARGES; i++)
        large[i] = at_large();
    /* The peak is here. */
    for (int i = 0; i < LARGES - 10; i++)
        free(large[i]);
    for (int i = 0; i < MANY; i++) {
        if (i % KEPT != 0)
            free(blocks[i]);
        if (i % KEPT != 0 && i % KEPT != 17)
            free(others[i]);
    }
    at_temporary();
    static void *volatile kept[3];
    kept[0] = around_inlined(5000);
    kept[1] = tm_hard_name(6000);
    kept[2] = tm_long_name(7000);
    return kept[0] == NULL || kept[1] == NULL || kept[2] == NULL;
}
