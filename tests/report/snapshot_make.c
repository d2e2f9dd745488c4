/* snapshot_make.c: writes a synthetic snapshot to a file, for tests that run the command:
 * snapshot_make KIND FILE. */
#include "tests/report/snapshot_fixture.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct fixture fixture;
    if (argc != 3)
        return 2;
    if (strcmp(argv[1], "hand-made") == 0)
        fixture_hand_made(&fixture);
    else if (strcmp(argv[1], "hostile") == 0)
        fixture_hostile(&fixture);
    else if (strcmp(argv[1], "random") == 0)
        fixture_random(&fixture, 1, 400);
    else
        return 2;
    FILE *out = fopen(argv[2], "wb");
    if (!out || fwrite(fixture.bytes, 1, fixture.size, out) != fixture.size || fclose(out) != 0) {
        perror(argv[2]);
        return 1;
    }
    fixture_free(&fixture);
    return 0;
}
