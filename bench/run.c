/* run.c: bench-run, the launcher of the benchmark: starts one command, with or without a library
 * preloaded, waits for it, and says what it took, as one line of JSON.
 *
 * The harness is a Python program, and the kernel counts as a child's peak RSS what the child had
 * before its exec, too: the parent's. So a small process stands between, linked statically, whose
 * own RSS lies below that of any program measured. Neither is it touched by the preload, which is
 * set in the environment of the command alone.
 *
 * usage: bench-run [--preload LIBRARY] [--fd N] [--tree MS] -- COMMAND [ARGUMENT...]
 *
 * --tree: where a command starts others that work beside it, their memory counts as well: every MS
 * milliseconds the RSS of all its descendants is added up (tree.h), and the largest sum is told as
 * "tree_kib", or the peak RSS of the largest single process, which the kernel keeps, if that is
 * more.
 *
 * The line goes to descriptor N (default 2). Exit status: the command's own, 128 + the signal that
 * ended it, 126 if it could not be started, 2 for wrong usage.
 */
#include "bench/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_NOT_STARTED = 126 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static _Noreturn void usage(const char *problem, const char *value)
{
    fprintf(stderr,
            "bench-run: %s%s\nusage: bench-run [--preload LIBRARY] [--fd N] [--tree MS] -- COMMAND "
            "[ARGUMENT...]\n",
            problem, value);
    exit(EXIT_USAGE);
}

static int number(const char *text, int least, const char *problem)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < least || value > 1 << 20)
        usage(problem, text);
    return (int)value;
}

static int descriptor(const char *text)
{
    int fd = number(text, 0, "--fd takes the number of an open descriptor, not ");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        usage("--fd: there is no open descriptor ", text);
    return fd;
}

/* Until the child has ended: the largest sum of its tree's RSS, in KiB. 0 where the kernel has no
 * descriptors of processes. */
static long watch(pid_t child, int every_ms)
{
    long most = 0;
    int fd = pidfd_open(child, 0);
    if (fd < 0)
        return 0;
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    for (;;) {
        int got = poll(&ended, 1, every_ms);
        if (got > 0 || (got < 0 && errno != EINTR))
            break;
        long sum = bench_tree_rss_kib(child);
        most = sum > most ? sum : most;
    }
    close(fd);
    return most;
}

static void report(int fd, double wall, int status, const struct rusage *use, long tree_kib)
{
    dprintf(fd,
            "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, \"maxrss_kib\": %ld, "
            "\"tree_kib\": %ld, \"minor_faults\": %ld, \"major_faults\": %ld, "
            "\"voluntary_switches\": %ld, \"involuntary_switches\": %ld, \"exit\": %d, "
            "\"signal\": %d}\n",
            wall, seconds(use->ru_utime), seconds(use->ru_stime), use->ru_maxrss,
            tree_kib > use->ru_maxrss ? tree_kib : use->ru_maxrss, use->ru_minflt, use->ru_majflt,
            use->ru_nvcsw, use->ru_nivcsw, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(int argc, char **argv)
{
    const char *preload = NULL;
    const char *out = NULL;
    int every_ms = 0;
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at += 2) {
        if (at + 1 >= argc)
            usage("a value is missing after ", argv[at]);
        if (strcmp(argv[at], "--preload") == 0)
            preload = argv[at + 1];
        else if (strcmp(argv[at], "--fd") == 0)
            out = argv[at + 1];
        else if (strcmp(argv[at], "--tree") == 0)
            every_ms = number(argv[at + 1], 1, "--tree takes milliseconds, at least 1, not ");
        else
            usage("unknown option ", argv[at]);
    }
    if (at + 1 >= argc)
        usage("no command after ", "--");
    char **command = argv + at + 1;
    int fd = out ? descriptor(out) : STDERR_FILENO;

    if (preload ? setenv("LD_PRELOAD", preload, 1) : unsetenv("LD_PRELOAD")) {
        perror("bench-run: cannot set LD_PRELOAD");
        return EXIT_NOT_STARTED;
    }
    double start = now();
    pid_t child;
    int error = posix_spawnp(&child, command[0], NULL, NULL, command, environ);
    if (error) {
        fprintf(stderr, "bench-run: cannot start %s: %s\n", command[0], strerror(error));
        return EXIT_NOT_STARTED;
    }
    long tree_kib = every_ms != 0 ? watch(child, every_ms) : 0;
    int status;
    struct rusage use;
    while (wait4(child, &status, 0, &use) < 0)
        if (errno != EINTR) {
            perror("bench-run: wait4");
            return EXIT_NOT_STARTED;
        }
    report(fd, now() - start, status, &use, tree_kib);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
