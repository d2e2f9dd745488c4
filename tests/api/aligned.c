/* aligned.c: posix_memalign, aligned_alloc, memalign, valloc, pvalloc: alignment, errors, and that
 * such blocks are blocks like any other for free, realloc and malloc_usable_size. */
#include "check.h"

#include <malloc.h>

static const size_t any_size[] = {0, 1, 16, 17, 100, 512, 1000, 4096, 5000, 40000, 200000, 3000000};
enum { SIZES = sizeof any_size / sizeof any_size[0] };

static void use_and_free(void *ptr, size_t alignment, size_t size)
{
    CHECK(ptr != NULL);
    CHECK(aligned_to(ptr, alignment));
    size_t usable = malloc_usable_size(ptr);
    CHECK(usable >= size);
    memset(ptr, 0x5a, usable);
    free(ptr);
}

static void posix_memalign_aligns(void)
{
    for (size_t alignment = sizeof(void *); alignment <= 2 * MIB; alignment *= 2) {
        for (size_t i = 0; i < SIZES; i++) {
            void *ptr = NULL;
            errno = 4242;
            CHECK(posix_memalign(&ptr, alignment, any_size[i]) == 0);
            CHECK(errno == 4242);
            use_and_free(opaque(ptr), alignment, any_size[i]);
        }
    }
}

static void posix_memalign_bad_alignment(void)
{
    static const size_t bad[] = {0,  1,  2,    3,        4,           5,        7,
                                 9,  12, 24,   65,       4097,        SIZE_MAX, SIZE_MAX / 2,
                                 40, 48, 8191, 12 * MIB, SIZE_MAX - 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *ptr = &ptr;
        CHECK(posix_memalign(&ptr, opaque_size(bad[i]), 100) == EINVAL);
        CHECK(ptr == (void *)&ptr);
    }
}

static void posix_memalign_no_memory(void)
{
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 63,
                                   (size_t)1 << 48};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *ptr = &ptr;
        CHECK(posix_memalign(&ptr, 64, opaque_size(sizes[i])) == ENOMEM);
        CHECK(ptr == (void *)&ptr);
    }
}

static void posix_memalign_zero_size(void)
{
    void *a = NULL, *b = NULL;
    CHECK(posix_memalign(&a, 64, opaque_size(0)) == 0 && opaque(a) != NULL);
    CHECK(posix_memalign(&b, 64, opaque_size(0)) == 0 && opaque(b) != NULL);
    CHECK(a != b);
    free(a);
    free(b);
}

static void aligned_alloc_aligns(void)
{
    for (size_t alignment = 1; alignment <= 2 * MIB; alignment *= 2)
        for (size_t i = 0; i < SIZES; i++)
            use_and_free(opaque(aligned_alloc(alignment, any_size[i])), alignment, any_size[i]);
}

static void aligned_alloc_bad_alignment_0(void)
{
    errno = 0;
    CHECK(opaque(aligned_alloc(opaque_size(0), opaque_size(64))) == NULL);
    CHECK(errno == EINVAL);
}

static void aligned_alloc_bad_alignment_65(void)
{
    static const size_t bad[] = {3, 65, 100, 4097};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        CHECK(opaque(aligned_alloc(opaque_size(bad[i]), opaque_size(128))) == NULL);
        CHECK(errno == EINVAL);
    }
}

static void aligned_alloc_half_of_everything(void)
{
    /* A power of two, yet no request can meet it. */
    errno = 0;
    CHECK(opaque(aligned_alloc(opaque_size(SIZE_MAX / 2 + 1), opaque_size(64))) == NULL);
    CHECK(errno == EINVAL);
}

static void aligned_alloc_size_no_multiple(void)
{
    use_and_free(opaque(aligned_alloc(opaque_size(64), opaque_size(65))), 64, 65);
    use_and_free(opaque(aligned_alloc(opaque_size(4096), opaque_size(3))), 4096, 3);
}

static void aligned_alloc_size_before_alignment(void)
{
    /* Both wrong: the size is looked at first. */
    errno = 0;
    CHECK(opaque(aligned_alloc(opaque_size(65), opaque_size((size_t)PTRDIFF_MAX + 1))) == NULL);
    CHECK(errno == ENOMEM);
}

static void memalign_aligns(void)
{
    for (size_t alignment = 1; alignment <= 2 * MIB; alignment *= 2)
        for (size_t i = 0; i < SIZES; i++)
            use_and_free(opaque(memalign(alignment, any_size[i])), alignment, any_size[i]);
}

static void memalign_past_ptrdiff_max(void)
{
    errno = 0;
    CHECK(opaque(memalign(64, opaque_size((size_t)PTRDIFF_MAX + 1))) == NULL);
    CHECK(errno == ENOMEM);
    errno = 0;
    CHECK(opaque(memalign(64, opaque_size(SIZE_MAX - 32))) == NULL);
    CHECK(errno == ENOMEM);
}

static void valloc_pages(void)
{
    for (size_t i = 0; i < SIZES; i++)
        use_and_free(opaque(valloc(any_size[i])), 4096, any_size[i]);
    errno = 0;
    CHECK(opaque(valloc(opaque_size(SIZE_MAX - 100))) == NULL);
    CHECK(errno == ENOMEM);
}

