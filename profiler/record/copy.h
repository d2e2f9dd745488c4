/* copy.h: reading the process's own memory where nobody can say what is there: by
 * process_vm_readv(2), which fails where reading in place would fault.
 *
 * Where a seccomp filter is at work it is not tried: a filter may kill for it. (One that the
 * program sets up later cannot be known.)
 */
#ifndef TIDEMARK_RECORD_COPY_H
#define TIDEMARK_RECORD_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Finds out whether it can be used; until then it is not. */
void tm_copy_start(void);
/* False: not all of it is there, or it may not be used. Async-signal-safe. */
bool tm_copy(void *to, uintptr_t from, size_t bytes);

#endif
