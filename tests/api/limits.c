/* limits.c: RLIMIT_AS and RLIMIT_DATA, from the start and lowered while the program runs: what fits
 * is given, what does not is refused with ENOMEM, and after memory was freed it can be had again.
 */
#include "check.h"

#include <malloc.h>
#include <sys/wait.h>

/* Takes blocks of `size` until one is refused; returns how many bytes came. Frees all. */
static size_t exhaust(size_t size)
{
    void **chain = NULL;
    size_t got = 0;
    for (;;) {
        errno = 0;
        void **ptr = opaque(malloc(size));
        if (ptr == NULL)
            break;
        *ptr = chain;
        chain = ptr;
        got += size;
    }
    CHECK(errno == ENOMEM);
    while (chain != NULL) {
        void **next = *chain;
        errno = 4242;
        free(chain);
        CHECK(errno == 4242);
        chain = next;
    }
    return got;
}

/* At least half of the room must be usable in blocks of each size, again and again. */
static void use_up(size_t room)
{
    static const size_t sizes[] = {64, 1000, 30000, 200000, MIB, 9 * MIB};
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t got = exhaust(sizes[i]);
            if (got < room / 2)
                fail("round %u: %zu KiB of %zu KiB could be had in blocks of %zu bytes", round,
                     got / KIB, room / KIB, sizes[i]);
            errno = 0;
            CHECK(opaque(malloc(2 * room)) == NULL && errno == ENOMEM);
            CHECK(opaque(calloc(2, room)) == NULL && errno == ENOMEM);
            void *ptr = NULL;
            CHECK(posix_memalign(&ptr, 4096, 2 * room) == ENOMEM);
        }
    }
}

static void address_space_lowered_while_running(void)
{
    size_t used = address_space_bytes();
    if (used == 0)
        skip("/proc/self/statm cannot be read");
    limit_address_space(used + 96 * MIB);
    use_up(96 * MIB);
}

static void run_self(const char *name, int resource, size_t bytes)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        skip("/proc/self/exe cannot be read");
    self[length] = '\0';
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit limit = {bytes, bytes};
        CHECK(setrlimit((__rlimit_resource_t)resource, &limit) == 0);
        execl(self, self, name, (char *)NULL);
        _exit(5);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child_under_address_limit(void)
{
    use_up(64 * MIB);
}

static void address_space_limited_from_the_start(void)
{
    run_self("child_under_address_limit", RLIMIT_AS, 128 * MIB);
}

static void child_under_tight_limit(void)
{
    for (size_t size = 1; size < 2 * MIB; size = size * 2 + 1)
        for (unsigned i = 0; i < 3; i++) {
            void *ptr = opaque(malloc(size));
            CHECK(ptr != NULL);
            memset(ptr, 1, size);
            free(ptr);
        }
    exhaust(100);
    exhaust(100000);
}

static void tight_address_space(void)
{
    run_self("child_under_tight_limit", RLIMIT_AS, 32 * MIB);
}

static void child_under_data_limit(void)
{
    use_up(32 * MIB);
}

static void data_limited_from_the_start(void)
{
    run_self("child_under_data_limit", RLIMIT_DATA, 64 * MIB);
}

static void limit_below_what_is_used(void)
{
    /* Nothing more can be mapped: what is there must go on serving. */
    static void *blocks[1000];
    for (unsigned i = 0; i < 1000; i++)
        CHECK((blocks[i] = opaque(malloc(1000))) != NULL);
    limit_address_space(MIB);
    for (unsigned i = 0; i < 1000; i += 2)
        free(blocks[i]);
    for (unsigned i = 0; i < 1000; i += 2) {
        CHECK((blocks[i] = opaque(malloc(1000))) != NULL);
        memset(blocks[i], 1, 1000);
    }
    errno = 0;
    CHECK(opaque(malloc(100 * MIB)) == NULL && errno == ENOMEM);
    for (unsigned i = 0; i < 1000; i++) {
        errno = 0;
        void *grown = opaque(realloc(blocks[i], 10 * MIB));
        CHECK(grown == NULL && errno == ENOMEM);
        free(blocks[i]);
    }
}

static void realloc_at_the_limit(void)
{
    size_t used = address_space_bytes();
    if (used == 0)
        skip("/proc/self/statm cannot be read");
    unsigned char *ptr = opaque(malloc(40 * MIB));
    CHECK(ptr != NULL);
    fill(ptr, MIB, 3);
    limit_address_space(used + 64 * MIB);
    errno = 0;
    CHECK(opaque(realloc(opaque(ptr), 300 * MIB)) == NULL && errno == ENOMEM);
    CHECK(intact(ptr, MIB, 3) == MIB);
    /* Growing where it lies needs only the difference, and shrinking needs nothing. */
    unsigned char *small = opaque(realloc(ptr, 2 * MIB));
    CHECK(small != NULL && intact(small, MIB, 3) == MIB);
    free(small);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"address_space_lowered_while_running", address_space_lowered_while_running},
        {"address_space_limited_from_the_start", address_space_limited_from_the_start},
        {"tight_address_space", tight_address_space},
        {"data_limited_from_the_start", data_limited_from_the_start},
        {"limit_below_what_is_used", limit_below_what_is_used},
        {"realloc_at_the_limit", realloc_at_the_limit},

    };
    /* Run by the above under their limits; not listed, as without one they would take all memory.
     */
    static const struct api_case children[] = {
        {"child_under_address_limit", child_under_address_limit},
        {"child_under_tight_limit", child_under_tight_limit},
        {"child_under_data_limit", child_under_data_limit},
    };
    if (argc == 2 && strncmp(argv[1], "child_", 6) == 0)
        return run_cases(argc, argv, children, sizeof children / sizeof children[0]);
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
