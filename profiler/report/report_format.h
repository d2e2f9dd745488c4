/* report_format.h: how numbers and foreign text are put into words, for every file of the command
 * that prints. Names in a snapshot (paths, command lines) come from a process that may be hostile:
 * nothing of it reaches a terminal or a JSON file except through the two escaping functions here.
 * No state, no locale of its own.
 */
#ifndef TIDEMARK_REPORT_FORMAT_H
#define TIDEMARK_REPORT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A short text returned by value, so that a call can stand in an argument list of printf. */
struct tm_words {
    char text[40];
};

struct tm_words tm_words_bytes(uint64_t bytes); /* "12.3 MiB", "512 B" */
struct tm_words tm_words_signed(int64_t bytes); /* the same with a sign where negative */
struct tm_words tm_words_exact(int64_t number); /* "1,234,567" */
struct tm_words tm_words_time(uint64_t ns);     /* "1.2 ms", "3 min 20 s" */
struct tm_words tm_words_percent(uint64_t part,
                                 uint64_t whole); /* "12 %", "0.4 %"; "-" for a whole of 0 */

/* A figure in bytes with its standard error in the same unit: "412.0 MiB +- 9.3". Without one
 * (error 0) the figure alone; few: "~1.2 MiB (too few)". */
struct tm_words tm_words_error(double bytes, double error, bool few);

/* Bytes of the UTF-8 character that text begins with, if it can be shown as it is, in whatever
 * place; 0: it is none, or one that a terminal obeys or that changes how others look. length > 0.
 */
size_t tm_plain_character(const char *text, size_t length);

/* Makes every such byte a '?', and blanks a blank: for text that is put into sentences. */
void tm_make_plain(char *text);

/* Writes at most `columns` columns of `length` bytes as text that cannot move a terminal's cursor:
 * control characters, invisible direction marks and bytes that are not UTF-8 become \xNN or
 * \u{NNNN}. utf8: whether the terminal shows UTF-8; if not, everything outside ASCII is escaped.
 * What does not fit ends in "...". Returns the columns written. */
size_t tm_print_escaped(FILE *out, const char *text, size_t length, size_t columns, bool utf8);

/* Writes a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void tm_print_json_string(FILE *out, const char *text, size_t length);

#endif
