/* symbols_dwarf.h: functions, source lines and inlining at an address, from the DWARF of one file
 * (DWARF 4 and 5 standards, sections 2.17, 3.3.8). Units are found by the ranges that they state
 * themselves, since not every compiler writes .debug_aranges, and the functions of a unit are
 * indexed when it is first met: libdw on its own would walk all of a unit for each address.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_DWARF_H
#define TIDEMARK_REPORT_SYMBOLS_DWARF_H

#include "profiler/report/symbols.h"
#include "profiler/report/symbols_names.h"

#include <elfutils/libdw.h>

enum {
    TM_CHAIN_LIMIT = 64
}; /* functions inlined into each other that are told; the rest, further
      inside, is left out */

/* The functions at one address, innermost first. */
struct tm_chain {
    struct tm_symbol items[TM_CHAIN_LIMIT];
    size_t count;
};

struct tm_dwarf;

/* file and names stay the caller's. has_shared: the file that it shares DIEs with is there, or none
 * is needed. NULL: no memory. */
struct tm_dwarf *tm_dwarf_open(Dwarf *file, bool has_shared, struct tm_names *names);
void tm_dwarf_close(struct tm_dwarf *dwarf);

/* Fills chain with what is at a link-time address, at least one item if there is a unit: its last
 * item's function is NULL where only the line is known. Module and offset are the caller's. */
void tm_dwarf_at(struct tm_dwarf *dwarf, uint64_t address, struct tm_chain *chain);

#endif
