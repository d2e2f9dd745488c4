/* spool.h: memory that grows, for records whose number is known only at the end. It comes straight
 * from mmap: in the copy of the process it is the copy's own and dies with it; in the process
 * itself tm_spool_free gives it back. One user at a time.
 */
#ifndef TIDEMARK_RECORD_SPOOL_H
#define TIDEMARK_RECORD_SPOOL_H

#include <stddef.h>

struct tm_spool {
    char *base;
    size_t used;
    size_t capacity;
    int error; /* errno of the first growth that failed; nothing is added from then on */
};

/* Appends; on want of memory sets error. */
void tm_spool_add(struct tm_spool *spool, const void *record, size_t bytes);
/* Ready for use again; error is cleared too. */
void tm_spool_free(struct tm_spool *spool);

#endif
