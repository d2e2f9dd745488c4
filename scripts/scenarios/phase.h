/* phase.h: what the scenario programs share: telling their phases, reading an option, waiting.
 * Header only, so that each program is one file that also builds alone (cc -O2 -pthread NAME.c).
 */
#ifndef TIDEMARK_SCENARIOS_PHASE_H
#define TIDEMARK_SCENARIOS_PHASE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double phase_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One line on stderr: seconds since `start`, VmRSS, what happened. */
static inline void phase_tell(double start, const char *what)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%*u %lu", &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    double mib = (double)pages * (double)sysconf(_SC_PAGESIZE) / (1024.0 * 1024.0);
    fprintf(stderr, "%6.2f s  %7.1f MiB  %s\n", phase_seconds() - start, mib, what);
}

static inline void phase_wait(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* The value of --NAME N among the arguments, or `otherwise`; ends the program (status 2) on
 * anything else. */
static inline double phase_option(int argc, char **argv, const char *name, double otherwise)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) {
            char *end;
            double value = strtod(argv[i + 1], &end);
            if (*end || end == argv[i + 1] || !(value >= 0 && value <= 1e9)) {
                fprintf(stderr, "%s: --%s does not take '%s'; it takes a number\n", argv[0], name,
                        argv[i + 1]);
                exit(2);
            }
            return value;
        }
    return otherwise;
}

/* Prints `usage` and ends the program if an argument is not one of the NULL-terminated `names`. */
static inline void phase_check(int argc, char **argv, const char *const *names, const char *usage)
{
    for (int i = 1; i < argc; i += 2) {
        int known = 0;
        for (int k = 0; names[k]; k++)
            known |= strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, names[k]) == 0;
        if (known && i + 1 < argc)
            continue;
        int asked = strcmp(argv[i], "--help") == 0;
        fprintf(asked ? stdout : stderr, "usage: %s %s\n", argv[0], usage);
        exit(asked ? 0 : 2);
    }
}

/* xorshift64*: the same sequence everywhere for the same seed. */
static inline uint64_t phase_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

#endif
