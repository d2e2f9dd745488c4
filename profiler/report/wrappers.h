/* wrappers.h: which functions are not meant when somebody asks who allocates: they stand between
 * the allocator and the program, for many callers alike. The list is short and fixed; nothing is
 * guessed from a name's shape.
 */
#ifndef TIDEMARK_REPORT_WRAPPERS_H
#define TIDEMARK_REPORT_WRAPPERS_H

#include <stdbool.h>

/* Whether a function, by its demangled name with or without parameters, is one of them. NULL (an
 * unknown function) is not. */
bool tm_is_wrapper(const char *function);

#endif
