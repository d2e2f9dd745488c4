/* snapshot_make.c: writes a synthetic snapshot to a file, for tests that run the command:
 * snapshot_make KIND FILE. */
#include "tests/report/sites_fixture.h"

#include <stdio.h>
#include <string.h>

/* sites: everything was recorded; sites-sampled; sites-by-thread. */
static void make_sites(struct fixture *fixture, const char *kind)
{
    struct sites_parts parts =
        strcmp(kind, "sites-sampled") == 0 ? sites_sampled() : sites_hand_made();
    if (strcmp(kind, "sites-by-thread") == 0) {
        parts.recording.by_thread = 1;
        parts.frames[1] = (struct tm_snapshot_frame){77, 0, TM_FRAME_THREAD};
    }
    parts.process.rss_bytes = 100000;
    fixture_sites(fixture, &parts);
}

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
    else if (strcmp(argv[1], "sites-random") == 0)
        fixture_random_sites(&fixture, 3, 30, 100, 4);
    else if (strncmp(argv[1], "sites", 5) == 0)
        make_sites(&fixture, argv[1]);
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
