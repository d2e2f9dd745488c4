/* signals.c: signals at any instruction of malloc and free: requests for snapshots, requests that
 * switch recording, and handlers of the program's own, on its stack and on another one. (Handlers
 * that interrupt malloc do not allocate: no malloc is safe there. Those that interrupt other code
 * may, and here do.)
 */
#include "tests/sites_stress/stress.h"

#include <stdatomic.h>
#include <sys/time.h>

enum { THREADS = 3, LOOPS_MS = 1200 };

static atomic_bool stop;
static volatile sig_atomic_t handled;

static void *allocate_until_stop(void *number)
{
    unsigned first = (unsigned)(uintptr_t)number * 1000;
    for (unsigned i = first; !atomic_load(&stop); i++)
        allocate_from_stack(i % 13, i % 5003);
    return NULL;
}

static void start(pthread_t threads[THREADS])
{
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_until_stop, (void *)i) == 0);
}

static void finish(const pthread_t threads[THREADS])
{
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* To the process: any thread takes them, in the middle of what it does. 50 a second and more. */
static void snapshots(void)
{
    pthread_t threads[THREADS];
    start(threads);
    for (uint64_t end = now_ms() + LOOPS_MS; now_ms() < end; sleep_ms(15))
        CHECK(kill(getpid(), SIGUSR2) == 0);
    finish(threads);
    wait_settled(30000);
    CHECK(status_here()->failed == 0 && status_here()->written > 3);
    struct tm_snapshot_recording recording = recording_now();
    CHECK(recording.missed == 0);
    CHECK(recording.sites == (uint32_t)status_here()->sites);
}

/* Each of the threads is interrupted in the middle of recording by what ends it. */
static void switches(void)
{
    static const int requests[] = {TM_REQUEST_SITES_ALL,    TM_REQUEST_SITES_OFF,
                                   TM_REQUEST_SITES_SAMPLE, TM_REQUEST_SITES_OFF,
                                   TM_REQUEST_SITES_SAMPLE, TM_REQUEST_SITES_ALL};
    pthread_t threads[THREADS];
    unsigned asked = 0;
    start(threads);
    for (uint64_t end = now_ms() + LOOPS_MS; now_ms() < end; sleep_ms(3)) {
        union sigval value = {.sival_int = requests[asked % 6]};
        unsigned before = status_here()->switches;
        CHECK(pthread_sigqueue(threads[asked % THREADS], SIGUSR2, value) == 0);
        for (int i = 0; i < 10000 && status_here()->switches == before; i++)
            sleep_ms(1);
        CHECK(status_here()->switches == before + 1);
        asked++;
    }
    finish(threads);
    recording_now();
}

/* ---- the program's own handlers ---- */

static void use_the_stack(int number)
{
    volatile char on_stack[2000];
    memset((char *)on_stack, number, sizeof on_stack);
    handled = handled + 1;
}

static void at_any_instruction(int flags)
{
    static char other[64 * 1024];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    struct sigaction action = {.sa_handler = use_the_stack, .sa_flags = SA_RESTART | flags};
    struct itimerval timer = {{0, 300}, {0, 300}};
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    uint64_t end = now_ms() + LOOPS_MS;
    for (unsigned i = 0; now_ms() < end; i++)
        allocate_from_stack(i % 13, i);
    memset(&timer, 0, sizeof timer);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    CHECK(handled > 10);
}

static void handlers_on_own_stack(void)
{
    at_any_instruction(0);
}

static void handlers_on_another_stack(void)
{
    at_any_instruction(SA_ONSTACK);
}

static void allocate_in_handler(int number)
{
    for (unsigned i = 0; i < 5; i++)
        allocate_from_stack(i, (unsigned)handled);
    handled = handled + (number != 0);
}

/* Those that do not interrupt malloc: what runs meanwhile does not allocate. */
static void handlers_that_allocate(void)
{
    static char other[64 * 1024];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    struct sigaction action = {.sa_handler = allocate_in_handler,
                               .sa_flags = SA_RESTART | SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval timer = {{0, 300}, {0, 300}};
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    uint64_t end = now_ms() + LOOPS_MS / 2;
    volatile unsigned spins = 0;
    while (now_ms() < end)
        spins = spins + 1;
    memset(&timer, 0, sizeof timer);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    CHECK(handled > 10);
}

/* Signals, their mask and errno are the program's. */
static void mask_and_errno_stay(void)
{
    sigset_t before, after;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    for (unsigned i = 0; i < 5000; i++) {
        errno = 4711;
        allocate_from_stack(i % 29, i);
        CHECK(errno == 4711);
    }
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    for (int number = 1; number < SIGRTMAX; number++)
        CHECK(sigismember(&before, number) == sigismember(&after, number));
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"snapshots", snapshots},
        {"switches", switches},
        {"handlers_on_own_stack", handlers_on_own_stack},
        {"handlers_on_another_stack", handlers_on_another_stack},
        {"handlers_that_allocate", handlers_that_allocate},
        {"mask_and_errno_stay", mask_and_errno_stay},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
