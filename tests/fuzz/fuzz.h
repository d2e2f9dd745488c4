/* fuzz.h: what all fuzz targets share. A target is one source with LLVMFuzzerTestOneInput(),
 * whoever makes the inputs: libFuzzer, AFL++ (which links a main of its own for that function) or
 * driver.c. A target says with fuzz_promise() what must hold whatever the input is, and with
 * fuzz_reached() that the input came past the first check, so that a run that tests nothing is
 * noticed (driver.c --least).
 */
#ifndef TIDEMARK_TESTS_FUZZ_H
#define TIDEMARK_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program with words if the promise is not kept. */
_Noreturn void fuzz_broken(const char *what);
static inline void fuzz_promise(bool kept, const char *what)
{
    if (!kept)
        fuzz_broken(what);
}

/* Calls of fuzz_reached(), since start. */
extern unsigned long fuzz_reached_count;
void fuzz_reached(void);

/* A stream into the void. */
FILE *fuzz_nowhere(void);

/* An input that is read from its start. Behind its end everything is 0. */
struct fuzz_input {
    const uint8_t *at, *end;
};

uint8_t fuzz_byte(struct fuzz_input *input);
uint16_t fuzz_word(struct fuzz_input *input); /* two bytes, the low one first */

/* A part of an input that a marker ends, or the input's end; *input goes on behind it. marker: text
 * that real parts do not have. */
struct fuzz_part {
    const uint8_t *bytes;
    size_t size;
};
struct fuzz_part fuzz_part(struct fuzz_input *input, const char *marker);

/* The bytes as a string that is the caller's to free. */
char *fuzz_string(const uint8_t *data, size_t size);

/* A descriptor of a file in memory with these bytes, from which they are read from the start. */
int fuzz_file(struct fuzz_part part);

#endif
