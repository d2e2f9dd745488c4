/* stacks.c: whatever a program may use as a stack, and what becomes of it: coroutines on stacks
 * from malloc, from mmap with guard pages, and of static memory, that are given back, made smaller,
 * and made anew at the same place; threads on the least stack that libc gives, and on a part of a
 * larger mapping; signals on other stacks; recursion deeper than any table; frames whose size
 * changes from call to call. The recorder must read nothing that is not there, and use little of
 * what is.
 */
#include "tests/sites_stress/coroutine.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
    PAGE = 4096,
    KIB = 1024,
    SMALL_STACK = 8 * KIB,
    MOST_STACK_USED = 4 * KIB, /* of one request, unwinding included */
};

static void *kept;

static void *map(size_t bytes)
{
    void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED);
    return place;
}

__attribute__((noinline)) static void allocate_below(unsigned frames, size_t size)
{
    if (frames == 0)
        allocate(size);
    else
        allocate_below(frames - 1, size);
    opaque(NULL);
}

static void some_sizes(void)
{
    for (unsigned i = 1; i < 40; i++)
        allocate_below(i % 10, i * 37);
    allocate(300 * KIB);
}

/* ---- coroutines ---- */

static char in_static_memory[SMALL_STACK];

static void coroutines(void)
{
    for (unsigned round = 0; round < 300; round++) {
        size_t bytes = SMALL_STACK + round % 3 * PAGE;
        char *block = malloc(bytes);
        CHECK(block != NULL);
        run_on(block, bytes, some_sizes);
        free(block);
        run_on(in_static_memory, sizeof in_static_memory, some_sizes);
        char *guarded = map(bytes + 2 * PAGE);
        CHECK(mprotect(guarded, PAGE, PROT_NONE) == 0);
        CHECK(mprotect(guarded + PAGE + bytes, PAGE, PROT_NONE) == 0);
        run_on(guarded + PAGE, bytes, some_sizes);
        CHECK(munmap(guarded, bytes + 2 * PAGE) == 0);
    }
}

/* Allocates with the stack pointer near `aim`, wherever the stack begins: the frame in between is
 * as large as that needs. */
static char *aim;

__attribute__((noinline)) static void allocate_at_aim(void)
{
    char *here = __builtin_frame_address(0);
    char room[(size_t)(here - aim) & ~(size_t)63];
    opaque(room);
    allocate_below(0, 100);
    opaque(room);
}

/* A stack is used and then, before the clock ticks, what was its upper part is gone and the lower
 * part is a stack. The innermost frames are where they were the last time; the outer ones would be
 * where nothing is. */
static void shrunk(bool unmapped)
{
    const size_t large = 256 * KIB, small = 16 * KIB;
    for (unsigned i = 0; i < 300; i++) {
        char *stack = map(large);
        aim = stack + 8 * KIB;
        run_on(stack, large, allocate_at_aim);
        if (unmapped)
            CHECK(munmap(stack + small, large - small) == 0);
        else
            CHECK(mprotect(stack + small, large - small, PROT_NONE) == 0);
        run_on(stack, small, allocate_at_aim);
        run_on(stack, small, some_sizes);
        CHECK(munmap(stack, unmapped ? small : large) == 0);
    }
}

static void shrunk_by_unmapping(void)
{
    shrunk(true);
}

static void shrunk_by_protecting(void)
{
    shrunk(false);
}

/* ---- threads ---- */

static void *sizes_on_thread(void *nothing)
{
    some_sizes();
    return nothing;
}

