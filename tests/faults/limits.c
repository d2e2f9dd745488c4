/* limits.c: limits that a process meets while it runs: the number of mappings, address space, data,
 * descriptors, the size of files, a full or read-only disk, no /proc, a group's memory. The program
 * goes on and keeps its contents, gets NULL and ENOMEM where there is nothing, and has memory again
 * once the limit is gone; a snapshot is whole, or not there and the status says why.
 */
#include "tests/snapshot/preloaded.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { KIB = 1024, MIB = 1024 * KIB, PAGE = 4096, BLOCKS = 4000, KEPT_ERRNO = 4242 };

static struct {
    unsigned char *block;
    size_t size;
    unsigned char fill;
} blocks[BLOCKS];
static unsigned got, refused;

/* Both ends and a byte of each page. */
static void check(unsigned i)
{
    for (size_t at = 0; at < blocks[i].size; at += at + PAGE < blocks[i].size ? PAGE : 1)
        if (at < 64 || at % PAGE == 0 || at + 64 > blocks[i].size)
            CHECK(blocks[i].block[at] == blocks[i].fill);
}

static bool take(unsigned i, size_t size)
{
    errno = 0;
    blocks[i].block = malloc(size);
    if (blocks[i].block == NULL) {
        CHECK(errno == ENOMEM);
        refused++;
        return false;
    }
    got++;
    blocks[i].size = size;
    blocks[i].fill = (unsigned char)(i * 31 + size);
    memset(blocks[i].block, blocks[i].fill, size);
    return true;
}

static void release(unsigned i)
{
    if (blocks[i].block == NULL)
        return;
    check(i);
    errno = KEPT_ERRNO;
    free(blocks[i].block);
    CHECK(errno == KEPT_ERRNO);
    blocks[i].block = NULL;
}

static void release_all(void)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        release(i);
}

/* Blocks of all sizes come and go, as far as they can be had. */
static void churn(unsigned rounds)
{
    static const size_t sizes[] = {24,   40,   100,   300,   700,    1500,   5000,    9000,   12,
                                   2000, 5000, 20000, 40000, 100000, 300000, 3 * MIB, 9 * MIB};
    static unsigned seed = 1;
    for (unsigned round = 0; round < rounds; round++) {
        seed = seed * 1664525 + 1013904223;
        unsigned i = seed >> 8 & 255;
        size_t size = sizes[(seed >> 20) % (sizeof sizes / sizeof sizes[0])];
        if (blocks[i].block == NULL) {
            take(i, size);
            continue;
        }
        check(i);
        void *moved = seed >> 30 == 0 ? realloc(blocks[i].block, size) : NULL;
        if (moved == NULL) {
            release(i);
        } else {
            blocks[i].block = moved;
            blocks[i].size = size < blocks[i].size ? size : blocks[i].size;
            check(i);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i].block != NULL)
            check(i);
}

/* A snapshot is asked for: it is whole, or not there. */
static bool ask(const char *directory)
{
    const volatile struct tm_status *status = status_here();
    uint32_t written = status->written, failed = status->failed;
    unsigned whole, other;
    raise(SIGUSR2);
    wait_settled(20000);
    CHECK(status->written + status->failed == written + failed + 1);
    if (directory != NULL) {
        count_files(directory, &whole, &other);
        CHECK(other == 0 && whole == status->written);
    }
    return status->written == written + 1;
}

static void expect_refusal(int error, const char *step)
{
    CHECK(!ask(NULL));
    CHECK(status_here()->last_error == error);
    CHECK(strcmp((const char *)status_here()->last_step, step) == 0);
}

static void lower(int resource, size_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit((__rlimit_resource_t)resource, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit((__rlimit_resource_t)resource, &limit) == 0);
}

