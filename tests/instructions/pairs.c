/* pairs.c: N times malloc and free of one size on one thread, the pair that the hot path is made
 * for. count.py runs it under callgrind with two values of N, so that what start and end cost
 * cancels out.
 *
 * usage: pairs N SIZE
 */
#include <stdio.h>
#include <stdlib.h>

/* The compiler must not see that nobody uses the block. */
static inline void use(void *block)
{
    __asm__ volatile("" : : "r"(block) : "memory");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: pairs N SIZE\n", stderr);
        return 2;
    }
    long count = strtol(argv[1], NULL, 10);
    size_t size = strtoul(argv[2], NULL, 10);
    for (long i = 0; i < count; i++) {
        void *block = malloc(size);
        use(block);
        free(block);
    }
    return 0;
}
