/* large.c: a snapshot of a process with 1 GiB live: the pause and the size of the file. The best of
 * five, since what else runs on the machine only adds to it; every figure is printed.
 */
#include "tests/snapshot/preloaded.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const size_t LIVE_BYTES = (size_t)1 << 30;
static const uint64_t PAUSE_LIMIT_NS = 30000000;
static const off_t FILE_LIMIT_BYTES = 4 << 20;

/* Blocks of 16 to 2000 bytes, chained through their first word, each touched; every tenth is freed
 * again, so that pages are mixed as in a program that has worked. */
static void fill(void)
{
    void *chain = NULL;
    unsigned seed = 12345;
    for (size_t total = 0; total < LIVE_BYTES;) {
        seed = seed * 1103515245U + 12345U;
        size_t size = 16 + (seed >> 8) % 1985;
        void **block = malloc(size);
        CHECK(block != NULL);
        memset(block, 1, size);
        if ((seed >> 24) % 10 == 0) {
            free(block);
            continue;
        }
        *block = chain;
        chain = block;
        total += size;
    }
    CHECK(chain != NULL);
}

/* How long a bare copy of this very process takes now: what the machine asks, without Tidemark. */
static uint64_t bare_copy_ns(void)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK(pid > 0 && waitpid((pid_t)pid, NULL, __WCLONE) == pid);
    return (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
}

static void large(const char *directory)
{
    uint64_t best = UINT64_MAX;
    uint64_t bare = 0;
    unsigned whole, other;
    fill();
    for (int i = 0; i < 5; i++) {
        struct tm_snapshot_process process;
        struct stat file_status;
        uint64_t copy = bare_copy_ns();
        if (copy > bare)
            bare = copy;
        raise(SIGUSR2);
        wait_settled(60000);
        const char *path = (const char *)status_here()->last_path;
        CHECK(stat(path, &file_status) == 0);
        FILE *file = fopen(path, "rb");
        CHECK(file != NULL);
        CHECK(fseek(file,
                    (long)(sizeof(struct tm_snapshot_header) + sizeof(struct tm_snapshot_section)),
                    SEEK_SET) == 0);
        CHECK(fread(&process, sizeof process, 1, file) == 1);
        fclose(file);
        printf("RSS %.0f MiB: pause %.1f ms, walk in the copy %.1f ms, file %.2f MiB, %llu cut in "
               "half\n",
               (double)process.rss_bytes / (1 << 20), (double)process.pause_ns / 1e6,
               (double)process.walk_ns / 1e6, (double)file_status.st_size / (1 << 20),
               (unsigned long long)process.inconsistencies);
        CHECK(process.rss_bytes > LIVE_BYTES);
        CHECK(file_status.st_size < FILE_LIMIT_BYTES);
        CHECK(process.inconsistencies == 0);
        if (process.pause_ns < best)
            best = process.pause_ns;
    }
    printf("best pause %.1f ms; a bare copy takes at most %.1f ms now\n", (double)best / 1e6,
           (double)bare / 1e6);
    CHECK(best < PAUSE_LIMIT_NS || best < bare);
    count_files(directory, &whole, &other);
    CHECK(whole == 5 && other == 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"large", large, ""}};
    return run_cases(argc, argv, cases, 1);
}