static void raise_again(int resource)
{
    struct rlimit limit;
    CHECK(getrlimit((__rlimit_resource_t)resource, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit((__rlimit_resource_t)resource, &limit) == 0);
}

/* The first number in a file; 0: there is none. */
static size_t number_in(const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        close(fd);
    return strtoull(text, NULL, 10);
}

/* ---- mappings ---- */

/* Uses up the process's mappings: pages of which every second one is of another kind. */
static char *use_up_mappings(size_t most)
{
    char *area =
        mmap(NULL, 2 * most * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(area != MAP_FAILED);
    size_t i = 0;
    while (i < most && mprotect(area + 2 * i * PAGE, PAGE, PROT_READ) == 0)
        i++;
    CHECK(i < most && errno == ENOMEM);
    return area;
}

/* What is freed in the middle of a mapping cannot be unmapped any more. It is there to be had
 * again, also when the kernel gives nothing else. */
static void mapping_limit(const char *directory)
{
    size_t most = number_in("/proc/sys/vm/max_map_count");
    if (most == 0 || most > 1000000)
        exit(SKIPPED);
    enum { SPANS = 60, MAPPINGS = 6, SMALL = 2000 };
    for (unsigned i = 0; i < SPANS; i++)
        CHECK(take(i, 2 * MIB - 100));
    for (unsigned i = SPANS; i < SPANS + MAPPINGS; i++)
        CHECK(take(i, 10 * MIB));
    for (unsigned i = SPANS + MAPPINGS; i < SPANS + MAPPINGS + SMALL; i++)
        CHECK(take(i, 1 + i % 3000));
    char *area = use_up_mappings(most);
    for (int round = 0; round < 6; round++) {
        for (unsigned i = SPANS; i < SPANS + MAPPINGS; i++)
            check(i);
        for (unsigned i = 8; i < SPANS - 8; i++)
            release(i);
        malloc_trim(0);
        for (unsigned i = 8; i < SPANS - 8; i++)
            CHECK(take(i, 2 * MIB - 100));
    }
    for (unsigned i = SPANS + 1; i < SPANS + MAPPINGS; i += 2)
        release(i);
    for (unsigned i = SPANS + MAPPINGS; i < SPANS + MAPPINGS + SMALL; i += 2)
        release(i);
    churn(1500);
    ask(directory);
    CHECK(munmap(area, 2 * most * PAGE) == 0);
    CHECK(take(BLOCKS - 1, 100 * MIB));
    CHECK(ask(directory));
    release_all();
}

/* ---- address space ---- */

static void lowered(const char *directory, int resource)
{
    churn(500);
    size_t pages = number_in("/proc/self/statm");
    CHECK(pages != 0);
    /* Room for much, for little, for nothing, and less than there is in use. */
    static const long rooms[] = {64L * MIB, 20L * MIB, 4 * MIB, 300 * KIB, 0, -20L * MIB};
    for (unsigned i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        long limit = (long)pages * PAGE + rooms[i];
        lower(resource, limit > MIB ? (size_t)limit : MIB);
        churn(700);
        errno = 0;
        void *too_large = malloc(500UL * MIB);
        CHECK(too_large == NULL && errno == ENOMEM);
        ask(directory);
    }
    CHECK(refused > 0);
    raise_again(resource);
    release_all();
    CHECK(take(0, 100 * MIB));
    CHECK(ask(directory));
    release_all();
}

static void address_space_lowered(const char *directory)
{
    lowered(directory, RLIMIT_AS);
}

/* What is private and may be written to: less than the address space. */
static void data_lowered(const char *directory)
{
    lowered(directory, RLIMIT_DATA);
}

/* ---- descriptors, files, disks ---- */

static int record(int sites)
{
    int (*call)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "tidemark_record");
    CHECK(call != NULL);
    return call(sites);
}

/* None may be opened: the snapshot fails, recording and everything else goes on. */
static void no_descriptors(const char *directory)
{
    lower(RLIMIT_NOFILE, 0);
    expect_refusal(EMFILE, "open");
    CHECK(record(2) == 0);
    churn(700);
    malloc_trim(0);
    expect_refusal(EMFILE, "open");
    raise_again(RLIMIT_NOFILE);
    CHECK(ask(NULL));
    (void)directory;
}

static void file_sizes(const char *directory)
{
    churn(700);
    for (size_t bytes = 0; bytes < 40000; bytes += 3000) {
        lower(RLIMIT_FSIZE, bytes);
        if (!ask(directory))
            CHECK(status_here()->last_error == EFBIG);
    }
    CHECK(status_here()->failed > 0);
    raise_again(RLIMIT_FSIZE);
    CHECK(ask(directory));
    release_all();
}

static void mount_at(const char *directory, const char *type, const char *options)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", directory, type, 0, options) != 0)
        exit(SKIPPED);
}

static void disk_full(const char *directory)
{
    char size[32];
    mount_at(directory, "tmpfs", "size=512k");
    churn(500);
    /* Less and less room. */
    unsigned files = 0;
    for (size_t left = 96; left > 4; left -= 4) {
        snprintf(size, sizeof size, "size=%zuk", left * 4 + 4);
        /* It cannot be smaller than what is in it. */
        CHECK(mount("none", directory, "tmpfs", MS_REMOUNT, size) == 0 || errno == EINVAL);
        if (ask(directory))
            files++;
        else
            CHECK(status_here()->last_error == ENOSPC);
    }
    CHECK(status_here()->failed > 0 && files > 0);
    CHECK(mount("none", directory, "tmpfs", MS_REMOUNT, "size=4m") == 0);
    CHECK(ask(directory));
    release_all();
    CHECK(umount2(directory, MNT_DETACH) == 0);
}

