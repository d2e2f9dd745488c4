/* life.c: allocation before main and after it: preinit_array, constructors, atexit, destructors.
 * The order of those calls is the process's own, so one process does it all and the last function
 * says whether all were reached. */
#include "check.h"

#include <malloc.h>

static unsigned char *from_preinit, *from_constructor, *from_main, *from_atexit;
static bool chosen; /* the case that looks at the end is running */

static unsigned char *make(unsigned salt)
{
    unsigned char *ptr = opaque(malloc(1000));
    CHECK(ptr != NULL && malloc_usable_size(ptr) >= 1000);
    fill(ptr, 1000, salt);
    void *others[] = {opaque(calloc(10, 10)), opaque(realloc(NULL, 5000)),
                      opaque(memalign(64, 100)), opaque(malloc(MIB))};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK(others[i] != NULL);
        free(others[i]);
    }
    return ptr;
}

static void preinit(void)
{
    from_preinit = make(1);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor(101))) static void constructor(void)
{
    CHECK(intact(from_preinit, 1000, 1) == 1000);
    from_constructor = make(2);
}

static void at_the_end(void)
{
    if (!chosen)
        return;
    CHECK(intact(from_main, 1000, 3) == 1000);
    free(from_main);
    from_atexit = make(4);
}

__attribute__((destructor(101))) static void destructor(void)
{
    if (!chosen)
        return;
    CHECK(from_atexit != NULL && intact(from_atexit, 1000, 4) == 1000);
    free(from_atexit);
    free(make(5));
    static const char said[] = "reached the last destructor\n";
    CHECK(write(STDOUT_FILENO, said, sizeof said - 1) == sizeof said - 1);
}

static void before_main(void)
{
    CHECK(intact(from_preinit, 1000, 1) == 1000);
    CHECK(intact(from_constructor, 1000, 2) == 1000);
    from_preinit = opaque(realloc(from_preinit, 100000));
    CHECK(intact(from_preinit, 1000, 1) == 1000);
    free(from_preinit);
    free(from_constructor);
}

static void after_main(void)
{
    from_main = make(3);
    CHECK(atexit(at_the_end) == 0);
    chosen = true;
}

/* The run above in a child, to see that it came to its end. */
static void destructors_are_reached(void)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 40);
    if (length < 0)
        skip("/proc/self/exe cannot be read");
    strcpy(self + length, " after_main");
    FILE *child = popen(self, "r");
    CHECK(child != NULL);
    char line[64] = "";
    CHECK(fgets(line, sizeof line, child) != NULL);
    CHECK(strcmp(line, "reached the last destructor\n") == 0);
    CHECK(pclose(child) == 0);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"before_main", before_main},
        {"after_main", after_main},
        {"destructors_are_reached", destructors_are_reached},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
