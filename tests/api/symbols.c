/* symbols.c: every symbol of the family is there, comes from the allocator under test and works
 * with the others' blocks. TIDEMARK_API_LIBRARY holds the path of the preloaded library; without it
 * libc is expected to have it all. */
#include "check.h"

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>

/* The function of that name, which must lie in the library under test. */
static void *own(const char *name)
{
    const char *expected = getenv("TIDEMARK_API_LIBRARY");
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (symbol == NULL)
        fail("%s: there is no such symbol", name);
    Dl_info info;
    CHECK(dladdr(symbol, &info) != 0);
    if (expected == NULL || *expected == '\0')
        return symbol;
    char wanted[PATH_MAX], found[PATH_MAX];
    CHECK(realpath(expected, wanted) != NULL);
    if (realpath(info.dli_fname, found) == NULL || strcmp(wanted, found) != 0)
        fail("%s comes from %s", name, info.dli_fname);
    return symbol;
}

typedef void *one_size(size_t);
typedef void *two_sizes(size_t, size_t);
typedef void *resize(void *, size_t);
typedef void *resize_array(void *, size_t, size_t);
typedef int aligned_by_pointer(void **, size_t, size_t);
typedef void give_back(void *);
typedef void give_back_sized(void *, size_t);
typedef void give_back_aligned(void *, size_t, size_t);

static void use(void *ptr, size_t size)
{
    CHECK(opaque(ptr) != NULL);
    CHECK(aligned_to(ptr, 16));
    CHECK(malloc_usable_size(ptr) >= size);
    memset(ptr, 0x33, size);
}

static void by_one_size(const char *name)
{
    one_size *allocate = (one_size *)own(name);
    for (size_t size = 0; size < 3 * MIB; size = size * 2 + 13) {
        void *ptr = allocate(size);
        use(ptr, size);
        free(ptr);
    }
}

static void by_alignment(const char *name)
{
    two_sizes *allocate = (two_sizes *)own(name);
    for (size_t size = 0; size < 3 * MIB; size = size * 2 + 13) {
        void *ptr = allocate(256, size);
        use(ptr, size);
        CHECK(aligned_to(ptr, 256));
        free(ptr);
    }
}

static void by_resize(const char *name)
{
    resize *reallocate = (resize *)own(name);
    void *ptr = reallocate(NULL, 100);
    use(ptr, 100);
    for (size_t size = 200; size < 3 * MIB; size *= 3) {
        ptr = reallocate(ptr, size);
        use(ptr, size);
    }
    free(ptr);
    CHECK(opaque(reallocate(malloc(100), 0)) == NULL);
}

static void by_pointer(const char *name)
{
    aligned_by_pointer *allocate = (aligned_by_pointer *)own(name);
    void *ptr = NULL;
    CHECK(allocate(&ptr, 512, 1000) == 0);
    use(ptr, 1000);
    CHECK(aligned_to(ptr, 512));
    free(ptr);
    CHECK(allocate(&ptr, 3, 1000) == EINVAL);
}

static void by_give_back(const char *name)
{
    give_back *release = (give_back *)own(name);
    release(NULL);
    size_t before = resident_bytes();
    for (size_t i = 0; i < 256; i++) {
        void *ptr = malloc(MIB);
        use(ptr, MIB);
        errno = 4242;
        release(ptr);
        CHECK(errno == 4242);
    }
    CHECK(resident_bytes() < before + 64 * MIB); /* it really frees */
}

static void malloc_(void)
{
    by_one_size("malloc");
}
static void valloc_(void)
{
    by_one_size("valloc");
}
static void pvalloc_(void)
{
    by_one_size("pvalloc");
}
static void libc_malloc(void)
{
    by_one_size("__libc_malloc");
}
static void libc_valloc(void)
{
    by_one_size("__libc_valloc");
}
static void libc_pvalloc(void)
{
    by_one_size("__libc_pvalloc");
}
static void memalign_(void)
{
    by_alignment("memalign");
}
static void libc_memalign(void)
{
    by_alignment("__libc_memalign");
}
static void aligned_alloc_(void)
{
    by_alignment("aligned_alloc");
}
static void realloc_(void)
{
    by_resize("realloc");
}
static void libc_realloc(void)
{
    by_resize("__libc_realloc");
}
static void posix_memalign_(void)
{
    by_pointer("posix_memalign");
}
static void posix_memalign_internal(void)
{
    by_pointer("__posix_memalign");
}
static void free_(void)
{
    by_give_back("free");
}
static void cfree_(void)
{
    by_give_back("cfree");
}
static void libc_free(void)
{
    by_give_back("__libc_free");
}

static void by_count(const char *name)
{
    two_sizes *allocate = (two_sizes *)own(name);
    for (size_t size = 1; size < 3 * MIB; size = size * 2 + 13) {
        void *ptr = opaque(allocate(size, 3));
        CHECK(ptr != NULL && all_zero(ptr, 3 * size));
        use(ptr, 3 * size);
        free(ptr);
    }
    CHECK(opaque(allocate(SIZE_MAX / 2, 3)) == NULL);
}

static void calloc_(void)
{
    by_count("calloc");
}
static void libc_calloc(void)
{
    by_count("__libc_calloc");
}

static void reallocarray_(void)
{
    resize_array *reallocate = (resize_array *)own("reallocarray");
    void *ptr = reallocate(NULL, 30, 40);
    use(ptr, 1200);
    ptr = reallocate(ptr, 3000, 400);
    use(ptr, 1200000);
    free(ptr);
}

