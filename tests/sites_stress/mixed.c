/* mixed.c: everything at once, for as long as it is told: threads that allocate from ever the same
 * and from some new stacks, libraries that are opened and closed, exceptions, forks, threads that
 * come and go, coroutines, and signals 50 times a second. At the end nothing is missed, and the
 * memory of the process and of the recorder is what it was after the first third of the time, but
 * for what new stacks cost.
 *
 * usage: mixed LIBRARY [SECONDS]     prints every ten seconds: seconds, the highest resident KiB of
 * one second
 */
#include "tests/sites_stress/coroutine.h"

#include <stdatomic.h>

enum { SECONDS = 10, GROWTH_LIMIT_KIB = 8192, STACK = 32 * 1024, KEPT = 4000 };

void plugin_comes(void);
void plugin_goes(void);
typedef void *plugin_work_fn(size_t size);
typedef int thrower_work_fn(int depth);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;
static void *kept[KEPT]; /* guarded by the mutex */

__attribute__((noinline)) static void *allocate_below(unsigned depth, size_t size)
{
    void *block = depth == 0 ? malloc(size) : allocate_below(depth - 1, size);
    return opaque(block);
}

static void keep_one(unsigned turn)
{
    void *block = allocate_below(turn % 17, 1 + turn * 31 % 2000);
    CHECK(block != NULL);
    pthread_mutex_lock(&mutex);
    void *old = kept[turn % KEPT];
    kept[turn % KEPT] = block;
    void *under_lock = allocate_below(turn % 5, 50);
    pthread_mutex_unlock(&mutex);
    free(under_lock);
    free(old);
}

void plugin_comes(void)
{
    keep_one(3);
}

void plugin_goes(void)
{
    keep_one(4);
}

static void *allocate_loop(void *number)
{
    for (unsigned turn = (unsigned)(uintptr_t)number * 7919; !atomic_load(&stop); turn++)
        keep_one(turn);
    return NULL;
}

static void *library_loop(void *nothing)
{
    while (!atomic_load(&stop)) {
        void *plugin = dlopen(beside("libsites_plugin.so"), RTLD_NOW);
        void *thrower = dlopen(beside("libsites_thrower.so"), RTLD_NOW);
        CHECK(plugin != NULL && thrower != NULL);
        free(((plugin_work_fn *)dlsym(plugin, "plugin_work"))(300));
        CHECK(((thrower_work_fn *)dlsym(thrower, "thrower_work"))(6) == 30);
        CHECK(dlclose(plugin) == 0 && dlclose(thrower) == 0);
    }
    return nothing;
}

static void *fork_loop(void *nothing)
{
    for (unsigned turn = 0; !atomic_load(&stop); turn++) {
        int status = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(HANGS_AFTER_SECONDS / 2);
            for (unsigned i = 0; i < 20; i++)
                free(allocate_below(i % 9, 1 + turn % 999));
            _exit(0);
        }
        pid_t waited;
        do
            waited = waitpid(child, &status, 0);
        while (waited < 0 && errno == EINTR);
        CHECK(waited == child && status == 0);
        sleep_ms(2);
    }
    return nothing;
}

static void *leave_block(void *nothing)
{
    (void)nothing;
    return allocate_below(3, 70);
}

static void *thread_loop(void *nothing)
{
    while (!atomic_load(&stop)) {
        pthread_t thread;
        void *block = NULL;
        CHECK(pthread_create(&thread, NULL, leave_block, NULL) == 0);
        CHECK(pthread_join(thread, &block) == 0);
        free(block);
    }
    return nothing;
}

static void body(void)
{
    for (unsigned i = 0; i < 10; i++)
        free(allocate_below(i, 10 + i * 100));
}

static void *coroutine_loop(void *nothing)
{
    static char stacks[4][STACK];
    for (unsigned turn = 0; !atomic_load(&stop); turn++) {
        run_on(stacks[turn % 4], STACK, body);
        if (turn % 64 == 0)
            sleep_ms(1);
    }
    return nothing;
}

static void *signal_loop(void *nothing)
{
    for (unsigned turn = 0; !atomic_load(&stop); turn++) {
        CHECK(kill(getpid(), SIGUSR2) == 0);
        sleep_ms(20);
    }
    return nothing;
}

static long resident_kib(void)
{
    long size = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%ld %ld", &size, &resident) == 2);
    fclose(statm);
    return resident * 4;
}

/* Snapshots of the run are not kept: there would be thousands. */
static void remove_snapshots(const char *directory)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    CHECK(entries != NULL);
    while ((entry = readdir(entries)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        if (end != NULL && strcmp(end, ".heap") == 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

/* The highest of some looks in the second that begins now. */
static long highest_for_a_second(const char *directory)
{
    long highest = 0;
    for (uint64_t end = now_ms() + 1000; now_ms() < end; sleep_ms(50)) { /* or until a signal */
        long now = resident_kib();
        highest = now > highest ? now : highest;
    }
    remove_snapshots(directory);
    return highest;
}

static long seconds = SECONDS;

static void mixed(const char *directory)
{
    void *(*const loops[])(void *) = {allocate_loop, allocate_loop,  library_loop, fork_loop,
                                      thread_loop,   coroutine_loop, signal_loop};
    enum { LOOPS = sizeof loops / sizeof loops[0] };
    pthread_t threads[LOOPS] = {0};
    long before = 0, after = 0;
    for (uintptr_t i = 0; i < LOOPS; i++)
        CHECK(pthread_create(&threads[i], NULL, loops[i], (void *)i) == 0);
    for (long second = 0; second < seconds; second++) {
        after = highest_for_a_second(directory);
        if (second <= seconds / 3)
            before = after;
        if (second % 10 == 0 || second == seconds / 3 || second == seconds - 1)
            printf("%4ld s %7ld KiB\n", second, after);
        fflush(stdout);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < LOOPS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    wait_settled(30000);
    CHECK(status_here()->failed == 0);
    struct tm_snapshot_recording recording = recording_now();
    printf("missed %llu truncated %llu shortened %llu, frames %u, sites %u, tables %llu KiB, "
           "snapshots %u\n",
           (unsigned long long)recording.missed, (unsigned long long)recording.truncated,
           (unsigned long long)recording.shortened, recording.frame_count, recording.site_count,
           (unsigned long long)recording.memory_bytes / 1024, status_here()->written);
    CHECK(recording.missed == 0);
    CHECK(recording.frame_count < recording.frame_limit / 8);
    if (after - before > GROWTH_LIMIT_KIB)
        fprintf(stderr, "%ld KiB more than after a third of the time\n", after - before);
    CHECK(after - before <= GROWTH_LIMIT_KIB);
}

int main(int argc, char **argv)
{
    int failures = 0;
    if (argc == 4 && strcmp(argv[1], "--under") == 0) {
        seconds = strtol(argv[3], NULL, 10);
        mixed(argv[2]);
        return 0;
    }
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s libtidemark.so [SECONDS]\n", argv[0]);
        return 2;
    }
    const char *time = argc == 3 ? argv[2] : "10";
    failures +=
        run_case(argv, time, ",sites=all", strtol(time, NULL, 10) + HANGS_AFTER_SECONDS) != 0;
    if (argc == 2)
        failures += run_case(argv, "5", ",sites=sample,rate=1K", 5 + HANGS_AFTER_SECONDS) != 0;
    puts(failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}
