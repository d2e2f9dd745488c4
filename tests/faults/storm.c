/* storm.c: signals in quick succession into a program that allocates, resizes, forks and ends
 * threads: requests of every kind for the library, and signals of the program's own. The contents
 * of all blocks stay, no wait status is another's, and each request for a snapshot is answered or
 * merged. (tests/snapshot/storm.c is about the snapshots alone.)
 */
#include "profiler/format/status.h"
#include "tests/snapshot/preloaded.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { THREADS = 3, SIGNALS = 3000, BLOCKS = 200 };

static unsigned char *all_blocks[THREADS][BLOCKS];
static atomic_bool stop;
static atomic_uint own_signals;

static void on_own(int number)
{
    (void)number;
    atomic_fetch_add(&own_signals, 1);
}

static void *short_lived(void *block)
{
    free(block);
    return malloc(500);
}

static void fork_and_check(unsigned seed)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        void *block = malloc(seed % 70000 + 1);
        memset(block, 1, seed % 70000 + 1);
        free(block);
        _exit((int)(seed % 100));
    }
    while (waitpid(pid, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (int)(seed % 100));
}

static void *work(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument, seed = number + 1;
    unsigned char **blocks = all_blocks[number];
    size_t sizes[BLOCKS];
    while (!atomic_load(&stop)) {
        seed = seed * 1664525 + 1013904223;
        unsigned i = (seed >> 8) % BLOCKS;
        unsigned char fill = (unsigned char)i;
        if (blocks[i] != NULL) {
            CHECK(blocks[i][0] == fill && blocks[i][sizes[i] - 1] == fill);
            errno = 4242;
            free(blocks[i]);
            CHECK(errno == 4242);
            blocks[i] = NULL;
        } else {
            sizes[i] = seed % 7 == 0 ? seed >> 12 : (seed >> 12) % 3000 + 1;
            blocks[i] = malloc(sizes[i]);
            CHECK(blocks[i] != NULL);
            blocks[i][0] = blocks[i][sizes[i] - 1] = fill;
        }
        if (seed >> 20 == 0)
            fork_and_check(seed);
        if (seed >> 21 == 1) {
            pthread_t thread;
            void *block;
            CHECK(pthread_create(&thread, NULL, short_lived, malloc(3000)) == 0);
            CHECK(pthread_join(thread, &block) == 0);
            free(block);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return NULL;
}

/* Sends from a process of its own, as others would. A full queue takes no more for a moment. */
static void send_all(pid_t to)
{
    static const int values[] = {TM_REQUEST_SNAPSHOT,  TM_REQUEST_TRIM,
                                 TM_REQUEST_TRIM,      TM_REQUEST_SITES_SAMPLE,
                                 TM_REQUEST_SITES_ALL, TM_REQUEST_SITES_OFF};
    for (unsigned i = 0; i < SIGNALS; i++) {
        union sigval value = {.sival_int = values[i * 7 % 6]};
        while (sigqueue(to, i % 4 == 3 ? SIGUSR1 : SIGUSR2, value) != 0)
            sleep_ms(1);
        if (i % 8 == 0)
            sleep_ms(1);
    }
}

static void storm(const char *directory)
{
    const volatile struct tm_status *status = status_here();
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = on_own};
    unsigned whole, other;
    int wait_status;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pid_t program = getpid(), sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        send_all(program);
        _exit(0);
    }
    while (waitpid(sender, &wait_status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(wait_status == 0);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_settled(60000);
    fprintf(stderr, "%u signals of its own; snapshots: %u asked for, %u merged, %u written\n",
            own_signals, status->requested, status->merged, status->written);
    CHECK(own_signals > 0 && status->trims > 0 && status->requested > 0);
    CHECK(status->failed == 0);
    count_files(directory, &whole, &other);
    CHECK(whole == status->written && other == 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"storm", storm, ""}};
    return run_cases(argc, argv, cases, 1);
}
