/* alloc_fast.c: alloc_fuzz.c as the allocator is by default. */
#include "tests/fuzz/alloc_mode.h"

const bool alloc_mode_full = false;
