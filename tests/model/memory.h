/* memory.h: what memory.c (atomic words) and grains.c (plain bytes) share of the model checker. */
#ifndef TIDEMARK_TESTS_MODEL_MEMORY_H
#define TIDEMARK_TESTS_MODEL_MEMORY_H

#include "tests/model/inner.h"

/* Of each thread, how many of its operations happened before what `thread` does now. */
const uint32_t *memory_clock(int thread);

/* A new schedule begins, of that number. */
void grains_begin(unsigned number);
/* Notes an access, and fails if it races with one that was noted. */
void memory_access(const void *address, size_t bytes, bool write, bool atomic, const void *pc);

#endif
