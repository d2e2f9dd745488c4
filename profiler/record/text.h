/* text.h: putting small texts together in memory that the caller owns, without libc's printf (which
 * may allocate and lock), and the one way in which the library speaks to a person: one line on
 * stderr.
 */
#ifndef TIDEMARK_RECORD_TEXT_H
#define TIDEMARK_RECORD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text under construction: always NUL-terminated; `cut` once something did not fit. */
struct tm_text {
    char *start;
    size_t used; /* bytes, without the NUL */
    size_t size; /* of the memory, > 0 */
    bool cut;
};

struct tm_text tm_text_in(char *memory, size_t size);
void tm_text_bytes(struct tm_text *text, const char *bytes, size_t count);
void tm_text_add(struct tm_text *text, const char *string);
void tm_text_number(struct tm_text *text, uint64_t value);
void tm_text_hex(struct tm_text *text, uint64_t value);
/* "12.3 MiB": for people. */
void tm_text_size(struct tm_text *text, uint64_t bytes);
/* "Permission denied (13)". error: a positive errno. */
void tm_text_error(struct tm_text *text, int error);
/* A stretch of somebody else's text; what is no character, or one that a terminal obeys, as '?'. */
void tm_text_shown(struct tm_text *text, const char *bytes, size_t count);
/* The same in quotes, cut at 64 bytes. */
void tm_text_quoted(struct tm_text *text, const char *bytes, size_t count);

/* Reads a decimal number at *at and moves *at behind it. False: no digit there, or it does not fit
 * in 64 bits. */
bool tm_text_parse(const char **at, const char *end, uint64_t *value);

/* Call once, first of all: notes what stderr is now, so that tm_say can tell later whether
 * descriptor 2 has become a data file. */
void tm_say_start(void);
/* Writes the text and a newline to stderr in one write. It is dropped where it could do harm:
 * descriptor 2 is closed, or is a file or socket that it was not at start, or would block. */
void tm_say(struct tm_text *text);

#endif
