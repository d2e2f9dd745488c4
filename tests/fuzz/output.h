/* output.h: what a tool writes about a hostile input, looked at: text that can do nothing to a
 * terminal, JSON that is JSON, pages in which no name can end the data.
 */
#ifndef TIDEMARK_TESTS_FUZZ_OUTPUT_H
#define TIDEMARK_TESTS_FUZZ_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

struct fuzz_output {
    FILE *to;
    char *text;
    size_t size;
};

/* A stream into memory; one of the others closes it. */
FILE *fuzz_output_open(struct fuzz_output *output);

/* Lines of UTF-8 without control characters. ascii: no others than those of ASCII. */
void fuzz_output_is_text(struct fuzz_output *output, int ascii);
/* One value of JSON, in UTF-8. */
void fuzz_output_is_json(struct fuzz_output *output);
/* HTML in which nothing starts an element but the template, of which these are the parts. */
void fuzz_output_is_page(struct fuzz_output *output, const char *before, const char *after);

#endif
