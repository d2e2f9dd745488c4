/* forks.c: fork from a process whose other threads are inside malloc and free; vfork, posix_spawn,
 * exec. Malloc and free must work in the child, at once and without end, on the blocks of every
 * thread that is no more. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern char **environ;

enum { STORM = 8, SHARED = 512 };
static _Atomic bool stop;
static unsigned char *_Atomic shared[STORM][SHARED];

/* Allocates and frees at random, its own blocks and the others'. */
static void *storm(void *argument)
{
    size_t self = (size_t)argument;
    uint64_t random = 99 + self;
    while (!stop) {
        size_t size = 16 + next_random(&random) % (next_random(&random) % 64 == 0 ? 300000 : 700);
        unsigned char *ptr = opaque(malloc(size));
        CHECK(ptr != NULL);
        ptr[0] = (unsigned char)self;
        ptr[size - 1] = 1;
        size_t where = next_random(&random) % 3 == 0 ? next_random(&random) % STORM : self;
        free(atomic_exchange(&shared[where][next_random(&random) % SHARED], ptr));
    }
    return NULL;
}

static void start_storm(pthread_t *threads)
{
    for (size_t i = 0; i < STORM; i++)
        CHECK(pthread_create(&threads[i], NULL, storm, (void *)i) == 0);
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
}

static void end_storm(pthread_t *threads)
{
    stop = true;
    for (size_t i = 0; i < STORM; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Ends as failed when the child does not end well within some seconds. */
static void expect_success(pid_t child, const char *what)
{
    double deadline = seconds_now() + 20;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (seconds_now() > deadline) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            fail("%s: the child hangs", what);
        }
        struct timespec moment = {0, 500000};
        nanosleep(&moment, NULL);
    }
    if (WIFSIGNALED(status))
        fail("%s: the child was ended by signal %d", what, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        fail("%s: the child's exit status is %d", what, WEXITSTATUS(status));
}

static void use_heap(void)
{
    for (size_t i = 0; i < STORM; i++)
        for (size_t j = 0; j < SHARED; j++) {
            unsigned char *ptr = shared[i][j];
            if (j % 3 == 0 && ptr != NULL)
                shared[i][j] = opaque(realloc(ptr, 900));
        }
    static unsigned char *blocks[3000];
    for (unsigned i = 0; i < 3000; i++) {
        blocks[i] = opaque(i % 2 == 0 ? malloc(10 + i) : calloc(1, 10 + i));
        CHECK(blocks[i] != NULL);
        fill(blocks[i], 10 + i, i);
    }
    for (size_t i = 0; i < STORM; i++)
        for (size_t j = 0; j < SHARED; j++)
            free(shared[i][j]);
    for (unsigned i = 0; i < 3000; i++) {
        CHECK(intact(blocks[i], 10 + i, i) == 10 + i);
        free(blocks[i]);
    }
    free(opaque(malloc(20 * MIB)));
}

static void child_of_a_threaded_program(void)
{
    pthread_t threads[STORM];
    start_storm(threads);
    for (unsigned i = 0; i < 40; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            use_heap();
            _exit(0);
        }
        expect_success(child, "fork in a storm");
    }
    end_storm(threads);
}

static void *forker(void *argument)
{
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            use_heap();
            _exit(0);
        }
        expect_success(child, "fork from two threads at once");
    }
    return NULL;
}

static void several_threads_fork(void)
{
    pthread_t threads[STORM], second;
    start_storm(threads);
    CHECK(pthread_create(&second, NULL, forker, NULL) == 0);
    forker(NULL);
    CHECK(pthread_join(second, NULL) == 0);
    end_storm(threads);
}

static void *in_child(void *argument)
{
    for (unsigned i = 0; i < 2000; i++)
        free(opaque(malloc(i)));
    return opaque(malloc(500));
}

static void child_starts_threads_and_forks(void)
{
    pthread_t threads[STORM];
    start_storm(threads);
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t more[4];
            for (size_t j = 0; j < 4; j++)
                CHECK(pthread_create(&more[j], NULL, in_child, NULL) == 0);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                use_heap();
                _exit(0);
            }
            for (size_t j = 0; j < 4; j++) {
                void *left;
                CHECK(pthread_join(more[j], &left) == 0);
                free(left);
            }
            expect_success(grandchild, "fork in a child");
            use_heap();
            exit(0);
        }
        expect_success(child, "child with threads");
    }
    end_storm(threads);
}

static unsigned char *before_fork;

static void allocate_in_handler(void)
{
    /* pthread_atfork handlers allocate in many programs: both before and after the allocator's own.
     */
    free(opaque(malloc(100)));
    void *large = opaque(malloc(300000));
    CHECK(large != NULL);
    free(large);
}

static void atfork_handlers_allocate(void)
{
    CHECK(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    before_fork = opaque(malloc(1000));
    fill(before_fork, 1000, 1);
    for (unsigned i = 0; i < 50; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(intact(before_fork, 1000, 1) == 1000);
            free(before_fork);
            _exit(0);
        }
        expect_success(child, "fork with handlers that allocate");
    }
}

static void parent_goes_on(void)
{
    /* The parent's heap is as it was, whatever the child did to its own. */
    static unsigned char *blocks[2000];
    for (unsigned i = 0; i < 2000; i++)
        fill(blocks[i] = opaque(malloc(50 + i)), 50 + i, i);
    for (unsigned round = 0; round < 10; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            for (unsigned i = 0; i < 2000; i++)
                free(blocks[i]);
            _exit(0);
        }
        for (unsigned i = round; i < 2000; i += 10) {
            CHECK(intact(blocks[i], 50 + i, i) == 50 + i);
            blocks[i] = opaque(realloc(blocks[i], 2000 + i));
            CHECK(intact(blocks[i], 50 + i, i) == 50 + i);
        }
        expect_success(child, "child that frees its parent's blocks");
    }
    for (unsigned i = 0; i < 2000; i++) {
        CHECK(intact(blocks[i], 50 + i, i) == 50 + i);
        free(blocks[i]);
    }
}

static void vfork_and_exec(void)
{
    pthread_t threads[STORM];
    start_storm(threads);
    for (unsigned i = 0; i < 100; i++) {
        pid_t child = vfork();
        CHECK(child >= 0);
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(3);
        }
        expect_success(child, "vfork and exec");
    }
    end_storm(threads);
    free(opaque(malloc(100)));
}

static void spawn_in_a_storm(void)
{
    pthread_t threads[STORM];
    start_storm(threads);
    for (unsigned i = 0; i < 100; i++) {
        char *arguments[] = {(char *)"true", NULL};
        pid_t child;
        CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
        expect_success(child, "posix_spawn");
        if (i % 20 == 0)
            CHECK(system("true") == 0);
    }
    end_storm(threads);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"child_of_a_threaded_program", child_of_a_threaded_program},
        {"several_threads_fork", several_threads_fork},
        {"child_starts_threads_and_forks", child_starts_threads_and_forks},
        {"atfork_handlers_allocate", atfork_handlers_allocate},
        {"parent_goes_on", parent_goes_on},
        {"vfork_and_exec", vfork_and_exec},
        {"spawn_in_a_storm", spawn_in_a_storm},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
