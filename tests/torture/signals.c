/* signals.c: signals at any instruction: the library's, alone and in storms, with every value that
 * they carry, and those of the program, whose handlers send the library's. Handlers do not
 * allocate, as they may interrupt malloc.
 */
#include "include/tidemark.h"
#include "profiler/format/status.h"
#include "tests/torture/torture.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_US = 2500, STACK_BYTES = 64 * 1024 };

/* NULL: the program runs without the library. */
static const volatile struct tm_status *status;
static tidemark_snapshot_function *snapshot;
static tidemark_record_function *record;

static const int values[] = {TM_REQUEST_TRIM,      TM_REQUEST_SITES_OFF, TM_REQUEST_SITES_SAMPLE,
                             TM_REQUEST_SITES_ALL, TM_REQUEST_SITES_OFF, TM_REQUEST_SNAPSHOT};
enum { VALUES = sizeof values / sizeof values[0] };

static void ask(int value)
{
    union sigval with = {.sival_int = value};
    if (status == NULL)
        return;
    if (sigqueue(getpid(), SIGUSR2, with) != 0 && errno != EAGAIN)
        FAIL("sigqueue: %s", strerror(errno));
    count(value == TM_REQUEST_TRIM       ? COUNT_TRIMS
          : value == TM_REQUEST_SNAPSHOT ? COUNT_REQUESTS
                                         : COUNT_SWITCHES);
}

static void ask_plainly(void)
{
    if (status == NULL)
        return;
    CHECK(kill(getpid(), SIGUSR2) == 0);
    count(COUNT_REQUESTS);
}

/* ---- the program's own handlers ---- */

static void use_the_stack(void)
{
    volatile char on_stack[3000];
    memset((char *)(uintptr_t)on_stack, 1, sizeof on_stack);
}

/* Of the timer: on any thread, at any instruction. */
static void on_tick(int number)
{
    static volatile sig_atomic_t ticks;
    int saved = errno;
    unsigned tick = (unsigned)(ticks = ticks + 1);
    use_the_stack();
    if (tick % 64 == 0)
        ask_plainly();
    else if (tick % 11 == 0)
        ask(values[tick / 11 % VALUES]);
    count(COUNT_HANDLED);
    errno = saved + (number - SIGPROF);
}

/* To one thread, on its other stack. */
static void on_call(int number)
{
    int saved = errno;
    use_the_stack();
    if (number == SIGUSR1)
        count(COUNT_HANDLED);
    errno = saved;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
    CHECK(sigaction(number, &action, NULL) == 0);
}

/* The library's handler is not to be left in its middle by a thread that is cancelled: libc's own
 * signals, 32 and 33, are blocked in it, too. As the kernel has it; libc hides that handler. */
static void check_mask(void)
{
    enum { FIRST_OF_LIBC = 32 };
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } kernels = {0};
    CHECK(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &kernels, sizeof kernels.mask) == 0);
    CHECK((kernels.mask >> (FIRST_OF_LIBC - 1) & 3) == 3);
}

void signals_start(bool root)
{
    struct itimerval timer = {{0, TICK_US}, {0, TICK_US}};
    status = dlsym(RTLD_DEFAULT, TM_STATUS_SYMBOL);
    snapshot = (tidemark_snapshot_function *)dlsym(RTLD_DEFAULT, "tidemark_snapshot");
    record = (tidemark_record_function *)dlsym(RTLD_DEFAULT, "tidemark_record");
    CHECK(status == NULL || (snapshot != NULL && record != NULL));
    if (status != NULL)
        check_mask();
    handle(SIGUSR1, on_call, SA_ONSTACK);
    if (!root)
        return;
    handle(SIGPROF, on_tick, 0);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
}

/* The calling thread gets another stack, which is freed when it ends. */
static pthread_key_t stack_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_stack(void *stack)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    free(stack);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&stack_key, free_stack) == 0);
}

void signals_thread(void)
{
    CHECK(pthread_once(&once, make_key) == 0);
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
    CHECK(stack.ss_sp != NULL && pthread_setspecific(stack_key, stack.ss_sp) == 0);
    CHECK(sigaltstack(&stack, NULL) == 0);
}

/* ---- what threads do ---- */

void use_signals(struct own *own)
{
    unsigned what = below(&own->chance, 16);
    if (what == 0) {
        for (unsigned i = 0; i < 30; i++) {
            ask_plainly();
            churn(own, 3);
        }
    } else if (what < 8) {
        ask(values[below(&own->chance, VALUES)]);
        churn(own, 20);
    } else {
        for (unsigned i = 0; i < 10; i++) {
            CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0);
            churn(own, 3);
        }
    }
}

static void use_library_calls(struct chance *chance)
{
    char path[1024];
    if (status == NULL)
        return;
    if (below(chance, 8) == 0) {
        if (snapshot(path, sizeof path) != 0)
            FAIL("tidemark_snapshot: %s", strerror(errno));
        count(COUNT_REQUESTS);
    } else {
        CHECK(record((int)below(chance, 3)) == 0);
        count(COUNT_SWITCHES);
    }
}

static void use_streams(struct chance *chance)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    CHECK(stream != NULL);
    unsigned lines = below(chance, 200);
    for (unsigned i = 0; i < lines; i++)
        CHECK(fprintf(stream, "%07u\n", i) == 8);
    if (below(chance, 8) == 0)
        CHECK(fflush(NULL) == 0);
    CHECK(fclose(stream) == 0 && length == lines * (size_t)8);
    free(text);
    count(COUNT_STREAMS);
}

void use_calls(struct own *own)
{
    switch (below(&own->chance, 4)) {
    case 0:
        malloc_trim(0);
        count(COUNT_TRIMS);
        break;
    case 1:
        CHECK(mallinfo2().uordblks > 0);
        break;
    case 2:
        use_library_calls(&own->chance);
        break;
    default:
        use_streams(&own->chance);
    }
    churn(own, 10);
}

void signals_settle(void)
{
    enum { PAUSE_US = 2000, PAUSES = 60 * 1000 * 1000 / PAUSE_US };
    if (status == NULL)
        return;
    for (unsigned i = 0; status->requested != status->merged + status->written + status->failed;
         i++) {
        if (i == PAUSES)
            FAIL("of %u requests %u are merged, %u written, %u failed", status->requested,
                 status->merged, status->written, status->failed);
        sleep_us(PAUSE_US);
    }
    if (status->failed != 0)
        FAIL("%u snapshots failed: %s: %s", status->failed, (const char *)status->last_step,
             strerror(status->last_error));
}

void signals_block_requests(bool block)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL) == 0);
}
