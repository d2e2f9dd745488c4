/* large_make.c: a synthetic snapshot of a heap of so many arenas: large_make ARENAS FILE. */
#include "tests/report/snapshot_fixture.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct fixture fixture;
    unsigned long arenas = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    if (arenas == 0) {
        fprintf(stderr, "usage: large_make ARENAS FILE\n");
        return 2;
    }
    fixture_random(&fixture, 1, arenas);
    FILE *out = fopen(argv[2], "wb");
    if (!out || fwrite(fixture.bytes, 1, fixture.size, out) != fixture.size || fclose(out) != 0) {
        perror(argv[2]);
        return 1;
    }
    fixture_free(&fixture);
    return 0;
}
