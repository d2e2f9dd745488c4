/* threshold.c: at=: one snapshot each time that RSS gets to the limit, whatever the memory is that
 * brings it there, and whoever allocates.
 */
#include "tests/snapshot/preloaded.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

static const size_t MIB = 1 << 20;
static const size_t LIMIT = (size_t)64 << 20; /* at=64M of the cases below */

/* Blocks in a list, each written to from end to end. It halts while a snapshot is taken, so that
 * the snapshot tells when it was asked for. */
static void **grow(void **chain, size_t total, size_t block)
{
    uint32_t requested = status_here()->requested;
    for (size_t done = 0; done < total; done += block) {
        void **more = malloc(block);
        CHECK(more != NULL);
        memset(more, 1, block);
        *more = chain;
        chain = more;
        if (status_here()->requested != requested) {
            wait_settled(20000);
            requested = status_here()->requested;
        }
    }
    return chain;
}

static void shrink(void **chain)
{
    while (chain != NULL) {
        void **next = *chain;
        free(chain);
        chain = next;
    }
    malloc_trim(0);
}

static uint64_t rss_in(const char *path)
{
    struct tm_snapshot_header header;
    struct tm_snapshot_section section;
    struct tm_snapshot_process process;
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fread(&header, sizeof header, 1, file) == 1);
    CHECK(fread(&section, sizeof section, 1, file) == 1 && section.tag == TM_TAG_PROCESS);
    CHECK(fread(&process, sizeof process, 1, file) == 1);
    fclose(file);
    return process.rss_bytes;
}

/* That there were so many, and that the last shows the process just after it got there. */
static void expect(unsigned snapshots, size_t block)
{
    const volatile struct tm_status *status = status_here();
    wait_settled(20000);
    CHECK(status->requested == snapshots && status->written == snapshots);
    if (snapshots == 0)
        return;
    uint64_t rss = rss_in((const char *)status->last_path);
    if (rss < LIMIT || rss > LIMIT + LIMIT / 64 + 2 * block + 2 * MIB)
        fprintf(stderr, "RSS in the snapshot: %zu KiB\n", (size_t)rss / 1024);
    CHECK(rss >= LIMIT && rss <= LIMIT + LIMIT / 64 + 2 * block + 2 * MIB);
}

static void crosses(size_t block)
{
    shrink(grow(NULL, LIMIT / 2, block));
    expect(0, block);
    void **chain = grow(NULL, 2 * LIMIT, block);
    expect(1, block);
    chain = grow(chain, LIMIT, block); /* it stays above */
    sleep_ms(150);
    chain = grow(chain, LIMIT, block);
    expect(1, block);
    shrink(chain);
    sleep_ms(150); /* and is seen to be below by the next call that moves pages */
    shrink(grow(NULL, 2 * MIB, block));
    shrink(grow(NULL, 2 * LIMIT, block));
    expect(2, block);
}

static void small_blocks(const char *directory)
{
    (void)directory;
    crosses(100);
}

static void spans(const char *directory)
{
    (void)directory;
    crosses(100000);
}

static void mappings(const char *directory)
{
    (void)directory;
    crosses(4 * MIB);
}

/* What is not the heap's is seen once the heap moves a page. */
static void other_memory(const char *directory)
{
    (void)directory;
    char *other = mmap(NULL, 2 * LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED);
    memset(other, 1, 2 * LIMIT);
    sleep_ms(150);
    shrink(grow(NULL, 4 * MIB, 100000));
    wait_settled(5000);
    CHECK(status_here()->written == 1);
}

static void *grow_a_share(void *unused)
{
    (void)unused;
    return grow(NULL, LIMIT / 2, 1000);
}

static void threads(const char *directory)
{
    pthread_t thread[4];
    (void)directory;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, grow_a_share, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    wait_settled(20000);
    CHECK(status_here()->requested == 1 && status_here()->written == 1);
}

static void errno_stays(const char *directory)
{
    (void)directory;
    for (size_t total = 0; total < 2 * LIMIT; total += MIB) {
        errno = 4711;
        void *volatile block = malloc(MIB); /* volatile: clang drops what nobody reads */
        CHECK(errno == 4711 && block != NULL);
        memset(block, 1, MIB);
    }
    wait_settled(20000);
    CHECK(status_here()->written == 1);
}

static void without_it(const char *directory)
{
    (void)directory;
    shrink(grow(NULL, 2 * LIMIT, 100000));
    wait_settled(5000);
    CHECK(status_here()->requested == 0);
}

static unsigned snapshots_of_child(void)
{
    int wait_status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        grow(NULL, 2 * LIMIT, 100000);
        wait_settled(20000);
        _exit((int)status_here()->written);
    }
    CHECK(waitpid(pid, &wait_status, 0) == pid && WIFEXITED(wait_status));
    return (unsigned)WEXITSTATUS(wait_status);
}

static void child_takes_its_own(const char *directory)
{
    (void)directory;
    CHECK(snapshots_of_child() == 1);
    CHECK(status_here()->written == 0);
    void **chain = grow(NULL, 2 * LIMIT, 100000);
    expect(1, 100000);
    CHECK(snapshots_of_child() == 0); /* born above the limit */
    shrink(chain);
}

static void child_takes_none(const char *directory)
{
    (void)directory;
    CHECK(snapshots_of_child() == 0);
    shrink(grow(NULL, 2 * LIMIT, 100000));
    expect(1, 100000);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"small_blocks", small_blocks, ",at=64M"},
        {"spans", spans, ",at=64M"},
        {"mappings", mappings, ",at=64M"},
        {"no_signal", small_blocks, ",at=64M,signal=none,timeline=off"},
        {"other_memory", other_memory, ",at=64M"},
        {"threads", threads, ",at=64M"},
        {"errno_stays", errno_stays, ",at=64M"},
        {"without_it", without_it, ",at=64M,at=off"},
        {"child_takes_its_own", child_takes_its_own, ",at=64M"},
        {"child_takes_none", child_takes_none, ",at=64M,children=no"},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
