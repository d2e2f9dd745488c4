/* refusals.c: what the system may refuse: a directory, room, descriptors, /proc, a copy, a thread.
 * The program goes on in every case, a snapshot is whole or not there, and the status tells which
 * and why.
 */
#include "tests/snapshot/preloaded.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void ask(void)
{
    raise(SIGUSR2);
    wait_settled(20000);
}

static void expect_failure(const char *directory, int error, const char *step)
{
    const volatile struct tm_status *status = status_here();
    unsigned whole, other;
    ask();
    CHECK(status->written == 0 && status->failed == 1);
    CHECK(status->last_error == error);
    CHECK(strcmp((const char *)status->last_step, step) == 0);
    if (directory != NULL) {
        count_files(directory, &whole, &other);
        CHECK(whole == 0 && other == 0); /* no half file, no temporary one */
    }
}

static uint32_t flags_of_first(void)
{
    struct tm_snapshot_header header;
    const volatile struct tm_status *status = status_here();
    FILE *file = fopen((const char *)status->last_path, "rb");
    CHECK(file != NULL);
    CHECK(fread(&header, sizeof header, 1, file) == 1);
    fclose(file);
    return header.flags;
}

static void expect_whole(const char *directory, uint32_t flags)
{
    unsigned whole, other;
    ask();
    CHECK(status_here()->written == 1 && status_here()->failed == 0);
    count_files(directory, &whole, &other);
    CHECK(whole == 1 && other == 0);
    CHECK(flags_of_first() == flags);
}

static void no_directory(const char *directory)
{
    CHECK(rmdir(directory) == 0);
    expect_failure(NULL, ENOENT, "open");
    /* And once it is there, all is well again, with the number that was not used. */
    CHECK(mkdir(directory, 0700) == 0);
    ask();
    CHECK(status_here()->written == 1);
    CHECK(strstr((const char *)status_here()->last_path, ".1.heap") != NULL);
}

static void no_permission(const char *directory)
{
    CHECK(chmod(directory, 0555) == 0);
    if (geteuid() == 0 && seteuid(65534) != 0)
        exit(SKIPPED);
    expect_failure(NULL, EACCES, "open");
}

static void file_too_large(const char *directory)
{
    struct rlimit limit = {1000, 1000};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    expect_failure(directory, EFBIG, "write");
}

static void disk_full(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", directory, "tmpfs", 0, "size=4k") != 0)
        exit(SKIPPED);
    expect_failure(directory, ENOSPC, "write");
}

static void no_proc(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        umount2("/proc", MNT_DETACH) != 0)
        exit(SKIPPED);
    expect_whole(directory, 0);
}

static void all_descriptors_closed(const char *directory)
{
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    expect_whole(directory, 0);
}

static void descriptor_table_full(const char *directory)
{
    struct rlimit limit = {64, 64};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (dup(0) >= 0)
        ;
    CHECK(errno == EMFILE);
    raise(SIGUSR2); /* the copy has a table of its own and empties it */
    wait_settled(20000);
    CHECK(status_here()->written == 1);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    CHECK(flags_of_first() == 0);
    (void)directory;
}

/* A descriptor 2 that has become a data file since the start gets no message. */
static void stderr_is_data(const char *directory)
{
    char path[256], text[64];
    snprintf(path, sizeof path, "%s/data", directory);
    close(2);
    CHECK(open(path, O_RDWR | O_CREAT, 0600) == 2);
    CHECK(unlink(path) == 0);
    struct rlimit limit = {1000, 1000};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    expect_failure(directory, EFBIG, "write");
    CHECK(pread(2, text, sizeof text, 0) == 0);
}

/* Refuses clone where (flags & mask) == value. */
static void refuse_clone(uint32_t mask, uint32_t value)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        exit(SKIPPED);
}

static void no_copy(const char *directory)
{
    refuse_clone(CLONE_VM, 0);
    expect_whole(directory, TM_SNAPSHOT_IN_PROCESS);
}

static void no_thread(const char *directory)
{
    refuse_clone(0, 0);
    expect_whole(directory, TM_SNAPSHOT_IN_PROCESS | TM_SNAPSHOT_NO_HEAP);
    CHECK(malloc(100) != NULL);
    raise(SIGUSR2);
    wait_settled(5000);
    CHECK(status_here()->written == 2);
}

/* The same from a signal stack of the least size: the writer runs on a stack of its own. */
static void no_thread_on_small_stack(const char *directory)
{
    /* What the kernel's own frame needs, and 512 bytes; below it nothing is mapped. */
    size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 512;
    char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(memory, 32768, PROT_NONE) == 0 && size < 32768);
    stack_t stack = {.ss_sp = memory + 32768, .ss_size = size};
    CHECK(sigaltstack(&stack, NULL) == 0);
    refuse_clone(0, 0);
    expect_whole(directory, TM_SNAPSHOT_IN_PROCESS | TM_SNAPSHOT_NO_HEAP);
}

static void name_taken(const char *directory)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%d.1.heap", directory, (int)getpid());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("mine", file) >= 0 && fclose(file) == 0);
    ask();
    CHECK(status_here()->written == 1);
    CHECK(strstr((const char *)status_here()->last_path, ".2.heap") != NULL);
    CHECK(!is_whole(path)); /* not written over */
    snprintf(path, sizeof path, "%s/%d.2.heap", directory, (int)getpid());
    CHECK(is_whole(path));
}

static void child_of_raw_fork(const char *directory)
{
    unsigned whole, other;
    int wait_status;
    ask();
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    CHECK(pid >= 0);
    if (pid == 0) {
        raise(SIGUSR2);
        wait_settled(5000);
        _exit(status_here()->written == 2 ? 0 : 1);
    }
    CHECK(waitpid(pid, &wait_status, 0) == pid && wait_status == 0);
    count_files(directory, &whole, &other);
    CHECK(whole == 2 && other == 0);
}

static void child_of_fork_starts_anew(const char *directory)
{
    int wait_status;
    (void)directory;
    ask();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const volatile struct tm_status *status = status_here();
        CHECK(status->requested == 0 && status->written == 0 && status->handler == 1);
        raise(SIGUSR2);
        wait_settled(5000);
        CHECK(status->written == 1);
        CHECK(strstr((const char *)status->last_path, ".1.heap") != NULL);
        _exit(0);
    }
    CHECK(waitpid(pid, &wait_status, 0) == pid && wait_status == 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"no_directory", no_directory, ""},
        {"no_permission", no_permission, ""},
        {"file_too_large", file_too_large, ""},
        {"disk_full", disk_full, ""},
        {"no_proc", no_proc, ""},
        {"all_descriptors_closed", all_descriptors_closed, ""},
        {"descriptor_table_full", descriptor_table_full, ""},
        {"stderr_is_data", stderr_is_data, ""},
        {"no_copy", no_copy, ""},
        {"no_thread", no_thread, ""},
        {"no_thread_on_small_stack", no_thread_on_small_stack, ""},
        {"name_taken", name_taken, ""},
        {"child_of_raw_fork", child_of_raw_fork, ""},
        {"child_of_fork_starts_anew", child_of_fork_starts_anew, ""},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
