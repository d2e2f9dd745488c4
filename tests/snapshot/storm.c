/* storm.c: a thousand requests in quick succession into a program that allocates, forks and waits
 * for its own children on eight threads. Every request is answered or merged with one that was
 * waiting; the program gets its own wait statuses and no other, hears no SIGCHLD but its own, and
 * no zombie stays.
 */
#include "tests/snapshot/preloaded.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { THREADS = 8, SIGNALS = 1000, WRITTEN_LEAST = 10, CHILDREN_KEPT = 65536 };

static atomic_bool stop;
static atomic_uint forked;
static atomic_int own_child[CHILDREN_KEPT];   /* pids that this program forked */
static atomic_int heard_child[CHILDREN_KEPT]; /* pids that SIGCHLD named */
static atomic_uint heard;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    unsigned at = atomic_fetch_add(&heard, 1);
    if (at < CHILDREN_KEPT)
        heard_child[at] = info->si_pid;
}

static void allocate_and_check(unsigned seed)
{
    enum { BLOCKS = 64 };
    unsigned char *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = 16 + (seed * 7919 + i * 104729) % 3000;
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], (int)(i ^ seed), size);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        CHECK(blocks[i][0] == (unsigned char)(i ^ seed));
        free(blocks[i]);
    }
}

static void *work(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    for (unsigned round = 0; !atomic_load(&stop); round++) {
        allocate_and_check(id + round);
        int code = (int)((id * 31 + round) % 200);
        int status = 0;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            allocate_and_check(id);
            _exit(code);
        }
        unsigned at = atomic_fetch_add(&forked, 1);
        if (at < CHILDREN_KEPT)
            own_child[at] = pid;
        pid_t waited;
        do
            waited = waitpid(pid, &status, 0);
        while (waited < 0 && errno == EINTR);
        CHECK(waited == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
    }
    return NULL;
}

static bool is_own(int pid)
{
    unsigned count = atomic_load(&forked);
    for (unsigned i = 0; i < count && i < CHILDREN_KEPT; i++)
        if (own_child[i] == pid)
            return true;
    return false;
}

static void storm(const char *directory)
{
    const volatile struct tm_status *status = status_here();
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    unsigned whole, other;

    sigaction(SIGCHLD, &action, NULL);
    CHECK(status->handler == 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    /* On a busy machine most of the thousand merge: then it goes on until some have not. */
    for (unsigned i = 0; i < SIGNALS || (status->written < WRITTEN_LEAST && i < 100 * SIGNALS);
         i++) {
        CHECK(kill(getpid(), SIGUSR2) == 0);
        if (i % 16 == 0)
            sleep_ms(1);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_settled(20000);

    printf("requested %u merged %u written %u failed %u; %u children\n", status->requested,
           status->merged, status->written, status->failed, forked);
    CHECK(status->failed == 0);
    CHECK(status->written >= WRITTEN_LEAST);
    CHECK(status->requested >= status->written);
    count_files(directory, &whole, &other);
    CHECK(whole == status->written);
    CHECK(other == 0);
    errno = 0;
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    for (unsigned i = 0; i < heard && i < CHILDREN_KEPT; i++)
        CHECK(is_own(heard_child[i]));
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"storm", storm, ""}};
    return run_cases(argc, argv, cases, 1);
}
