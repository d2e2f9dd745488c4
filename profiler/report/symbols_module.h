/* symbols_module.h: one program or library of the process: its file, checked against what the
 * process had, its separate debug file, and what is at an address in it. Opened when the first
 * address in it is asked for.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_MODULE_H
#define TIDEMARK_REPORT_SYMBOLS_MODULE_H

#include "profiler/report/symbols_dwarf.h"
#include "profiler/report/symbols_files.h"

/* What the snapshot says of it. */
struct tm_module_facts {
    const char *path;     /* of the mapping */
    const char *build_id; /* in hexadecimal; "" if unknown */
    uint64_t inode;
    const struct tm_snapshot_map *first; /* the file's first mapping */
    uint64_t taken_ns;                   /* when the snapshot was taken, CLOCK_REALTIME */
};

struct tm_module;

/* Never fails for the file's sake: a module without a file gives addresses only, and says why in a
 * note. NULL: no memory. */
struct tm_module *tm_module_open(const struct tm_module_facts *facts, const struct tm_files *files,
                                 bool debuginfod, struct tm_names *names);
void tm_module_close(struct tm_module *module);

/* The link-time address of a byte of a mapping of the file; without a file the distance from its
 * first mapping. */
uint64_t tm_module_address(const struct tm_module *module, const struct tm_snapshot_map *map,
                           uint64_t address);
/* What is at a link-time address: at least one item in chain; module and offset are the caller's.
 */
void tm_module_at(struct tm_module *module, uint64_t address, struct tm_names *names,
                  struct tm_chain *chain);

#endif
