/* signals.c: handlers that interrupt malloc and free at any instruction and do not allocate: with a
 * timer, on another stack, and ones that leave by siglongjmp only when no allocation was under way.
 */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

static _Atomic unsigned long interruptions;

static void count(int signal_number)
{
    int saved = errno;
    atomic_fetch_add(&interruptions, 1);
    /* What a handler may do: look at the clock, write, touch its stack. */
    volatile char stack[2000];
    memset((char *)stack, 1, sizeof stack);
    errno = saved;
}

static void every_200_microseconds(int flags)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART | flags};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval timer = {{0, 200}, {0, 200}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void work(double seconds, uint64_t random)
{
    enum { BLOCKS = 1000 };
    unsigned char *blocks[BLOCKS] = {NULL};
    size_t sizes[BLOCKS] = {0};
    double end = seconds_now() + seconds;
    while (seconds_now() < end) {
        for (unsigned i = 0; i < 1000; i++) {
            size_t at = next_random(&random) % BLOCKS;
            if (blocks[at] != NULL)
                CHECK(blocks[at][0] == 7 && blocks[at][sizes[at] - 1] == 7);
            free(blocks[at]);
            sizes[at] = 1 + next_random(&random) % (i % 100 == 0 ? 400000 : 600);
            blocks[at] = opaque(malloc(sizes[at]));
            CHECK(blocks[at] != NULL);
            blocks[at][0] = blocks[at][sizes[at] - 1] = 7;
        }
    }
    for (size_t at = 0; at < BLOCKS; at++)
        free(blocks[at]);
}

static void timer(void)
{
    every_200_microseconds(0);
    work(0.4, 11);
    CHECK(interruptions > 10);
}

static void timer_on_another_stack(void)
{
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    CHECK(sigaltstack(&stack, NULL) == 0);
    every_200_microseconds(SA_ONSTACK);
    work(0.4, 12);
    CHECK(interruptions > 10);
}

static void *thread(void *argument)
{
    work(0.5, (uint64_t)(uintptr_t)argument);
    return NULL;
}

static void threads_under_signals(void)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, (void *)(i + 20)) == 0);
    double end = seconds_now() + 0.4;
    while (seconds_now() < end)
        for (size_t i = 0; i < 4; i++)
            pthread_kill(threads[i], SIGUSR1);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(interruptions > 10);
}

/* The allocator must not use up, block or change the program's signals. */
static void mask_and_handlers_are_untouched(void)
{
    sigset_t before, after;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
    work(0.05, 13);
    for (size_t size = 1; size < 100 * MIB; size *= 3)
        free(opaque(malloc(size)));
    CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
    for (int number = 1; number <= SIGRTMAX; number++) {
        CHECK(sigismember(&before, number) == sigismember(&after, number));
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0 || number == SIGUSR2)
            continue; /* SIGUSR2 is the one that asks for a snapshot unless TIDEMARK names another
                       */
        if (action.sa_handler != SIG_DFL)
            fail("signal %d has a handler that this program did not set", number);
    }
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"timer", timer},
        {"timer_on_another_stack", timer_on_another_stack},
        {"threads_under_signals", threads_under_signals},
        {"mask_and_handlers_are_untouched", mask_and_handlers_are_untouched},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
