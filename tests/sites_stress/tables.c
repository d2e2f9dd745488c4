/* tables.c: recording when its tables are full. Run under a library whose tables hold 2048 frames
 * and 256 sites: what has no room is counted as what it is, everything else goes on, and the
 * program does not notice.
 */
#include "tests/sites_stress/stress.h"

enum { DEPTH = 3000, PLACES = 4000, KEPT_BYTES = 1000000 };

__attribute__((noinline)) static void recurse(unsigned depth)
{
    void *block = opaque(malloc(40));
    CHECK(block != NULL);
    if (depth > 0)
        recurse(depth - 1);
    free(opaque(block));
}

__attribute__((noinline)) static void allocate_at_place(unsigned place)
{
    char room[16 + place * 16];
    opaque(room);
    allocate(64 + place % 1000);
    opaque(room);
}

static void *fill(void *nothing)
{
    recurse(DEPTH);
    for (unsigned place = 0; place < PLACES; place++)
        allocate_at_place(place);
    return nothing;
}

static void check_full(void)
{
    struct tm_snapshot_recording recording = recording_now();
    CHECK(recording.frame_limit == 2048 && recording.site_limit == 256);
    CHECK(recording.frame_count <= recording.frame_limit);
    CHECK(recording.site_count <= recording.site_limit);
    CHECK(recording.missed == 0);
    if (recording.sites == TM_SITES_ALL && is_unwinding()) {
        CHECK(recording.site_count == recording.site_limit);
        CHECK(recording.shortened > 0);
    }
}

/* The figures of all sites together are still right: what has no site of its own is in the one for
 * others. */
static void full(void)
{
    if (!is_recording())
        ask_for_sites(TM_REQUEST_SITES_ALL);
    for (unsigned wait = 0; status_here()->unwinder == 2 && wait < 5000; wait++) {
        allocate(100);
        sleep_ms(1);
    }
    fill(NULL);
    check_full();
    void *block = opaque(malloc(KEPT_BYTES));
    CHECK(block != NULL);
    uint64_t before = recording_now().peak_bytes;
    void *more = opaque(malloc((size_t)8 * KEPT_BYTES));
    CHECK(more != NULL);
    uint64_t after = recording_now().peak_bytes;
    CHECK(after >= before + (uint64_t)4 * KEPT_BYTES || status_here()->sites != TM_SITES_ALL);
    free(more);
    free(block);
}

static void full_in_threads(void)
{
    pthread_t threads[4];
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)4 << 20) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], &attributes, fill, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    if (is_recording())
        check_full();
}

static void full_before_fork(void)
{
    int status = 0;
    fill(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fill(NULL);
        if (is_recording())
            check_full();
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    fill(NULL);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"full", full},
        {"full_in_threads", full_in_threads},
        {"full_before_fork", full_before_fork},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
