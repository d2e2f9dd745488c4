/* span.h: requests that are too large for a pool: chooses between a page run, a run of arenas and a
 * mapping of its own, and resizes in place where it can.
 */
#ifndef TIDEMARK_SPAN_H
#define TIDEMARK_SPAN_H

#include <stdbool.h>
#include <stddef.h>

/* size > 0 (<= PTRDIFF_MAX), any power-of-two alignment. NULL: no memory. zero: the contents must
 * be zero; pages that are known to be are not touched. */
void *tm_span_take(size_t size, size_t alignment, bool zero);
/* Usable bytes of the span that starts at `address`; 0: none does. */
size_t tm_span_bytes(const void *address);
/* False: no span starts there. */
bool tm_span_give(void *address);
/* The same span with room for `size` (> 0): in place, or (a mapping) moved by the kernel
 * without a copy. NULL: it cannot be had so; the old one stands. */
void *tm_span_resize(void *address, size_t size);

#endif
