/* handlers.c: the signal belongs to the program as soon as it wants it, and the program cannot tell
 * that it was ever anyone else's; the library says in its status whose it is.
 */
#include "tests/snapshot/preloaded.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

static volatile sig_atomic_t own_calls;

static void own(int number)
{
    (void)number;
    own_calls = own_calls + 1;
}

static void looks_default(const char *directory)
{
    struct sigaction old;
    unsigned whole, other;
    CHECK(sigaction(SIGUSR2, NULL, &old) == 0);
    CHECK(old.sa_handler == SIG_DFL && old.sa_flags == 0);
    CHECK(status_here()->handler == 1); /* asking changes nothing */
    raise(SIGUSR2);
    wait_settled(5000);
    count_files(directory, &whole, &other);
    CHECK(whole == 1 && other == 0);
}

static void sigaction_keeps(const char *directory)
{
    struct sigaction action = {.sa_handler = own};
    struct sigaction old;
    unsigned whole, other;
    CHECK(sigaction(SIGUSR2, &action, &old) == 0);
    CHECK(old.sa_handler == SIG_DFL);
    CHECK(status_here()->handler == 0);
    raise(SIGUSR2);
    CHECK(own_calls == 1);
    CHECK(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == own);
    count_files(directory, &whole, &other);
    CHECK(whole == 0 && other == 0 && status_here()->requested == 0);
}

static void signal_keeps(const char *directory)
{
    (void)directory;
    CHECK(signal(SIGUSR2, own) == SIG_DFL);
    CHECK(status_here()->handler == 0);
    raise(SIGUSR2);
    raise(SIGUSR2); /* as libc's signal: the handler stays */
    CHECK(own_calls == 2);
    CHECK(signal(SIGUSR2, SIG_IGN) == own);
}

static void other_signals_untouched(const char *directory)
{
    struct sigaction action = {.sa_handler = own, .sa_flags = SA_NODEFER};
    struct sigaction old;
    (void)directory;
    CHECK(signal(SIGUSR1, own) == SIG_DFL);
    CHECK(sigaction(SIGUSR1, &action, &old) == 0 && old.sa_handler == own);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && (old.sa_flags & SA_NODEFER) != 0);
    CHECK(signal(SIGKILL, own) == SIG_ERR && errno == EINVAL);
    CHECK(status_here()->handler == 1);
}

/* What fails changes nothing; what a vfork child does is its own; X/Open's signal() is seen, too.
 */
static void taken_or_not(const char *directory)
{
    (void)directory;
    CHECK(signal(SIGUSR2, SIG_ERR) == SIG_ERR);
    CHECK(status_here()->handler == 1);
    struct sigaction action = {.sa_handler = SIG_IGN};
    pid_t child = vfork();
    if (child == 0) {
        sigaction(SIGUSR2, &action, NULL); /* NOLINT(clang-analyzer-unix.Vfork): what is tested */
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
    CHECK(status_here()->handler == 1);
    CHECK(__sysv_signal(SIGUSR2, own) == SIG_DFL);
    CHECK(status_here()->handler == 0);
}

static void values(const char *directory)
{
    union sigval value = {.sival_int = TM_REQUEST_TRIM};
    (void)directory;
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
    CHECK(status_here()->trims == 1 && status_here()->requested == 0);
    value.sival_int = 5; /* nobody's: no snapshot */
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
    CHECK(status_here()->requested == 0);
    value.sival_int = TM_REQUEST_SNAPSHOT;
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
    CHECK(status_here()->requested == 1);
    wait_settled(5000);
    CHECK(status_here()->written == 1);
}

static void values_for_sites(const char *directory)
{
    static const struct {
        int value;
        int sites;
    } steps[] = {
        {TM_REQUEST_SITES_SAMPLE, TM_SITES_SAMPLE}, {TM_REQUEST_SITES_ALL, TM_SITES_ALL},
        {TM_REQUEST_SITES_OFF, TM_SITES_OFF},       {TM_REQUEST_SITES_ALL, TM_SITES_ALL},
        {TM_REQUEST_SITES_OFF, TM_SITES_OFF},
    };
    (void)directory;
    for (uint32_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        union sigval value = {.sival_int = steps[i].value};
        errno = 4711;
        CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
        CHECK(errno == 4711);
        CHECK(status_here()->sites == steps[i].sites && status_here()->switches == i + 1);
        value.sival_int = TM_REQUEST_SITES_ALL + 1; /* nobody's */
        CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
        CHECK(status_here()->sites == steps[i].sites && status_here()->switches == i + 1);
    }
    CHECK(status_here()->requested == 0 && status_here()->trims == 0);
}

static void errno_stays(const char *directory)
{
    (void)directory;
    errno = 4711;
    raise(SIGUSR2);
    CHECK(errno == 4711);
    wait_settled(5000);
}

/* The descriptor numbers that the program gets are those it would get without. */
static void descriptors_stay(const char *directory)
{
    (void)directory;
    int expected = dup(0);
    close(expected);
    for (int i = 0; i < 200; i++) {
        if (i % 20 == 0)
            raise(SIGUSR2);
        int fd = dup(0);
        CHECK(fd == expected);
        close(fd);
    }
    wait_settled(5000);
}

/* A reader sees the end of a pipe as soon as the program closes it: the copy lets go of its
 * descriptors at once, not when it is done, which with this much heap takes far longer. The best of
 * some rounds: a busy machine may delay any one. */
static void pipe_ends(const char *directory)
{
    enum { BLOCKS = 150000, ROUNDS = 8 };
    double least = 1;
    (void)directory;
    void **chain = NULL;
    for (int i = 0; i < BLOCKS; i++) {
        void **block = malloc(1000);
        CHECK(block != NULL);
        memset(block, 1, 1000);
        *block = chain;
        chain = block;
    }
    for (int i = 0; i < ROUNDS; i++) {
        int ends[2];
        char byte;
        CHECK(pipe(ends) == 0);
        /* The copy is made, with the pipe in it, by the time that the end is closed here. */
        raise(SIGUSR2);
        sleep_ms(5);
        uint64_t start = now_ns();
        close(ends[1]);
        CHECK(read(ends[0], &byte, 1) == 0);
        uint64_t ended = now_ns();
        wait_settled(20000);
        uint64_t done = now_ns();
        close(ends[0]);
        double share = (double)(ended - start) / (double)(done - start);
        if (share < least)
            least = share;
    }
    CHECK(least < 0.5);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"looks_default", looks_default, ""},
        {"sigaction_keeps", sigaction_keeps, ""},
        {"signal_keeps", signal_keeps, ""},
        {"other_signals_untouched", other_signals_untouched, ""},
        {"taken_or_not", taken_or_not, ""},
        {"values", values, ""},
        {"values_for_sites", values_for_sites, ""},
        {"errno_stays", errno_stays, ""},
        {"descriptors_stay", descriptors_stay, ""},
        {"pipe_ends", pipe_ends, ""},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
