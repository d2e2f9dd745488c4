/* missing.c: recording where libunwind cannot be loaded: sites are callers without stacks, and the
 * program sees nothing of it, not even in dlerror(). A file of its name that is no library, in
 * LD_LIBRARY_PATH, plays the part of its absence.
 */
#include "tests/sites_stress/stress.h"

static char directory[] = "/tmp/tidemark-missing-XXXXXX";

__attribute__((noinline)) static void allocate_from(unsigned depth, size_t size)
{
    if (depth == 0)
        allocate(size);
    else
        allocate_from(depth - 1, size);
    opaque(NULL);
}

static void *on_thread(void *nothing)
{
    for (unsigned i = 0; i < 500; i++)
        allocate_from(i % 9, i + 1);
    return nothing;
}

static void work(void)
{
    pthread_t thread;
    on_thread(NULL);
    CHECK(pthread_create(&thread, NULL, on_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void from_the_start(void)
{
    CHECK(errno == 0);
    const char *error = dlerror();
    if (error != NULL)
        fprintf(stderr, "dlerror: %s\n", error);
    work();
    struct tm_snapshot_recording recording = recording_now();
    CHECK(recording.missed == 0);
    if (status_here()->sites == TM_SITES_ALL) {
        CHECK(status_here()->unwinder < 0);
        CHECK(recording.shortened > 500);
    }
}

static void switched_on(void)
{
    for (unsigned i = 0; i < 5; i++) {
        ask_for_sites(TM_REQUEST_SITES_ALL);
        work();
        ask_for_sites(TM_REQUEST_SITES_OFF);
        work();
    }
    for (unsigned wait = 0; status_here()->unwinder == 2 && wait < 5000; wait++) {
        work();
        sleep_ms(1);
    }
    CHECK(status_here()->unwinder < 0);
    CHECK(dlerror() == NULL);
}

static void in_children(void)
{
    for (unsigned i = 0; i < 20; i++) {
        int status = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            ask_for_sites(TM_REQUEST_SITES_ALL);
            work();
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"from_the_start", from_the_start},
        {"switched_on", switched_on},
        {"in_children", in_children},
    };
    char path[256];
    bool outer = argc != 4;
    if (outer) {
        CHECK(mkdtemp(directory) != NULL);
        snprintf(path, sizeof path, "%s/libunwind-x86_64.so.8", directory);
        int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        CHECK(file >= 0);
        close(file);
        setenv("LD_LIBRARY_PATH", directory, 1);
    }
    int result = run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
    if (outer) {
        unlink(path);
        rmdir(directory);
    }
    return result;
}
