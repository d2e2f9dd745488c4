/* reserve.h: addresses for tables whose size is known by their limit, of which only the pages in
 * use cost memory. They come straight from mmap: no heap is touched. Async-signal-safe.
 */
#ifndef TIDEMARK_RECORD_RESERVE_H
#define TIDEMARK_RECORD_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed; NULL: no memory. Never huge pages: a few records would cost megabytes. */
void *tm_reserve(size_t bytes);
/* The same for a table that is made once, by whoever comes first, and stays. False: no memory. */
bool tm_reserve_once(_Atomic(void *) *place, size_t bytes);

#endif