static void pvalloc_whole_pages(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        void *ptr = opaque(pvalloc(any_size[i]));
        CHECK(ptr != NULL && aligned_to(ptr, 4096));
        CHECK(malloc_usable_size(ptr) >= (any_size[i] + 4095) / 4096 * 4096);
        memset(ptr, 0x5a, malloc_usable_size(ptr));
        free(ptr);
    }
    errno = 0;
    CHECK(opaque(pvalloc(opaque_size(SIZE_MAX - 100))) == NULL);
    CHECK(errno == ENOMEM);
}

static void huge_alignments(void)
{
    for (size_t alignment = 4 * MIB; alignment <= (size_t)1 << 30; alignment *= 2) {
        static const size_t sizes[] = {1, 100, 70000, 5 * MIB};
        void *blocks[4];
        for (size_t i = 0; i < 4; i++) {
            CHECK(posix_memalign(&blocks[i], alignment, sizes[i]) == 0);
            CHECK(aligned_to(opaque(blocks[i]), alignment));
            fill(blocks[i], sizes[i], (unsigned)i);
        }
        for (size_t i = 0; i < 4; i++) {
            CHECK(intact(blocks[i], sizes[i], (unsigned)i) == sizes[i]);
            free(blocks[i]);
        }
    }
}

static void alignment_of_2_to_the_46(void)
{
    /* Half of the user's address space: at most one such address, and it may be taken. Either
     * answer is right as long as it is an answer. */
    void *ptr = NULL;
    int error = posix_memalign(&ptr, opaque_size((size_t)1 << 46), 100);
    CHECK(error == ENOMEM || (error == 0 && aligned_to(ptr, (size_t)1 << 46)));
    if (error == 0) {
        memset(opaque(ptr), 1, 100);
        free(ptr);
    }
}

static void alignment_past_the_address_space(void)
{
    for (unsigned bit = 48; bit < 63; bit++) {
        void *ptr = &ptr;
        CHECK(posix_memalign(&ptr, opaque_size((size_t)1 << bit), 100) == ENOMEM);
        CHECK(ptr == (void *)&ptr);
    }
}

static void realloc_of_aligned(void)
{
    for (size_t alignment = 16; alignment <= MIB; alignment *= 4) {
        for (size_t i = 0; i < SIZES; i++) {
            for (size_t j = 0; j < SIZES; j++) {
                if (any_size[j] == 0)
                    continue;
                unsigned char *ptr = opaque(memalign(alignment, any_size[i]));
                CHECK(ptr != NULL);
                fill(ptr, any_size[i], 7);
                ptr = opaque(realloc(ptr, any_size[j]));
                CHECK(ptr != NULL && malloc_usable_size(ptr) >= any_size[j]);
                size_t kept = any_size[i] < any_size[j] ? any_size[i] : any_size[j];
                CHECK(intact(ptr, kept, 7) == kept);
                memset(ptr, 1, malloc_usable_size(ptr));
                free(ptr);
            }
        }
    }
}

static void many_aligned_blocks_keep_apart(void)
{
    enum { BLOCKS = 4000 };
    static void *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    uint64_t random = 1234567;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            if (round > 0 && next_random(&random) % 2 == 0)
                continue;
            if (blocks[i] != NULL) {
                CHECK(intact(blocks[i], sizes[i], i) == sizes[i]);
                free(blocks[i]);
            }
            size_t alignment = (size_t)8 << next_random(&random) % 10;
            sizes[i] = next_random(&random) % (i % 50 == 0 ? 100000 : 1500);
            CHECK(posix_memalign(&blocks[i], alignment, sizes[i]) == 0);
            CHECK(aligned_to(blocks[i], alignment));
            fill(blocks[i], sizes[i], i);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        CHECK(intact(blocks[i], sizes[i], i) == sizes[i]);
        free(blocks[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"posix_memalign_aligns", posix_memalign_aligns},
        {"posix_memalign_bad_alignment", posix_memalign_bad_alignment},
        {"posix_memalign_no_memory", posix_memalign_no_memory},
        {"posix_memalign_zero_size", posix_memalign_zero_size},
        {"aligned_alloc_aligns", aligned_alloc_aligns},
        {"aligned_alloc_bad_alignment_0", aligned_alloc_bad_alignment_0},
        {"aligned_alloc_bad_alignment_65", aligned_alloc_bad_alignment_65},
        {"aligned_alloc_half_of_everything", aligned_alloc_half_of_everything},
        {"aligned_alloc_size_no_multiple", aligned_alloc_size_no_multiple},
        {"aligned_alloc_size_before_alignment", aligned_alloc_size_before_alignment},
        {"memalign_aligns", memalign_aligns},
        {"memalign_past_ptrdiff_max", memalign_past_ptrdiff_max},
        {"valloc_pages", valloc_pages},
        {"pvalloc_whole_pages", pvalloc_whole_pages},
        {"huge_alignments", huge_alignments},
        {"alignment_of_2_to_the_46", alignment_of_2_to_the_46},
        {"alignment_past_the_address_space", alignment_past_the_address_space},
        {"realloc_of_aligned", realloc_of_aligned},
        {"many_aligned_blocks_keep_apart", many_aligned_blocks_keep_apart},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
