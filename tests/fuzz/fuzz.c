/* fuzz.c: see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned long fuzz_reached_count;

void fuzz_reached(void)
{
    fuzz_reached_count++;
}

_Noreturn void fuzz_broken(const char *what)
{
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

FILE *fuzz_nowhere(void)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    fuzz_promise(nowhere != NULL, "/dev/null opens");
    return nowhere;
}

uint8_t fuzz_byte(struct fuzz_input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

uint16_t fuzz_word(struct fuzz_input *input)
{
    uint8_t low = fuzz_byte(input);
    return (uint16_t)(low | fuzz_byte(input) << 8);
}

struct fuzz_part fuzz_part(struct fuzz_input *input, const char *marker)
{
    size_t length = strlen(marker);
    size_t left = (size_t)(input->end - input->at);
    const uint8_t *stop = left > 0 ? memmem(input->at, left, marker, length) : NULL;
    struct fuzz_part part = {input->at, stop ? (size_t)(stop - input->at) : left};
    input->at = stop ? stop + length : input->end;
    return part;
}

char *fuzz_string(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        fuzz_broken("there is memory");
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

int fuzz_file(struct fuzz_part part)
{
    int file = memfd_create("input", MFD_CLOEXEC);
    fuzz_promise(file >= 0, "a file in memory can be made");
    for (size_t done = 0; done < part.size;) {
        ssize_t wrote = write(file, part.bytes + done, part.size - done);
        fuzz_promise(wrote > 0, "there is memory");
        done += (size_t)wrote;
    }
    lseek(file, 0, SEEK_SET);
    return file;
}
