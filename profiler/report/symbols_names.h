/* symbols_names.h: the text that symbols give out, kept until they are closed: names of functions
 * and files, and notes for the user. Mangled names of C++ and Rust are written out here. What a
 * file says is taken as it is, control characters included, but only up to TM_NAME_LIMIT bytes of
 * it.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_NAMES_H
#define TIDEMARK_REPORT_SYMBOLS_NAMES_H

#include <stddef.h>

enum { TM_NAME_LIMIT = 4096 }; /* bytes of a name, with its NUL; what is longer ends in "..." */

/* All zero: empty. */
struct tm_names {
    struct tm_names_chunk *chunks;
    const char **notes;
    size_t note_count, note_room;
};

/* A copy of the text, which ends at its first NUL or at length. NULL: no memory. */
const char *tm_names_keep(struct tm_names *names, const char *text, size_t length);
/* The function that a symbol or a linkage name means: demangled if it is mangled, without the
 * version of the symbol. NULL: no memory. */
const char *tm_names_function(struct tm_names *names, const char *name);
/* Adds a note, as printf does; without memory there is none. */
void tm_names_note(struct tm_names *names, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void tm_names_free(struct tm_names *names);

#endif