static void on_thread(void *stack, size_t bytes, void *(*body)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stack, bytes) == 0);
    CHECK(pthread_create(&thread, &attributes, body, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

/* The descriptor, thread-local variables and the kernel's part of a stack of 16 KiB are on it, too.
 */
static void least_thread_stack(void)
{
    size_t bytes = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    char *place = map(bytes + 2 * PAGE);
    CHECK(mprotect(place, PAGE, PROT_NONE) == 0);
    CHECK(mprotect(place + PAGE + bytes, PAGE, PROT_NONE) == 0);
    for (unsigned i = 0; i < 100; i++)
        on_thread(place + PAGE, bytes, sizes_on_thread, NULL);
}

/* A thread at the upper end of a mapping whose lower part it uses for coroutines, and gives back.
 */
static void *coroutines_below(void *area)
{
    allocate(50);
    aim = (char *)area + 8 * KIB;
    sleep_ms(20);
    run_on(area, 512 * KIB, allocate_at_aim);
    sleep_ms(20);
    CHECK(munmap((char *)area + 256 * KIB, 256 * KIB) == 0);
    run_on(area, 256 * KIB, allocate_at_aim);
    return NULL;
}

static void thread_in_larger_mapping(void)
{
    char *area = map(1024 * KIB);
    on_thread(area + 768 * KIB, 256 * KIB, coroutines_below, area);
    CHECK(munmap(area, 1024 * KIB) == 0);
}

/* Threads that follow each other on stacks whose place another mapping takes meanwhile. */
static void thread_stacks_that_come_again(void)
{
    for (unsigned i = 0; i < 300; i++) {
        size_t bytes = 64 * KIB + i % 5 * 16 * KIB;
        char *stack = map(bytes);
        on_thread(stack, bytes, sizes_on_thread, NULL);
        CHECK(munmap(stack, bytes) == 0);
    }
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;

static void allocate_in_handler(int number)
{
    some_sizes();
    handled = handled + number;
}

/* Raised, so that it does not interrupt malloc. */
static void alternate_stack(void)
{
    size_t bytes = SMALL_STACK;
    char *place = map(bytes + 2 * PAGE);
    CHECK(mprotect(place, PAGE, PROT_NONE) == 0);
    CHECK(mprotect(place + PAGE + bytes, PAGE, PROT_NONE) == 0);
    stack_t stack = {.ss_sp = place + PAGE, .ss_size = bytes};
    struct sigaction action = {.sa_handler = allocate_in_handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(raise(SIGUSR1) == 0);
        allocate_below(i % 20, 100);
    }
    CHECK(handled == 100 * SIGUSR1);
}

/* ---- how much, how deep ---- */

static void take_one(void)
{
    kept = opaque(malloc(100));
}

static void take_large(void)
{
    kept = opaque(malloc(300 * KIB));
}

static void grow(void)
{
    kept = opaque(realloc(kept, 900 * KIB));
}

static void give(void)
{
    free(opaque(kept));
}

/* On a stack that was filled with a pattern; what a request used has another one. */
static size_t stack_used_by(void (*request)(void))
{
    enum { BYTES = 64 * KIB, PATTERN = 0xa5 };
    unsigned char *stack = map(BYTES);
    memset(stack, PATTERN, BYTES);
    run_on(stack, BYTES, request);
    size_t untouched = 0;
    while (untouched < BYTES && stack[untouched] == PATTERN)
        untouched++;
    CHECK(munmap(stack, BYTES) == 0);
    return BYTES - untouched;
}

static void stack_use(void)
{
    void (*const requests[])(void) = {take_one, give, take_large, grow, give, some_sizes};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        sleep_ms(8); /* what is known of a stack may hold for a tick of the clock */
        size_t used = stack_used_by(requests[i]);
        if (used > MOST_STACK_USED)
            fprintf(stderr, "request %zu used %zu bytes of stack\n", i, used);
        CHECK(used <= MOST_STACK_USED);
    }
}

__attribute__((noinline)) static void recurse(unsigned frames)
{
    void *block = opaque(malloc(48));
    CHECK(block != NULL);
    if (frames > 0)
        recurse(frames - 1);
    free(opaque(block));
}

static void *recurse_on_thread(void *frames)
{
    recurse(*(unsigned *)frames);
    return NULL;
}

/* After it there must be room in the tables for whatever comes. */
static void deep_recursion(void)
{
    const size_t bytes = 32 * KIB * KIB;
    unsigned frames = 100000;
    char *stack = map(bytes);
    on_thread(stack, bytes, recurse_on_thread, &frames);
    struct tm_snapshot_recording before = recording_now();
    allocate_below(7, 3333);
    struct tm_snapshot_recording after = recording_now();
    CHECK(after.shortened == before.shortened || !is_unwinding());
    CHECK(after.frame_count <= 400000);
}

__attribute__((noinline)) static void allocate_in_moving_frame(unsigned step)
{
    char room[16 + step * 48 % 4096];
    opaque(room);
    allocate(64);
    opaque(room);
}

static void moving_frames(void)
{
    for (unsigned i = 0; i < 20000; i++)
        allocate_in_moving_frame(i);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"coroutines", coroutines},
        {"shrunk_by_unmapping", shrunk_by_unmapping},
        {"shrunk_by_protecting", shrunk_by_protecting},
        {"least_thread_stack", least_thread_stack},
        {"thread_in_larger_mapping", thread_in_larger_mapping},
        {"thread_stacks_that_come_again", thread_stacks_that_come_again},
        {"alternate_stack", alternate_stack},
        {"stack_use", stack_use},
        {"deep_recursion", deep_recursion},
        {"moving_frames", moving_frames},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