static void read_only(const char *directory)
{
    mount_at(directory, "tmpfs", "size=512k");
    CHECK(mount("none", directory, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
    expect_refusal(EROFS, "open");
    CHECK(mount("none", directory, "tmpfs", MS_REMOUNT, NULL) == 0);
    CHECK(ask(directory));
    CHECK(umount2(directory, MNT_DETACH) == 0);
}

static void directory_is_a_file(const char *directory)
{
    CHECK(rmdir(directory) == 0);
    int fd = open(directory, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    expect_refusal(ENOTDIR, "name");
    CHECK(unlink(directory) == 0);
}

/* ---- /proc ---- */

/* From the start of the program: an empty directory is mounted over it first. */
static void without_proc(const char *directory)
{
    char file[4200];
    if (access("/proc/self", F_OK) == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            exit(SKIPPED);
        int self = open("/proc/self/exe", O_RDONLY);
        if (mount("none", "/proc", "tmpfs", 0, NULL) != 0 || self < 0)
            exit(SKIPPED);
        char *const arguments[] = {"limits", "--under", (char *)(uintptr_t)directory,
                                   "without_proc", NULL};
        fexecve(self, arguments, environ);
        exit(1);
    }
    CHECK(record(2) == 0);
    sleep_ms(20);
    churn(1000);
    CHECK(ask(directory));
    snprintf(file, sizeof file, "%s", (const char *)status_here()->last_path);
    CHECK(is_whole(file));
    release_all();
}

/* ---- a group's memory ---- */

static const struct version {
    const char *root, *limit, *usage;
} versions[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current"},
    {"/sys/fs/cgroup/unified", "memory.max", "memory.current"},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"},
};
static char group[256];

static bool write_number(const char *file, size_t number)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", group, file);
    /* Not made: the directory may be an ordinary one. */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && dprintf(fd, "%zu", number) > 0;
    return fd >= 0 && close(fd) == 0 && done;
}

/* Whether a process of the group has offered itself to the kernel that is out of memory. */
static bool copy_has_volunteered(void)
{
    char path[512];
    int pid;
    bool found = false;
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    FILE *processes = fopen(path, "r");
    while (processes != NULL && !found && fscanf(processes, "%d", &pid) == 1) {
        snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
        found = pid != getpid() && number_in(path) == 1000;
    }
    if (processes != NULL)
        fclose(processes);
    return found;
}

/* The copy shares every page until the program writes to it; this one writes to all of them, and
 * its group has room for a few more: then it is the copy that ends, not the program. */
static void write_to_all(const struct version *version, unsigned count)
{
    char usage[512];
    snprintf(usage, sizeof usage, "%s/%s", group, version->usage);
    const volatile struct tm_status *status = status_here();
    unsigned volunteers = 0;
    for (int round = 0; round < 6; round++) {
        CHECK(write_number(version->limit, number_in(usage) + 8 * MIB));
        raise(SIGUSR2);
        while (!settled(status) && !copy_has_volunteered())
            sched_yield();
        volunteers += !settled(status);
        do {
            for (unsigned i = 0; i < count; i++)
                memset(blocks[i].block, blocks[i].fill, blocks[i].size);
        } while (!settled(status));
        for (unsigned i = 0; i < count; i++)
            check(i);
    }
    CHECK(volunteers > 0);
    fprintf(stderr, "beside the limit of its group: %u snapshots written, %u not\n",
            status->written, status->failed);
}

static void work_in_group(const struct version *version, const char *directory)
{
    enum { LARGE = 60, SMALL = 300000 };
    /* A copy that looks at the site of each of many blocks lives for a while. */
    void **chain = NULL;
    for (unsigned i = 0; i < SMALL; i++) {
        void **next = malloc(48);
        CHECK(next != NULL);
        *next = chain;
        chain = next;
    }
    for (unsigned i = 0; i < LARGE; i++)
        CHECK(take(i, MIB - 100));
    write_to_all(version, LARGE);
    /* What is freed leaves the group: more than its limit passes through. */
    CHECK(write_number(version->limit, 120 * MIB));
    for (void **next; chain != NULL; chain = next) {
        next = *chain;
        free(chain);
    }
    release_all();
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < LARGE; i++)
            CHECK(take(i, MIB - 100));
        release_all();
    }
    CHECK(ask(directory));
}

static void group_limit(const char *directory)
{
    for (const struct version *version = versions;
         version < versions + sizeof versions / sizeof versions[0]; version++) {
        int status;
        snprintf(group, sizeof group, "%s/tidemark-test-%d", version->root, (int)getpid());
        if (mkdir(group, 0755) != 0)
            continue;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            if (!write_number(version->limit, 200 * MIB) ||
                !write_number("cgroup.procs", (size_t)getpid()))
                _exit(SKIPPED);
            work_in_group(version, directory);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        /* The group is empty a moment after its last process ended. */
        for (int tries = 0; tries < 100 && rmdir(group) != 0; tries++)
            sleep_ms(20);
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
            continue;
        CHECK(status == 0);
        return;
    }
    exit(SKIPPED);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"mapping_limit", mapping_limit, ""},
        {"address_space_lowered", address_space_lowered, ""},
        {"address_space_lowered", address_space_lowered, ",sites=all"},
        {"data_lowered", data_lowered, ""},
        {"no_descriptors", no_descriptors, ""},
        {"file_sizes", file_sizes, ",sites=sample"},
        {"disk_full", disk_full, ",sites=all"},
        {"read_only", read_only, ""},
        {"directory_is_a_file", directory_is_a_file, ""},
        {"without_proc", without_proc, ""},
        {"without_proc", without_proc, ",sites=all"},
        {"group_limit", group_limit, ",sites=all"},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
