/* confined.c: what a process may do without: descriptors, memory, /proc, system calls. Recording
 * then knows less; the program runs as it does without.
 */
#include "tests/sites_stress/stress.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void some_sizes(void)
{
    for (size_t size = 1; size < 400000; size += size / 3 + 1)
        allocate(size);
}

static void *on_thread(void *nothing)
{
    some_sizes();
    return nothing;
}

/* Here, and on a thread that records for the first time. */
static void work(void)
{
    pthread_t thread;
    some_sizes();
    CHECK(pthread_create(&thread, NULL, on_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void limit(int resource, rlim_t value)
{
    struct rlimit rlimit = {value, value};
    CHECK(setrlimit(resource, &rlimit) == 0);
}

/* ---- limits ---- */

static void no_descriptors(void)
{
    limit(RLIMIT_NOFILE, 0);
    work();
}

static void standard_streams_closed(void)
{
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 100);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    work();
    /* Nothing came in their place. */
    for (int fd = 0; fd < 3; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1);
    dup2(kept, 2);
}

/* The limit is reached, recording or not; nothing else happens. */
static void memory_limited(int resource)
{
    enum { BLOCKS = 40000, BYTES = 5000 };
    static void *blocks[BLOCKS];
    size_t count = 0;
    work();
    limit(resource, 192 * 1024 * 1024);
    while (count < BLOCKS && (blocks[count] = opaque(malloc(BYTES))) != NULL)
        memset(blocks[count++], 1, BYTES);
    CHECK(count > 1000 && count < BLOCKS);
    while (count > 0)
        free(blocks[--count]);
    some_sizes();
}

static void address_space_limited(void)
{
    memory_limited(RLIMIT_AS);
}

static void data_limited(void)
{
    memory_limited(RLIMIT_DATA);
}

/* Started when there is no room for the tables. */
static void started_without_room(void)
{
    work();
    limit(RLIMIT_AS, 64 * 1024 * 1024);
    ask_for_sites(TM_REQUEST_SITES_ALL);
    for (size_t size = 16; size < 3000; size += 16)
        allocate(size);
    ask_for_sites(TM_REQUEST_SITES_OFF);
    for (size_t size = 16; size < 3000; size += 16)
        allocate(size);
}

/* ---- no /proc ---- */

static void in_empty_root(void)
{
    char root[] = "/tmp/tidemark-root-XXXXXX";
    int status = 0;
    CHECK(mkdtemp(root) != NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (chroot(root) != 0 || chdir("/") != 0)
            _exit(SKIPPED);
        work();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    rmdir(root);
    CHECK(WIFEXITED(status));
    exit(WEXITSTATUS(status));
}

/* ---- filters ---- */

/* From here on the system call does what `action` says; all others are allowed. */
static void filter(long number, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        exit(SKIPPED);
}

/* A program that opened what it needs and forbids itself to open more, on pain of death. */
static void opening_kills(void)
{
    some_sizes();
    filter(SYS_openat, SECCOMP_RET_KILL_PROCESS);
    filter(SYS_open, SECCOMP_RET_KILL_PROCESS);
    work();
}

static void ioctl_kills(void)
{
    filter(SYS_ioctl, SECCOMP_RET_KILL_PROCESS);
    work();
}

/* What the recorder asks the kernel for is refused. */
static void calls_refused(void)
{
    static const long calls[] = {SYS_openat,  SYS_process_vm_readv, SYS_rt_sigprocmask,
                                 SYS_madvise, SYS_membarrier,       SYS_gettid,
                                 SYS_mincore};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            /* A thread of its own would be refused the last of these itself. */
            filter(calls[i], SECCOMP_RET_ERRNO | EPERM);
            some_sizes();
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0)
            fprintf(stderr, "without system call %ld: status %x\n", calls[i], (unsigned)status);
    }
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"no_descriptors", no_descriptors},
        {"standard_streams_closed", standard_streams_closed},
        {"address_space_limited", address_space_limited},
        {"data_limited", data_limited},
        {"started_without_room", started_without_room},
        {"in_empty_root", in_empty_root},
        {"opening_kills", opening_kills},
        {"ioctl_kills", ioctl_kills},
        {"calls_refused", calls_refused},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
