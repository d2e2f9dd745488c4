/* residency.h: which pages of the caller's own memory are in RAM. In the copy of the process this
 * holds for private anonymous memory as it was when the copy was made: fork copies those page
 * tables. It does not hold for files' pages, whose page tables it leaves empty.
 */
#ifndef TIDEMARK_RECORD_RESIDENCY_H
#define TIDEMARK_RECORD_RESIDENCY_H

#include <stdint.h>

/* Opens /proc/self/pagemap; where that cannot be had, mincore answers, and where that is refused
 * too every page counts as resident. */
void tm_residency_start(void);
void tm_residency_stop(void);

/* Bit i: page i of the 64 from start (a multiple of 4096) is resident, as part of a page of the
 * kernel's. */
uint64_t tm_residency_mask(uintptr_t start);
/* Resident bytes of [start, start + bytes), counted in whole pages of 4096. */
uint64_t tm_residency_bytes(uintptr_t start, uint64_t bytes);

#endif
