/* alloc_mode.h: the two ways in which the allocator is fuzzed; a target links one of alloc_fast.c
 * and alloc_full.c. */
#ifndef TIDEMARK_TESTS_FUZZ_ALLOC_MODE_H
#define TIDEMARK_TESTS_FUZZ_ALLOC_MODE_H

#include <stdbool.h>

/* check=full: freed blocks wait before they go back. */
extern const bool alloc_mode_full;

#endif
