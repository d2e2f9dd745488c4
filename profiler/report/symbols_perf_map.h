/* symbols_perf_map.h: the names of code that a process made at run time (JIT compilers, Python's
 * perf trampolines), from the perf map file that it wrote: lines "START SIZE NAME" with hexadecimal
 * numbers, as tools/perf/Documentation/jit-interface.txt of Linux has it. A file grows while code
 * is made, also over code that is gone: of two lines for an address the later one counts.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_PERF_MAP_H
#define TIDEMARK_REPORT_SYMBOLS_PERF_MAP_H

#include "profiler/report/symbols_names.h"
#include "profiler/report/symbols_ranges.h"

/* All zero: empty. */
struct tm_perf_map {
    char *text;
    size_t length;
    struct tm_ranges lines; /* value: where the line's name starts in text */
    bool cut;               /* the file is longer than what is read of it */
};

enum {
    TM_PERF_MAP_BYTES = 128 << 20, /* at most this much is read, of the end of the file, */
    TM_PERF_MAP_LINES = 4 << 20,   /* and so many lines of that */
};

/* Reads a file, which stays open. False: no memory, or it cannot be read (errno); *map is empty. */
bool tm_perf_map_read(int file, struct tm_perf_map *map);
/* The name of the code at an address; NULL if there is none, or no memory for it. *source: the file
 * that the name tells of (Python's do), else NULL. */
const char *tm_perf_map_at(const struct tm_perf_map *map, uint64_t address, struct tm_names *names,
                           const char **source);
void tm_perf_map_free(struct tm_perf_map *map);

#endif
