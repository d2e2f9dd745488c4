/* rules.c: what malloc, calloc, realloc, reallocarray, free and malloc_usable_size promise, one
 * call at a time. */
#include "check.h"

#include <malloc.h>

#define PAST_PTRDIFF_MAX ((size_t)PTRDIFF_MAX + 1)

static void malloc_zero_is_unique(void)
{
    void *a = opaque(malloc(opaque_size(0)));
    void *b = opaque(malloc(opaque_size(0)));
    CHECK(a != NULL && b != NULL && a != b);
    free(a);
    free(b);
}

static void malloc_past_ptrdiff_max(void)
{
    static const size_t sizes[] = {PAST_PTRDIFF_MAX, PAST_PTRDIFF_MAX + 4096, SIZE_MAX - 4096,
                                   SIZE_MAX - 15, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 0;
        CHECK(opaque(malloc(opaque_size(sizes[i]))) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void malloc_ptrdiff_max_is_refused(void)
{
    /* The address space is smaller than that, so the kernel refuses: the allocator passes it on. */
    errno = 0;
    CHECK(opaque(malloc(opaque_size(PTRDIFF_MAX))) == NULL);
    CHECK(errno == ENOMEM);
    errno = 0;
    CHECK(opaque(malloc(opaque_size((size_t)1 << 48))) == NULL);
    CHECK(errno == ENOMEM);
}

static void malloc_keeps_errno(void)
{
    static const size_t sizes[] = {1, 1000, 100000, 10 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 4242;
        void *ptr = opaque(malloc(opaque_size(sizes[i])));
        CHECK(ptr != NULL && errno == 4242);
        free(ptr);
    }
}

static void free_null(void)
{
    errno = 4242;
    free(opaque(NULL));
    CHECK(errno == 4242);
}

static void free_keeps_errno(void)
{
    static const size_t sizes[] = {1,      100, 5000,    40000,    130000,
                                   300000, MIB, 9 * MIB, 64 * MIB, 256 * (size_t)MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *ptr = opaque(malloc(sizes[i]));
        CHECK(ptr != NULL);
        errno = 4242;
        free(ptr);
        CHECK(errno == 4242);
    }
}

static void calloc_overflow(void)
{
    static const size_t pairs[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {SIZE_MAX / 8 + 2, 8},
        {SIZE_MAX, 1},
        {1, SIZE_MAX},
        {(size_t)1 << 32, (size_t)1 << 32},
        {1, PAST_PTRDIFF_MAX},
        {SIZE_MAX / 16 + 1, 17},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        errno = 0;
        CHECK(opaque(calloc(opaque_size(pairs[i][0]), opaque_size(pairs[i][1]))) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void calloc_zero_count(void)
{
    void *a = opaque(calloc(opaque_size(0), opaque_size(8)));
    void *b = opaque(calloc(opaque_size(8), opaque_size(0)));
    void *c = opaque(calloc(opaque_size(0), opaque_size(SIZE_MAX)));
    CHECK(a != NULL && b != NULL && c != NULL && a != b && b != c);
    free(a);
    free(b);
    free(c);
}

static void realloc_null_allocates(void)
{
    char *ptr = opaque(realloc(opaque(NULL), opaque_size(100)));
    CHECK(ptr != NULL && malloc_usable_size(ptr) >= 100);
    fill(ptr, 100, 1);
    free(ptr);
    void *zero = opaque(realloc(opaque(NULL), opaque_size(0)));
    CHECK(zero != NULL);
    free(zero);
}

static void realloc_to_zero_frees(void)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 100000, MIB, 20 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *ptr = opaque(malloc(sizes[i]));
        CHECK(ptr != NULL);
        CHECK(opaque(realloc(ptr, opaque_size(0))) == NULL);
    }
    /* It really frees: 1 GiB in all would show. */
    size_t before = resident_bytes();
    for (unsigned i = 0; i < 1024; i++) {
        void *ptr = opaque(malloc(MIB));
        CHECK(ptr != NULL);
        memset(ptr, 1, MIB);
        CHECK(opaque(realloc(ptr, opaque_size(0))) == NULL);
    }
    CHECK(resident_bytes() < before + 64 * MIB);
}

static void realloc_failure_keeps_the_block(void)
{
    static const size_t sizes[] = {16, 700, 40000, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *ptr = opaque(malloc(sizes[i]));
        CHECK(ptr != NULL);
        fill(ptr, sizes[i], 3);
        static const size_t wanted[] = {PAST_PTRDIFF_MAX, SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX,
                                        (size_t)1 << 48};
        for (size_t j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
            errno = 0;
            CHECK(opaque(realloc(ptr, opaque_size(wanted[j]))) == NULL);
            CHECK(errno == ENOMEM);
            CHECK(intact(ptr, sizes[i], 3) == sizes[i]);
        }
        free(ptr);
    }
}

static void realloc_within_usable_stays(void)
{
    for (size_t size = 1; size < 40 * MIB; size = size * 5 / 4 + 1) {
        char *ptr = opaque(malloc(size));
        CHECK(ptr != NULL);
        size_t usable = malloc_usable_size(ptr);
        CHECK(usable >= size);
        void *moved = opaque(realloc(opaque(ptr), usable));
        if (moved != ptr)
            fail("realloc of a block of %zu bytes to its %zu usable ones moved it", size, usable);
        CHECK(malloc_usable_size(ptr) >= usable);
        free(ptr);
    }
}

static void realloc_keeps_errno(void)
{
    char *ptr = NULL;
    size_t size = 1;
    for (; size < 40 * MIB; size = size * 3 + 1) {
        errno = 4242;
        ptr = opaque(realloc(ptr, size));
        CHECK(ptr != NULL && errno == 4242);
    }
    for (; size > 0; size /= 3) {
        errno = 4242;
        ptr = opaque(realloc(ptr, size));
        CHECK(ptr != NULL && errno == 4242);
    }
    free(ptr);
}

static void reallocarray_multiplies(void)
{
    unsigned char *ptr = opaque(reallocarray(NULL, 10, 30));
    CHECK(ptr != NULL && malloc_usable_size(ptr) >= 300);
    fill(ptr, 300, 5);
    ptr = opaque(reallocarray(ptr, 1000, 1000));
    CHECK(ptr != NULL && malloc_usable_size(ptr) >= 1000000);
    CHECK(intact(ptr, 300, 5) == 300);
    errno = 0;
    CHECK(opaque(reallocarray(opaque(ptr), opaque_size((size_t)1 << 33),
                              opaque_size((size_t)1 << 32))) == NULL);
    CHECK(errno == ENOMEM);
    errno = 0;
    CHECK(opaque(reallocarray(opaque(ptr), opaque_size(SIZE_MAX / 2 + 2), opaque_size(2))) == NULL);
    CHECK(errno == ENOMEM);
    CHECK(intact(ptr, 300, 5) == 300);
    free(ptr);
}

static void usable_size_null(void)
{
    CHECK(malloc_usable_size(opaque(NULL)) == 0);
}

static void usable_size_is_stable(void)
{
    enum { BLOCKS = 300 };
    static void *blocks[BLOCKS];
    static size_t usable[BLOCKS];
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = opaque(malloc(next_random(&random) % (i % 10 == 0 ? 3 * (size_t)MIB : 3000)));
        CHECK(blocks[i] != NULL);
        usable[i] = malloc_usable_size(blocks[i]);
    }
    for (size_t i = 0; i < BLOCKS; i += 2)
        free(blocks[i]);
    for (size_t i = 1; i < BLOCKS; i += 2) {
        CHECK(malloc_usable_size(blocks[i]) == usable[i]);
        memset(blocks[i], 0xa5, usable[i]);
        CHECK(malloc_usable_size(blocks[i]) == usable[i]);
        free(blocks[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"malloc_zero_is_unique", malloc_zero_is_unique},
        {"malloc_past_ptrdiff_max", malloc_past_ptrdiff_max},
        {"malloc_ptrdiff_max_is_refused", malloc_ptrdiff_max_is_refused},
        {"malloc_keeps_errno", malloc_keeps_errno},
        {"free_null", free_null},
        {"free_keeps_errno", free_keeps_errno},
        {"calloc_overflow", calloc_overflow},
        {"calloc_zero_count", calloc_zero_count},
        {"realloc_null_allocates", realloc_null_allocates},
        {"realloc_to_zero_frees", realloc_to_zero_frees},
        {"realloc_failure_keeps_the_block", realloc_failure_keeps_the_block},
        {"realloc_within_usable_stays", realloc_within_usable_stays},
        {"realloc_keeps_errno", realloc_keeps_errno},
        {"reallocarray_multiplies", reallocarray_multiplies},
        {"usable_size_null", usable_size_null},
        {"usable_size_is_stable", usable_size_is_stable},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
