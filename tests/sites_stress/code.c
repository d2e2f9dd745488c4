/* code.c: callers of malloc that cannot be unwound, or only wrongly: code made at run time, without
 * unwind tables, with and without frame pointers and with nonsense in rbp; code whose tables lie
 * (lies.S); a library that is closed while a coroutine is inside it, one that another library takes
 * the place of, and one that is closed while return addresses into it still lie on stacks.
 */
#include "tests/sites_stress/coroutine.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* ---- made at run time ---- */

/* void *(size_t size, void *(*malloc)(size_t), const void *rbp) */
typedef void *made_fn(size_t size, void *(*allocate)(size_t), const void *rbp);

static const unsigned char with_frame_pointer[] = {
    0x55,             /* push rbp */
    0x48, 0x89, 0xe5, /* mov rbp, rsp */
    0xff, 0xd6,       /* call rsi */
    0x5d,             /* pop rbp */
    0xc3,             /* ret */
};
static const unsigned char without[] = {
    0x48, 0x83, 0xec, 0x18, /* sub rsp, 24 */
    0xff, 0xd6,             /* call rsi */
    0x48, 0x83, 0xc4, 0x18, /* add rsp, 24 */
    0xc3,                   /* ret */
};
static const unsigned char with_any_rbp[] = {
    0x55,             /* push rbp */
    0x48, 0x89, 0xd5, /* mov rbp, rdx */
    0xff, 0xd6,       /* call rsi */
    0x5d,             /* pop rbp */
    0xc3,             /* ret */
};

static made_fn *make(const unsigned char *code, size_t bytes)
{
    void *place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED);
    memcpy(place, code, bytes);
    CHECK(mprotect(place, PAGE, PROT_READ | PROT_EXEC) == 0);
    return (made_fn *)place;
}

static void call_made(made_fn *made, const void *rbp)
{
    for (size_t size = 16; size < 2000; size += 16)
        free(opaque(made(size, malloc, rbp)));
}

static void made_code(void)
{
    /* Frames that lead in a circle, below, off the alignment, and out of the stack. */
    uintptr_t frames[16];
    memset(frames, 0, sizeof frames);
    frames[0] = (uintptr_t)&frames[4];
    frames[1] = (uintptr_t)make;
    frames[4] = (uintptr_t)&frames[0];
    frames[5] = (uintptr_t)call_made + 3;
    frames[8] = UINTPTR_MAX - 7;
    frames[9] = UINTPTR_MAX;
    for (unsigned round = 0; round < 20; round++) {
        made_fn *some[] = {make(with_frame_pointer, sizeof with_frame_pointer),
                           make(without, sizeof without)};
        made_fn *any = make(with_any_rbp, sizeof with_any_rbp);
        const void *const nonsense[] = {
            NULL,       (void *)8,          (void *)0x123456789,
            (void *)-8, (void *)-1,         (void *)(UINT64_C(1) << 47),
            &frames[0], (char *)frames + 3, &frames[8],
            some,       (void *)any,        (void *)((uintptr_t)frames + (1 << 20)),
        };
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
            call_made(some[i], NULL);
        for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
            call_made(any, nonsense[i]);
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
            CHECK(munmap((void *)some[i], PAGE) == 0);
        CHECK(munmap((void *)any, PAGE) == 0);
    }
}

/* ---- tables that lie ---- */

static void *open_library(const char *name)
{
    void *library = dlopen(beside(name), RTLD_NOW);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    return library;
}

static void *symbol_of(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL)
        fprintf(stderr, "no %s\n", name);
    CHECK(symbol != NULL);
    return symbol;
}

static void lies(void)
{
    static const char *const names[] = {
        "lie_between_segments", "lie_nothing",     "lie_no_address",     "lie_far",
        "lie_unaligned",        "lie_below",       "lie_same",           "lie_loop",
        "lie_underflow",        "lie_division",    "lie_remember",       "lie_restore",
        "lie_register",         "lie_in_register", "lie_return_address",
    };
    void *library = open_library("libsites_lies.so");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void (*lie)(void) = (void (*)(void))symbol_of(library, names[i]);
        for (int times = 0; times < 3; times++)
            lie();
    }
    CHECK(dlclose(library) == 0);
}

