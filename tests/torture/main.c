/* main.c: randomised torture of a malloc: threads, forks, the loader, signals, exec and the ends of
 * all of these at once, with blocks whose contents are known. Some workers each draw one step after
 * the other from a generator that the seed begins; what they do to each other is up to the machine.
 *
 * usage: torture [--seed N] [--seconds N] [--workers N] [--page FILE]
 *   --page: a file that tells a watchdog where every worker is, and that something is wrong: the
 *           process then waits for it to look (run.py)
 *
 * It is run under the library or without it. Exit status 0: all that was checked was right.
 */
#include "tests/torture/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_VARIABLE "TORTURE_PAGE"

uint64_t seed;
const char *program_path;
struct page *page;
static bool watched;
static uint64_t end_ns;

void sleep_us(long us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- when something is wrong ---- */

/* The watchdog ends the process; without one it ends by itself. */
__attribute__((noreturn)) static void hold_still(void)
{
    enum { SECONDS = 120 };
    uint64_t nobody = 0;
    bool first = __atomic_compare_exchange_n(&page->failed, &nobody, (uint64_t)getpid(), false,
                                             __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (watched && first)
        sleep_us(SECONDS * 1000000L);
    _exit(99);
}

void fail(const char *file, int line, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list arguments;
    const char *slash = strrchr(file, '/');
    int length =
        snprintf(text, sizeof text, "torture: %s:%d: ", slash == NULL ? file : slash + 1, line);
    va_start(arguments, format);
    vsnprintf(text + length, sizeof text - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if (page->failed == 0)
        memcpy(page->message, text, sizeof text);
    strcat(text, "\n");
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(98);
    hold_still();
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    FAIL("signal %d (%s), address %p", number, sigabbrev_np(number), info->si_addr);
}

static void catch_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        CHECK(sigaction(faults[i], &action, NULL) == 0);
}

/* ---- one step ---- */

struct choice {
    unsigned weight;
    enum kind kind; /* for the watchdog */
};

static enum kind choose(struct chance *chance)
{
    static const struct choice choices[] = {
        {60, COUNT_BLOCKS}, {10, COUNT_JOINED},  {6, COUNT_FORKS}, {2, COUNT_SPAWNS},
        {8, COUNT_PLUGINS}, {6, COUNT_REQUESTS}, {7, COUNT_TRIMS}, {1, COUNT_HANDLED},
    };
    unsigned drawn = below(chance, 100);
    for (size_t i = 0;; i++) {
        if (drawn < choices[i].weight)
            return choices[i].kind;
        drawn -= choices[i].weight;
    }
}

static void take_step(struct own *own, enum kind kind, unsigned depth, bool may_load)
{
    switch (kind) {
    case COUNT_JOINED:
        if (may_load)
            use_thread(own);
        break;
    case COUNT_FORKS:
        use_fork(own, depth, may_load);
        break;
    case COUNT_SPAWNS:
        use_spawn(own);
        break;
    case COUNT_PLUGINS:
        if (may_load)
            use_plugin(own);
        break;
    case COUNT_REQUESTS:
        use_signals(own);
        break;
    case COUNT_TRIMS:
        use_calls(own);
        break;
    case COUNT_HANDLED:
        swell(own);
        break;
    default:
        churn(own, 200);
    }
}

void step(struct own *own, unsigned depth, bool may_load)
{
    take_step(own, choose(&own->chance), depth, may_load);
}

/* ---- the workers ---- */

static struct own *own_of_workers;

static void *work(void *context)
{
    uint64_t number = (uint64_t)(uintptr_t)context;
    struct own *own = &own_of_workers[number];
    own->chance.state = seed * 0x10001 + number * 1000003;
    signals_thread();
    while (now_ns() < end_ns) {
        enum kind kind = choose(&own->chance);
        __atomic_store_n(&page->doing[number], kind, __ATOMIC_RELAXED);
        take_step(own, kind, 0, true);
        __atomic_fetch_add(&page->steps[number], 1, __ATOMIC_RELAXED);
    }
    release_all(own);
    return NULL;
}

static void run_workers(uint64_t workers)
{
    pthread_t threads[WORKERS_MOST];
    own_of_workers = calloc(workers, sizeof *own_of_workers);
    CHECK(own_of_workers != NULL);
    for (uint64_t i = 0; i < workers; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) == 0);
    for (uint64_t i = 0; i < workers; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    free(own_of_workers);
    check_shared();
}

/* ---- beginning and end ---- */

static void open_page(const char *path)
{
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int flags = file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    if (path != NULL && (file < 0 || ftruncate(file, sizeof *page) != 0)) {
        fprintf(stderr, "torture: cannot make %s: %s\n", path, strerror(errno));
        exit(2);
    }
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, flags, file, 0);
    if (page == MAP_FAILED) {
        fprintf(stderr, "torture: no shared page: %s\n", strerror(errno));
        exit(2);
    }
    if (file >= 0) {
        close(file);
        watched = true;
    }
}

/* libgcc is loaded by the first thread that is cancelled: not by two at once in a forked child. */
static void *be_cancelled(void *nothing)
{
    pthread_exit(nothing);
}

static void warm_up(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, be_cancelled, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void usage(void)
{
    fputs("usage: torture [--seed N] [--seconds N] [--workers N] [--page FILE]\n", stderr);
    exit(2);
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = text == NULL ? 0 : strtoull(text, &end, 0);
    if (text == NULL || *text == '\0' || *end != '\0')
        usage();
    return number;
}

int main(int argc, char **argv)
{
    static char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    program_path = length > 0 ? path : argv[0];
    uint64_t seconds = 10, workers = 4;
    const char *page_path = getenv(PAGE_VARIABLE);
    if (argc == 4 && strcmp(argv[1], "--leaf") == 0) {
        open_page(page_path);
        catch_faults();
        return leaf(number_of(argv[2]), (int)number_of(argv[3]));
    }
    seed = (uint64_t)time(NULL) * 40503 + (uint64_t)getpid();
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--workers") == 0)
            workers = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--page") == 0 && argv[i + 1] != NULL)
            page_path = argv[i + 1];
        else
            usage();
    }
    if (workers == 0 || workers > WORKERS_MOST)
        usage();
    printf("torture: seed %llu, %llu s, %llu workers\n", (unsigned long long)seed,
           (unsigned long long)seconds, (unsigned long long)workers);
    fflush(stdout);
    open_page(page_path);
    if (page_path != NULL)
        setenv(PAGE_VARIABLE, page_path, 1);
    page->workers = workers;
    catch_faults();
    warm_up();
    threads_start();
    loader_start(program_path);
    signals_start(true);
    end_ns = now_ns() + seconds * 1000000000;
    run_workers(workers);
    signals_settle();
    puts("torture: ok");
    return 0;
}
