/* shapes.h: functions of names.c. Their names in the symbol table hold what formats take for
 * separators (";", "#", quotes, a space, a byte that is no UTF-8), and more than a name may have.
 */
#ifndef TIDEMARK_TESTS_EXPORT_SHAPES_H
#define TIDEMARK_TESTS_EXPORT_SHAPES_H

#include <stddef.h>

__attribute__((visibility("hidden"))) void *tm_hard_name(size_t size)
#ifdef __clang__
    __asm__("at hard;name#1 'x\377y");
#else
    __asm__("\"at hard;name#1 'x\377y\""); /* the assembler wants such a name in quotes */
#endif

/* Its name has 608 bytes. */
__attribute__((visibility("hidden"))) void *tm_long_name(size_t size) __asm__(
    "at_long_"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");

#endif