/* ---- libraries that are gone ---- */

typedef void *sized_fn(size_t size);

__attribute__((noinline)) static void allocate_through(const char *name)
{
    void *library = open_library(name);
    sized_fn *work = (sized_fn *)symbol_of(library, "frame_of_one_size");
    free(opaque(work(1000)));
    CHECK(dlclose(library) == 0);
}

/* The two take turns at the same addresses (mostly: the kernel decides). Their stacks are as deep
 * as each other, so a second round through both finds nothing that is new. */
static void place_taken_by_another(void)
{
    for (unsigned i = 0; i < 4; i++)
        allocate_through(i % 2 == 0 ? "libsites_lies.so" : "libsites_lies_larger.so");
    struct tm_snapshot_recording recording = recording_now();
    CHECK(recording.shortened == 0 || !is_unwinding());
}

static ucontext_t outside, inside;
static sized_fn *work_inside;

static void *wait_inside(size_t size)
{
    void *block = opaque(malloc(size));
    switch_context(&inside, &outside);
    free(opaque(block));
    return opaque(malloc(size + 1));
}

static void enter_library(void)
{
    free(opaque(work_inside(64)));
    switch_context(&inside, &outside);
}

/* A coroutine is left inside a library, which is closed; others use the same stack's words, and
 * return addresses into the library are what stale words there hold. */
static void closed_around_coroutine(void)
{
    enum { STACK = 32 * 1024 };
    for (unsigned i = 0; i < 50; i++) {
        void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != MAP_FAILED);
        void *library = open_library("libsites_calls_back.so");
        void *(**callback)(size_t) = (void *(**)(size_t))symbol_of(library, "call_back");
        work_inside = (sized_fn *)symbol_of(library, "work_inside");
        *callback = wait_inside;
        make_coroutine(&inside, stack, STACK, enter_library, &outside);
        CHECK(switch_context(&outside, &inside) == 0);
        CHECK(dlclose(library) == 0);
        for (size_t size = 16; size < 1000; size += 16)
            allocate(size);
        CHECK(munmap(stack, STACK) == 0);
    }
}

static atomic_bool stop;
static _Atomic uintptr_t into_library;

static void *open_and_close(void *nothing)
{
    while (!atomic_load(&stop)) {
        void *library = open_library("libsites_lies.so");
        atomic_store(&into_library, (uintptr_t)symbol_of(library, "lie_same"));
        CHECK(dlclose(library) == 0);
    }
    return nothing;
}

/* Guessed return addresses lead into a library that another thread opens and closes. */
static void closed_meanwhile(void)
{
    enum { ROUNDS_MS = 1500, SPREAD = 300 };
    made_fn *any = make(with_any_rbp, sizeof with_any_rbp);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, open_and_close, NULL) == 0);
    uint64_t end = now_ms() + ROUNDS_MS;
    for (uintptr_t i = 0; now_ms() < end; i++) {
        uintptr_t frames[8];
        memset(frames, 0, sizeof frames);
        frames[0] = (uintptr_t)&frames[4];
        frames[1] = atomic_load(&into_library) + i % SPREAD;
        frames[5] = atomic_load(&into_library) + i / SPREAD % SPREAD;
        free(opaque(any(32, malloc, frames)));
    }
    atomic_store(&stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The program headers of this one lie where only the loader finds them. */
static void headers_moved(void)
{
    void *library = open_library("libsites_moved.so");
    sized_fn *work = (sized_fn *)symbol_of(library, "frame_of_one_size");
    for (unsigned i = 0; i < 3; i++)
        free(opaque(work(64)));
    CHECK(dlclose(library) == 0);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"made_code", made_code},
        {"lies", lies},
        {"place_taken_by_another", place_taken_by_another},
        {"closed_around_coroutine", closed_around_coroutine},
        {"closed_meanwhile", closed_meanwhile},
        {"headers_moved", headers_moved},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
