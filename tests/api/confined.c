/* confined.c: after start-up the kernel refuses most of what an allocator might ask: seccomp that
 * refuses madvise, or allows next to nothing; every file descriptor closed; no /proc. The filters
 * are raw BPF. */
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Ends without exit(), whose calls a filter may not allow. */
static void churn(unsigned salt)
{
    enum { BLOCKS = 4000 };
    static __thread unsigned char *blocks[BLOCKS];
    static __thread size_t sizes[BLOCKS];
    uint64_t random = 5 + salt;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            sizes[i] = 1 + next_random(&random) % (i % 40 == 0 ? 500000 : 2000);
            blocks[i] = opaque(i % 3 == 0 ? calloc(1, sizes[i]) : malloc(sizes[i]));
            if (blocks[i] == NULL)
                fail("no memory for %zu bytes, errno %d", sizes[i], errno);
            if (i % 3 == 0)
                CHECK(all_zero(blocks[i], sizes[i]));
            fill(blocks[i], sizes[i] < 3000 ? sizes[i] : 3000, i);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            size_t looked = sizes[i] < 3000 ? sizes[i] : 3000;
            CHECK(intact(blocks[i], looked, i) == looked);
            errno = 4242;
            free(blocks[i]);
            CHECK(errno == 4242);
        }
        unsigned char *ptr = opaque(malloc(10 * MIB));
        CHECK(ptr != NULL);
        fill(ptr, 10000, 1);
        ptr = opaque(realloc(ptr, 40 * MIB));
        CHECK(ptr != NULL && intact(ptr, 10000, 1) == 10000);
        errno = 4242;
        free(ptr);
        CHECK(errno == 4242);
    }
}

static void install(struct sock_filter *filter, unsigned short length)
{
    struct sock_fprog program = {length, filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        skip("seccomp filters cannot be set here (errno %d)", errno);
}

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ON_CALL(number, action)                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, (action))
#define OTHERWISE(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define REFUSE            (SECCOMP_RET_ERRNO | EPERM)

static void madvise_refused(void)
{
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_madvise, REFUSE),
        ON_CALL(SYS_process_madvise, REFUSE),
        OTHERWISE(SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof filter[0]);
    churn(1);
}

static void munmap_refused(void)
{
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_munmap, REFUSE),
        OTHERWISE(SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof filter[0]);
    churn(2);
}

static void mremap_refused(void)
{
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_mremap, REFUSE),
        OTHERWISE(SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof filter[0]);
    churn(3);
}

static void all_advice_and_remapping_refused(void)
{
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_madvise, REFUSE),
        ON_CALL(SYS_process_madvise, REFUSE),
        ON_CALL(SYS_mremap, REFUSE),
        ON_CALL(SYS_munmap, REFUSE),
        ON_CALL(SYS_mprotect, REFUSE),
        ON_CALL(SYS_prctl, REFUSE),
        OTHERWISE(SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof filter[0]);
    churn(4);
}

/* Any other call ends the process. */
static void only_memory_calls(void)
{
    free(opaque(malloc(1)));
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_mmap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_munmap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_madvise, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_mremap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_futex, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_write, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_exit, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_exit_group, SECCOMP_RET_ALLOW),
        OTHERWISE(SECCOMP_RET_KILL_PROCESS),
    };
    install(filter, sizeof filter / sizeof filter[0]);
    churn(5);
    syscall(SYS_exit_group, 0);
}

static _Atomic bool sealed;
static _Atomic unsigned done;

static void *wait_and_churn(void *argument)
{
    free(opaque(malloc(1)));
    atomic_fetch_add(&done, 1);
    while (!sealed)
        ;
    churn((unsigned)(uintptr_t)argument);
    atomic_fetch_add(&done, 1);
    for (;;)
        ;
    return NULL;
}

/* The same on two threads at once: whatever the allocator's locks do must be among the calls that
 * are left. */
static void only_memory_calls_in_threads(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_and_churn, (void *)7) == 0);
    while (done == 0)
        ;
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ON_CALL(SYS_mmap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_munmap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_madvise, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_mremap, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_futex, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_write, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_exit, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_exit_group, SECCOMP_RET_ALLOW),
        ON_CALL(SYS_sched_yield, SECCOMP_RET_ALLOW),
        OTHERWISE(SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        skip("seccomp filters cannot be set here (errno %d)", errno);
    sealed = true;
    churn(6);
    while (done < 2)
        ;
    syscall(SYS_exit_group, 0);
}

static void every_descriptor_closed(void)
{

    for (int file = 0; file < 1024; file++)
        close(file);
    churn(8);
    /* The allocator must not have opened one behind the program's back. */
    int first = open("/dev/null", O_RDWR);
    if (first >= 0 && first != 0)
        _exit(1);
    churn(9);
}

static void descriptors_stay_untouched(void)
{
    int lowest = open("/dev/null", O_RDONLY);
    CHECK(lowest >= 0);
    close(lowest);
    churn(10);
    for (size_t size = 1; size < 300 * MIB; size *= 2)
        free(opaque(malloc(size)));
    int again = open("/dev/null", O_RDONLY);
    CHECK(again == lowest);
    close(again);
}

static void *churn_in_thread(void *argument)
{
    churn(13);
    return NULL;
}

/* In a root directory that is empty: nothing of /proc, /sys or /etc is there any more. */
static void without_proc(void)
{
    char place[] = "/tmp/tidemark-api.XXXXXX";
    if (geteuid() != 0)
        skip("chroot needs root");
    CHECK(mkdtemp(place) != NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(chroot(place) == 0 && chdir("/") == 0);
        CHECK(access("/proc", F_OK) != 0);
        churn(11);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, churn_in_thread, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(rmdir(place) == 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* From the very start of a program: another mount namespace in which /proc is covered by an empty
 * directory. */
static void started_without_proc(void)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = '\0';
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/proc", "tmpfs", 0, NULL) != 0)
            _exit(77);
        CHECK(access("/proc/self", F_OK) != 0);
        execl(self, self, "churn_only", (char *)NULL);
        _exit(5);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip("a mount namespace of its own needs root");
    CHECK(WEXITSTATUS(status) == 0);
}

static void churn_only(void)
{
    churn(12);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"madvise_refused", madvise_refused},
        {"munmap_refused", munmap_refused},
        {"mremap_refused", mremap_refused},
        {"all_advice_and_remapping_refused", all_advice_and_remapping_refused},
        {"only_memory_calls", only_memory_calls},
        {"only_memory_calls_in_threads", only_memory_calls_in_threads},
        {"every_descriptor_closed", every_descriptor_closed},
        {"descriptors_stay_untouched", descriptors_stay_untouched},
        {"without_proc", without_proc},
        {"started_without_proc", started_without_proc},
        {"churn_only", churn_only},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
