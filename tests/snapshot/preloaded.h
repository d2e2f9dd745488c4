/* preloaded.h: for the test programs here: runs the program again under the library, in a directory
 * of its own, and looks at what it left there. Each program is an ordinary one that links nothing
 * of Tidemark.
 */
#ifndef TIDEMARK_TESTS_PRELOADED_H
#define TIDEMARK_TESTS_PRELOADED_H

#include "profiler/format/snapshot.h"
#include "profiler/format/status.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ms(void)
{
    return now_ns() / 1000000;
}

/* The library's status in this very process; the test stops if the library is not there. */
static inline const volatile struct tm_status *status_here(void)
{
    static const volatile struct tm_status *status;
    if (status == NULL)
        status = dlsym(RTLD_DEFAULT, TM_STATUS_SYMBOL);
    CHECK(status != NULL);
    return status;
}

/* True once every request is answered. */
static inline bool settled(const volatile struct tm_status *status)
{
    uint32_t requested = status->requested;
    return requested == status->merged + status->written + status->failed;
}

static inline void wait_settled(uint64_t limit_ms)
{
    const volatile struct tm_status *status = status_here();
    uint64_t end = now_ms() + limit_ms;
    while (!settled(status)) {
        if (now_ms() >= end) {
            fprintf(stderr, "not settled: requested %u merged %u written %u failed %u\n",
                    status->requested, status->merged, status->written, status->failed);
            exit(1);
        }
        sleep_ms(1);
    }
}

/* Whether the file is a whole snapshot: every section, the end mark, the checksum over all before.
 */
static inline bool is_whole(const char *path)
{
    static unsigned char data[16 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    struct tm_snapshot_header header;
    if (size < sizeof header)
        return false;
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, TM_SNAPSHOT_MAGIC, 8) != 0)
        return false;
    size_t at = header.header_bytes;
    for (uint32_t sections = 0;; sections++) {
        struct tm_snapshot_section section;
        if (at + sizeof section > size)
            return false;
        memcpy(&section, data + at, sizeof section);
        if (section.tag == TM_TAG_END) {
            struct tm_snapshot_end end;
            if (at + sizeof section + sizeof end != size)
                return false;
            memcpy(&end, data + at + sizeof section, sizeof end);
            return end.sections == sections && end.crc == crc32(0, data, (uInt)at);
        }
        at += sizeof section + (section.bytes + 7) / 8 * 8;
    }
}

/* Counts the files in the directory: whole snapshots, and anything else. */
static inline void count_files(const char *directory, unsigned *whole, unsigned *other)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    CHECK(entries != NULL);
    *whole = *other = 0;
    while ((entry = readdir(entries)) != NULL) {
        char path[4096];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (is_whole(path))
            ++*whole;
        else
            ++*other;
    }
    closedir(entries);
}

static inline void remove_directory(const char *directory)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL)
        unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries != NULL)
        closedir(entries);
    rmdir(directory);
}

/* Runs `PROGRAM --under DIRECTORY NAME` with the library preloaded and
 * TIDEMARK=out=DIRECTORY/%p.%n.heap and `more`; waits for it and removes the directory. Its exit
 * status; 1 if a signal ended it. */
static inline int run_under_library(char **argv, const char *name, const char *more)
{
    char directory[] = "/tmp/tidemark-test-XXXXXX";
    char settings[1024];
    int wait_status;
    CHECK(mkdtemp(directory) != NULL);
    snprintf(settings, sizeof settings, "out=%s/%%p.%%n.heap%s", directory, more);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setenv("TIDEMARK", settings, 1);
        setenv("LD_PRELOAD", argv[1], 1);
        execl("/proc/self/exe", argv[0], "--under", directory, name, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &wait_status, 0) == pid);
    remove_directory(directory);
    if (WIFSIGNALED(wait_status))
        fprintf(stderr, "%s: %s: killed by signal %d\n", argv[0], name, WTERMSIG(wait_status));
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
}

enum { SKIPPED = 77 };

struct test_case {
    const char *name;
    void (*run)(const char *directory);
    const char *more; /* for TIDEMARK, after out= */
};

/* main of every program here: called as PROGRAM LIBRARY it runs each case in a process of its own
 * under the library. */
static inline int run_cases(int argc, char **argv, const struct test_case *cases, size_t count)
{
    int failures = 0;
    if (argc == 4 && strcmp(argv[1], "--under") == 0) {
        for (size_t i = 0; i < count; i++)
            if (strcmp(cases[i].name, argv[3]) == 0)
                cases[i].run(argv[2]);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: %s libtidemark.so\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < count; i++) {
        int result = run_under_library(argv, cases[i].name, cases[i].more);
        printf("%-32s %s\n", cases[i].name,
               result == 0         ? "ok"
               : result == SKIPPED ? "skipped"
                                   : "FAILED");
        failures += result != 0 && result != SKIPPED;
    }
    return failures == 0 ? 0 : 1;
}

#endif
