/* where.h: where a block was allocated and where it was freed, for the line that stops a program
 * which misuses it (hooks.h: tm_hook_where).
 *
 * Where a live block was allocated its cell says. Of the recorded blocks freed last a table keeps
 * the cell, and the innermost part of the stack that freed each, as it lay there: a copy of some
 * hundred bytes costs a free far less than a stack that is unwound, and only that of one block will
 * ever be. The table is of fixed size, by address, and the newest wins.
 */
#ifndef TIDEMARK_RECORD_WHERE_H
#define TIDEMARK_RECORD_WHERE_H

#include "allocator/hooks.h"

#include <stdbool.h>

/* Maps the table and answers from now on. False: no memory. Async-signal-safe; does nothing the
 * second time. */
bool tm_where_start(void);

/* A recorded block is freed, on a stack that `from` is at the inner end of. Allocates nothing and
 * waits for nobody; async-signal-safe. Once it was started. */
void tm_where_freed(const void *block, uint64_t cell, const struct tm_caller *from);

/* Address and bytes of what is mapped; 0 bytes: nothing. */
const void *tm_where_place(size_t *bytes);

#endif
