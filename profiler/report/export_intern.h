/* export_intern.h: things by number: strings, functions, frames of which a file has a table. A
 * thing is a stretch of bytes; equal ones have the same number, and numbers count from 0 in the
 * order in which things came first.
 */
#ifndef TIDEMARK_REPORT_EXPORT_INTERN_H
#define TIDEMARK_REPORT_EXPORT_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_intern_item {
    size_t at, length; /* in bytes; a NUL follows */
};

/* Zero is an empty table. */
struct tm_intern {
    char *bytes;
    size_t used, room;
    struct tm_intern_item *items;
    uint32_t count, item_room;
    uint32_t *table; /* open addressing: numbers plus 1 */
    size_t table_size;
    bool failed; /* memory ran out at some time: numbers are not to be relied on */
};

/* is_new: whether it was not there; may be NULL. */
uint32_t tm_intern(struct tm_intern *intern, const void *bytes, size_t length, bool *is_new);
uint32_t tm_intern_text(struct tm_intern *intern, const char *text);

/* The bytes of a number, with a NUL behind. */
const char *tm_intern_bytes(const struct tm_intern *intern, uint32_t number);

void tm_intern_free(struct tm_intern *intern);

#endif
