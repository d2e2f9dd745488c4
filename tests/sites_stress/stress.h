/* stress.h: for the programs here. Each of their cases is run three times in a process of its own
 * under the library: with every call site recorded, with samples so dense that most stacks are
 * taken, and with nothing recorded. A case fails if it says so, if a signal ends it, if it hangs,
 * or if anything comes out on stderr: nobody is to notice that a program's call sites are recorded.
 */
#ifndef TIDEMARK_TESTS_SITES_STRESS_H
#define TIDEMARK_TESTS_SITES_STRESS_H

#include "tests/snapshot/preloaded.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

enum { HANGS_AFTER_SECONDS = 60 };

struct stress_case {
    const char *name;
    void (*run)(void);
};

/* The compiler knows neither what goes in nor what comes out: no call is left out, none becomes a
 * jump. */
static inline void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline void allocate(size_t size)
{
    unsigned char *block = opaque(malloc(size));
    CHECK(block != NULL);
    block[0] = block[size - 1] = 1;
    free(opaque(block));
}

/* From a stack of its own for each depth and, nearly, place. */
__attribute__((noinline, unused)) static void allocate_from_stack(unsigned depth, unsigned place)
{
    char between[16 + place % 67 * 16];
    opaque(between);
    if (depth == 0)
        allocate(1 + place % 5000);
    else
        allocate_from_stack(depth - 1, place);
    opaque(between);
}

static inline bool is_recording(void)
{
    return status_here()->sites != TM_SITES_OFF;
}

/* Whether stacks are unwound, too: false where libunwind is not installed. */
static inline bool is_unwinding(void)
{
    return status_here()->unwinder == 1;
}

/* What a snapshot that is taken now says of the recording; zeros where nothing was recorded. The
 * program must not have taken the signal. */
static inline struct tm_snapshot_recording recording_now(void)
{
    static unsigned char data[16 << 20];
    struct tm_snapshot_recording recording;
    struct tm_snapshot_header header;
    memset(&recording, 0, sizeof recording);
    kill(getpid(), SIGUSR2);
    wait_settled(30000);
    CHECK(status_here()->failed == 0);
    char path[1024];
    memcpy(path, (const char *)status_here()->last_path, sizeof path);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    memcpy(&header, data, sizeof header);
    for (size_t at = header.header_bytes; at + sizeof(struct tm_snapshot_section) < size;) {
        struct tm_snapshot_section section;
        memcpy(&section, data + at, sizeof section);
        if (section.tag == TM_TAG_RECORDING)
            memcpy(&recording, data + at + sizeof section, sizeof recording);
        at += sizeof section + (section.bytes + 7) / 8 * 8;
    }
    return recording;
}

/* Asks for sites as `tidemark start --all` and `stop` do. */
static inline void ask_for_sites(int request)
{
    union sigval value = {.sival_int = request};
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
}

/* The library of the given name beside this program. */
static inline const char *beside(const char *name)
{
    static _Thread_local char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 256);
    CHECK(length > 0);
    path[length] = '\0';
    snprintf(strrchr(path, '/') + 1, 256, "%s", name);
    return path;
}

/* What a case left on stderr; true if that is nothing. */
static inline bool said_nothing(int said, const char *name)
{
    char text[2000];
    ssize_t length = pread(said, text, sizeof text, 0);
    if (length <= 0)
        return true;
    fprintf(stderr, "%s said:\n%.*s\n", name, (int)length, text);
    return false;
}

/* Its exit status; 1 if a signal ended it, or it had to be ended, with its children. (An alarm of
 * its own would not do: a thread that hangs inside the recorder takes no signals.) */
static inline int wait_or_end(pid_t pid, const char *name, long limit_seconds)
{
    int status = 0;
    uint64_t end = now_ms() + (uint64_t)limit_seconds * 1000;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_ms() >= end) {
            fprintf(stderr, "%s: hangs; ended after %ld s\n", name, limit_seconds);
            kill(-pid, SIGKILL);
            end = UINT64_MAX;
        }
        sleep_ms(2);
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d\n", name, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* One case with one setting: this program, as PROGRAM --under DIRECTORY NAME. What it leaves in the
 * directory is removed. */
static inline int run_case(char **argv, const char *name, const char *more, long limit_seconds)
{
    char directory[] = "/tmp/tidemark-test-XXXXXX";
    char path[] = "/tmp/tidemark-said-XXXXXX";
    char settings[1024];
    CHECK(mkdtemp(directory) != NULL);
    int said = mkstemp(path);
    CHECK(said >= 0);
    unlink(path);
    fcntl(said, F_SETFD, FD_CLOEXEC);
    snprintf(settings, sizeof settings, "out=%s/%%p.%%n.heap%s", directory, more);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        dup2(said, 2);
        setenv("TIDEMARK", settings, 1);
        setenv("LD_PRELOAD", argv[1], 1);
        execl("/proc/self/exe", argv[0], "--under", directory, name, (char *)NULL);
        _exit(127);
    }
    int result = wait_or_end(pid, name, limit_seconds);
    remove_directory(directory);
    if (!said_nothing(said, name) && result == 0)
        result = 1;
    close(said);
    return result;
}

/* main of every program here: called as PROGRAM LIBRARY [CASE] it runs the cases. */
static inline int run_stress(int argc, char **argv, const struct stress_case *cases, size_t count)
{
    static const char *const settings[] = {",sites=all", ",sites=sample,rate=1K", ""};
    int failures = 0;
    if (argc == 4 && strcmp(argv[1], "--under") == 0) {
        for (size_t i = 0; i < count; i++)
            if (strcmp(cases[i].name, argv[3]) == 0)
                cases[i].run();
        return 0;
    }
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s libtidemark.so [CASE]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < count; i++) {
        if (argc == 3 && strcmp(cases[i].name, argv[2]) != 0)
            continue;
        for (size_t j = 0; j < sizeof settings / sizeof settings[0]; j++) {
            int result = run_case(argv, cases[i].name, settings[j], HANGS_AFTER_SECONDS);
            printf("%-32s %-24s %s\n", cases[i].name, settings[j],
                   result == 0         ? "ok"
                   : result == SKIPPED ? "skipped"
                                       : "FAILED");
            fflush(stdout);
            failures += result != 0 && result != SKIPPED;
        }
    }
    return failures == 0 ? 0 : 1;
}

#endif
