/* check.h: what every program of this directory shares: a table of cases, of which one runs per
 * process, so that a crash or a hang costs one case only. `PROGRAM --list` prints the names;
 * `PROGRAM CASE` runs one and exits with 0 passed, 1 failed (reason on stderr), 77 skipped (reason
 * on stdout). Nothing here is linked with Tidemark: the allocator under test comes by LD_PRELOAD.
 */
#ifndef TIDEMARK_TESTS_API_CHECK_H
#define TIDEMARK_TESTS_API_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KIB = 1024, MIB = 1024 * 1024 };

struct api_case {
    const char *name;
    void (*run)(void);
};

/* Ends the process as failed. Writes without stdio, so that it works with a broken allocator. */
__attribute__((format(printf, 1, 2), noreturn, unused)) static void fail(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        length = 0;
    if ((size_t)length > sizeof text - 2)
        length = (int)sizeof text - 2;
    text[length] = '\n';
    ssize_t written = write(STDERR_FILENO, text, (size_t)length + 1);
    (void)written;
    _exit(1);
}

__attribute__((format(printf, 1, 2), noreturn, unused)) static void skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    puts("");
    fflush(stdout);
    _exit(77);
}

/* The one macro: it needs the condition's text and line. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail("%s:%d: not true: %s (errno %d)", __FILE__, __LINE__, #condition, errno);         \
    } while (0)

/* Hides where a pointer came from, so that the compiler drops no allocation and assumes nothing of
 * its content. */
static inline void *opaque(void *ptr)
{
    __asm__ volatile("" : "+r"(ptr) : : "memory");
    return ptr;
}

static inline size_t opaque_size(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

/* A byte that depends on the position and on a salt, for shadow fills. */
static inline unsigned char pattern(size_t position, unsigned salt)
{
    return (unsigned char)((position * 131 + position / 4096 + salt * 29 + 7) & 0xff);
}

__attribute__((unused)) static void fill(void *ptr, size_t bytes, unsigned salt)
{
    unsigned char *byte = (unsigned char *)ptr;
    for (size_t i = 0; i < bytes; i++)
        byte[i] = pattern(i, salt);
}

/* The position of the first byte that fill() did not write, or `bytes`. */
__attribute__((unused)) static size_t intact(const void *ptr, size_t bytes, unsigned salt)
{
    const unsigned char *byte = (const unsigned char *)ptr;
    for (size_t i = 0; i < bytes; i++)
        if (byte[i] != pattern(i, salt))
            return i;
    return bytes;
}

__attribute__((unused)) static bool all_zero(const void *ptr, size_t bytes)
{
    const unsigned char *byte = (const unsigned char *)ptr;
    return bytes == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, bytes - 1) == 0);
}

static inline bool aligned_to(const void *ptr, size_t alignment)
{
    return ((uintptr_t)ptr & (alignment - 1)) == 0;
}

/* xorshift64: the same sequence on every run. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* VmRSS of this process in bytes, without stdio; 0 if it cannot be read. */
__attribute__((unused)) static size_t resident_bytes(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    char *second = strchr(text, ' ');
    return second == NULL ? 0 : (size_t)strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Lowers RLIMIT_AS to so many bytes. */
__attribute__((unused)) static void limit_address_space(size_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* The address space in use (VmSize) in bytes, without stdio; 0 if it cannot be read. */
__attribute__((unused)) static size_t address_space_bytes(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    return (size_t)strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

__attribute__((unused)) static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

__attribute__((unused)) static int run_cases(int argc, char **argv, const struct api_case *cases,
                                             size_t count)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(cases[i].name);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < count; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "usage: %s --list | CASE\n", argv[0]);
    return 2;
}

#ifdef __cplusplus
}
#endif
#endif
