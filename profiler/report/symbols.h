/* symbols.h: what the code at an address is called. Names come from the files that the process had
 * mapped, or from files with the same build id that stand for them (separate debug files), read by
 * elfutils; for code that a JIT made, from its perf map file. All of it happens in the command,
 * never in the process that is looked at.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_H
#define TIDEMARK_REPORT_SYMBOLS_H

#include "profiler/report/snapshot_read.h"

/* One function of the source at an address: the compiler may have inlined several into each other
 * there. Strings belong to the struct tm_symbols; text from files: escape it. */
struct tm_symbol {
    const char *function; /* demangled; NULL: unknown */
    const char *file;     /* source file as the debug information has it; NULL: unknown */
    const char *module;   /* path of the mapping, "[vdso]", "[JIT]" or "" */
    uint32_t line;        /* 0: unknown */
    bool inlined;         /* inlined into the next one of the list */
    uint64_t offset; /* of the instruction in the module's file (its link-time address; of a call
                        the last byte), for who has nothing else; where the file is unknown, the
                        distance from its first mapping */
};

struct tm_symbols;

/* Where to look; zero is what a user expects. */
struct tm_symbols_options {
    bool debuginfod;  /* ask the servers of DEBUGINFOD_URLS for what is missing */
    const char *root; /* files of the process are below this directory; NULL: the root directory of
                         the process if it still runs, and / */
};

/* NULL: no memory. snapshot stays the caller's and must outlive it. */
struct tm_symbols *tm_symbols_open(const struct tm_snapshot_file *snapshot,
                                   const struct tm_symbols_options *options);
void tm_symbols_close(struct tm_symbols *symbols);

/* The functions at an address, innermost first, at least one (with function NULL if nothing is
 * known). exact: it is the instruction's own; else one behind a call, and what counts is the call.
 * The list belongs to symbols and stays until tm_symbols_close(). */
const struct tm_symbol *tm_symbols_at(struct tm_symbols *symbols, uint64_t address, bool exact,
                                      size_t *count);

/* What is to be said of files that are missing, are others than the process had (build id), or have
 * no debug information, one sentence each that says what to do, of the modules asked for so far.
 * NULL behind the last. They have names from files: escape them. */
const char *tm_symbols_note(struct tm_symbols *symbols, size_t index);

#endif
