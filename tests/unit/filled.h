/* filled.h: blocks of one size that the tests of pages that go back fill with a pattern each, so
 * that a page that went with a live block on it shows. */
#ifndef TIDEMARK_TESTS_UNIT_FILLED_H
#define TIDEMARK_TESTS_UNIT_FILLED_H

#include "allocator/tidemark_alloc.h"
#include "tests/unit/look.h"
#include "tests/unit/unit.h"

enum { MOST = 128 * 1024 };

/* NULL: freed. */
static unsigned char *blocks[MOST];

/* What block i is filled with: never 0. */
static inline unsigned char mark(size_t i)
{
    return (unsigned char)(1 + i % 251);
}

static inline void fill(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = tm_malloc(size);
        assert_non_null(blocks[i]);
        memset(blocks[i], mark(i), size);
    }
}

static inline void check_contents(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (blocks[i] != NULL && !all_bytes(blocks[i], mark(i), size))
            fail_msg("size %zu: live block %zu has changed", size, i);
}

static inline void free_all(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tm_free(blocks[i]);
        blocks[i] = NULL;
    }
}

#endif
