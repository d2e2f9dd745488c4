/* alloc_full.c: alloc_fuzz.c under check=full. */
#include "tests/fuzz/alloc_mode.h"

const bool alloc_mode_full = true;