static void free_sized_(void)
{
    give_back_sized *release = (give_back_sized *)own("free_sized");
    release(NULL, 0);
    size_t before = resident_bytes();
    for (size_t i = 0; i < 256; i++) {
        release(memset(malloc(MIB), 1, MIB), MIB);
        release(malloc(i), i);
        release(calloc(i, 30), i * 30);
        release(realloc(malloc(10), i + 1), i + 1);
    }
    CHECK(resident_bytes() < before + 64 * MIB);
}

static void free_aligned_sized_(void)
{
    give_back_aligned *release = (give_back_aligned *)own("free_aligned_sized");
    release(NULL, 64, 100);
    size_t before = resident_bytes();
    for (size_t i = 0; i < 256; i++) {
        release(memset(aligned_alloc(4096, MIB), 1, MIB), 4096, MIB);
        release(aligned_alloc(64, i * 64), 64, i * 64);
    }
    CHECK(resident_bytes() < before + 64 * MIB);
}

static void malloc_usable_size_(void)
{
    size_t (*usable)(void *) = (size_t(*)(void *))own("malloc_usable_size");
    void *ptr = malloc(1000);
    CHECK(usable(ptr) >= 1000 && usable(NULL) == 0);
    free(ptr);
}

static void by_option(const char *name)
{
    int (*option)(int, int) = (int (*)(int, int))own(name);
    /* 1 is success; what an allocator does with the advice is its own affair, but memory still
     * comes. */
    CHECK(option(M_TRIM_THRESHOLD, 128 * KIB) == 1);
    CHECK(option(M_MMAP_THRESHOLD, 256 * KIB) == 1);
    void *ptr = malloc(300 * KIB);
    use(ptr, 300 * KIB);
    free(ptr);
}

static void mallopt_(void)
{
    by_option("mallopt");
}
static void libc_mallopt(void)
{
    by_option("__libc_mallopt");
}

static void malloc_trim_(void)
{
    int (*trim)(size_t) = (int (*)(size_t))own("malloc_trim");
    enum { BLOCKS = 200000 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        memset(blocks[i] = malloc(400), 1, 400);
    size_t full = resident_bytes();
    for (size_t i = 0; i < BLOCKS; i++)
        if (i % 100 != 0)
            free(blocks[i]);
    int gave = trim(0);
    CHECK(gave == 0 || gave == 1);
    if (resident_bytes() > full / 2)
        fail("RSS %zu MiB before, %zu MiB after 99 %% was freed and trimmed", full / MIB,
             resident_bytes() / MIB);
    for (size_t i = 0; i < BLOCKS; i += 100)
        free(blocks[i]);
    gave = trim(0);
    CHECK(gave == 0 || gave == 1);
}

static void malloc_stats_(void)
{
    void (*stats)(void) = (void (*)(void))own("malloc_stats");
    stats(); /* to stderr, by its definition */
}

static void by_info(const char *name)
{
    struct mallinfo (*info)(void) = (struct mallinfo(*)(void))own(name);
    void *ptr = malloc(10 * MIB);
    struct mallinfo now = info();
    CHECK((size_t)(unsigned)now.uordblks + (size_t)(unsigned)now.hblkhd >= 10 * MIB);
    free(ptr);
}

static void mallinfo_(void)
{
    by_info("mallinfo");
}
static void libc_mallinfo(void)
{
    by_info("__libc_mallinfo");
}

static void mallinfo2_(void)
{
    struct mallinfo2 (*info)(void) = (struct mallinfo2(*)(void))own("mallinfo2");
    struct mallinfo2 before = info();
    void *ptr = malloc(100 * MIB);
    struct mallinfo2 with = info();
    /* One large block shows in the bytes in use, whether an allocator counts it as mapped apart or
     * with the rest. */
    CHECK(with.uordblks + with.hblkhd >= before.uordblks + before.hblkhd + 100 * MIB);
    free(ptr);
    struct mallinfo2 after = info();
    CHECK(after.uordblks + after.hblkhd < with.uordblks + with.hblkhd);
}

static void malloc_info_(void)
{
    int (*info)(int, FILE *) = (int (*)(int, FILE *))own("malloc_info");
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK(info(0, file) == 0);
    CHECK(info(1, file) != 0); /* no options are defined */
    long length = ftell(file);
    CHECK(length > 20);
    rewind(file);
    char text[8] = "";
    CHECK(fread(text, 1, 7, file) == 7);
    CHECK(strcmp(text, "<malloc") == 0);
    fclose(file);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"malloc", malloc_},
        {"calloc", calloc_},
        {"realloc", realloc_},
        {"free", free_},
        {"cfree", cfree_},
        {"memalign", memalign_},
        {"valloc", valloc_},
        {"pvalloc", pvalloc_},
        {"aligned_alloc", aligned_alloc_},
        {"posix_memalign", posix_memalign_},
        {"reallocarray", reallocarray_},
        {"free_sized", free_sized_},
        {"free_aligned_sized", free_aligned_sized_},
        {"malloc_usable_size", malloc_usable_size_},
        {"mallopt", mallopt_},
        {"malloc_trim", malloc_trim_},
        {"malloc_stats", malloc_stats_},
        {"mallinfo", mallinfo_},
        {"mallinfo2", mallinfo2_},
        {"malloc_info", malloc_info_},
        {"__libc_malloc", libc_malloc},
        {"__libc_calloc", libc_calloc},
        {"__libc_realloc", libc_realloc},
        {"__libc_free", libc_free},
        {"__libc_memalign", libc_memalign},
        {"__libc_valloc", libc_valloc},
        {"__libc_pvalloc", libc_pvalloc},
        {"__libc_mallinfo", libc_mallinfo},
        {"__libc_mallopt", libc_mallopt},
        {"__posix_memalign", posix_memalign_internal},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
