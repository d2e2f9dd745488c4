/* grow.c: a buffer that grows to TOTAL bytes by realloc in steps of STEP, as a program does that
 * reads a stream of unknown length; of each step one byte is written. At the end it is checked that
 * nothing was lost. growth.py counts the instructions: whoever copies the buffer needs many more.
 *
 * usage: grow TOTAL STEP
 */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: grow TOTAL STEP\n", stderr);
        return 2;
    }
    size_t total = strtoul(argv[1], NULL, 10);
    size_t step = strtoul(argv[2], NULL, 10);
    if (step == 0 || total < step) {
        fprintf(stderr, "grow: TOTAL %zu and STEP %zu: 0 < STEP <= TOTAL is wanted\n", total, step);
        return 2;
    }
    unsigned char *buffer = NULL;
    for (size_t size = step; size <= total; size += step) {
        unsigned char *grown = realloc(buffer, size);
        if (grown == NULL) {
            fprintf(stderr, "grow: realloc to %zu bytes failed\n", size);
            free(buffer);
            return 1;
        }
        buffer = grown;
        buffer[size - 1] = (unsigned char)(size / step);
    }
    for (size_t size = step; size <= total; size += step)
        if (buffer[size - 1] != (unsigned char)(size / step)) {
            fprintf(stderr, "grow: the byte at %zu was lost\n", size - 1);
            free(buffer);
            return 1;
        }
    free(buffer);
    return 0;
}
