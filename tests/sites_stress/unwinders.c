/* unwinders.c: a program that unwinds its stacks itself, by libunwind (linked to it, statically in
 * a second build), by libgcc, and by opening and closing the very library that the recorder uses,
 * while it is recorded.
 */
#include "tests/sites_stress/stress.h"

#define UNW_LOCAL_ONLY
#include <execinfo.h>
#include <libunwind.h>
#include <stdatomic.h>

enum { THREADS = 3, LOOPS_MS = 1500, DEPTH = 12 };

static atomic_bool stop;

/* Frames from here outwards. */
static unsigned count_frames(void)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unsigned frames = 1;
    CHECK(unw_getcontext(&context) == 0);
    CHECK(unw_init_local(&cursor, &context) == 0);
    while (unw_step(&cursor) > 0)
        frames++;
    return frames;
}

__attribute__((noinline)) static void unwind_below(unsigned depth)
{
    void *addresses[64];
    if (depth > 0) {
        unwind_below(depth - 1);
        opaque(NULL);
        return;
    }
    allocate(100);
    CHECK(count_frames() > DEPTH);
    allocate(200);
    CHECK(backtrace(addresses, 64) > DEPTH);
    char **names = backtrace_symbols(addresses, 3); /* allocates */
    CHECK(names != NULL);
    free(names);
}

static void *unwind_until_stop(void *nothing)
{
    while (!atomic_load(&stop))
        unwind_below(DEPTH);
    return nothing;
}

static void *open_and_close(void *nothing)
{
    while (!atomic_load(&stop)) {
        void *library = dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_GLOBAL);
        CHECK(library != NULL);
        allocate(300);
        CHECK(dlclose(library) == 0);
        dlerror();
    }
    return nothing;
}

static void own_unwinding(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, i == 0 ? open_and_close : unwind_until_stop,
                             NULL) == 0);
    sleep_ms(LOOPS_MS / 2);
    if (!is_recording())
        ask_for_sites(TM_REQUEST_SITES_ALL);
    sleep_ms(LOOPS_MS / 2);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    recording_now();
}

static void unwind_in_handler(int number)
{
    (void)number;
    CHECK(count_frames() > 2);
}

/* unw_step is made for handlers; whatever it interrupts, unwinding for the recorder included. */
static void in_handlers(void)
{
    struct sigaction action = {.sa_handler = unwind_in_handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t threads[THREADS];
    CHECK(count_frames() > 2); /* its first time allocates */
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, unwind_until_stop, NULL) == 0);
    for (uint64_t end = now_ms() + LOOPS_MS; now_ms() < end; sleep_ms(1))
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_kill(threads[i], SIGUSR1) == 0);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"own_unwinding", own_unwinding},
        {"in_handlers", in_handlers},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
