/* bench.c: the part of bench.h that does not run once per operation: the command line, the figures
 * on stdout, mapped tables, and the threads of a run.
 *
 * A failed check ends the process with _exit, since the heap it was found in is not to be trusted
 * with exit handlers, and any thread may find it.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double scale = 1;
static size_t table_bytes;
static char out_buffer[8192];

/* --- Results -------------------------------------------------------------------------------- */

void bench_fail(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "%s: %s\n", program_invocation_short_name, text);
    _exit(1);
}

void bench_out_of_memory(const char *function, size_t size)
{
    bench_fail("%s of %zu bytes failed (%s); ask for less work with --scale", function, size,
               strerrordesc_np(errno));
}

void bench_damaged(const void *block)
{
    uint64_t first;
    memcpy(&first, block, sizeof first);
    bench_fail("the block at %p is damaged: its first word is %#" PRIx64
               " and does not agree with its address or with its last word; the allocator handed "
               "out overlapping blocks or wrote into a live one",
               block, first);
}

void bench_figure(const char *name, double value, const char *unit)
{
    printf("figure %s %.6g %s\n", name, value, unit);
}

void bench_count(const char *name, uint64_t value, const char *unit)
{
    printf("figure %s %" PRIu64 " %s\n", name, value, unit);
}

int bench_finish(uint64_t operations, double seconds)
{
    bench_count("table", table_bytes, "B");
    bench_count("operations", operations, "count");
    bench_figure("seconds", seconds, "s");
    if (fflush(stdout) != 0)
        bench_fail("cannot write the figures to stdout: %s", strerrordesc_np(errno));
    return 0;
}

/* A byte at each multiple of the page size from the block's start, but for its first and last word.
 */
void bench_mark_pages(void *block, size_t size)
{
    unsigned char *bytes = block;
    for (size_t at = BENCH_PAGE; at + sizeof(uint64_t) < size; at += BENCH_PAGE)
        bytes[at] = (unsigned char)(at / BENCH_PAGE);
}

void bench_check_pages(const void *block, size_t size)
{
    const unsigned char *bytes = block;
    for (size_t at = BENCH_PAGE; at + sizeof(uint64_t) < size; at += BENCH_PAGE) {
        if (bytes[at] != (unsigned char)(at / BENCH_PAGE))
            bench_fail("byte %zu of the block of %zu bytes at %p is %#x, not the %#x written to it",
                       at, size, block, bytes[at], (unsigned char)(at / BENCH_PAGE));
    }
}

static double clock_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_now(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

double bench_cpu(void)
{
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_rss(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0)
        bench_fail("cannot read /proc/self/statm: %s; mount /proc", strerrordesc_np(errno));
    close(file);
    text[length] = 0;
    const char *second = strchr(text, ' ');
    if (!second)
        bench_fail("/proc/self/statm has only one field: \"%s\"", text);
    return strtoull(second + 1, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void *bench_table(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bytes = (bytes + page) / page * page;
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        bench_out_of_memory("mmap", bytes);
    table_bytes += bytes;
    return table;
}

/* --- Options -------------------------------------------------------------------------------- */

static const struct bench_option scale_option = {
    .name = "scale", .help = "work is multiplied by this", .real = &scale};

static void print_default(const struct bench_option *option)
{
    if (option->real)
        printf("%g", *option->real);
    else if (option->number && option->zero && *option->number == 0)
        fputs(option->zero, stdout);
    else if (option->number)
        printf("%" PRIu64, *option->number);
    else if (option->choice && option->choices) {
        const char *word = option->choices;
        for (unsigned i = 0; i < *option->choice; i++)
            word = strchr(word, '|') + 1;
        printf("%.*s", (int)strcspn(word, "|"), word);
    }
}

static void print_option(const struct bench_option *option)
{
    printf("  --%s %s%s%s\n      %s (", option->name, option->choices ? option->choices : "N",
           option->zero ? "|" : "", option->zero ? option->zero : "", option->help);
    print_default(option);
    fputs(")\n", stdout);
}

_Noreturn static void usage(const char *purpose, const struct bench_option *options)
{
    printf("usage: %s [--option VALUE]...\n%s\n", program_invocation_short_name, purpose);
    for (; options->name; options++)
        print_option(options);
    print_option(&scale_option);
    exit(fflush(stdout) == 0 ? 0 : 1);
}

_Noreturn static void bad_usage(const char *problem, const char *value)
{
    dprintf(STDERR_FILENO, "%s: %s: %s; see %s --help\n", program_invocation_short_name, value,
            problem, program_invocation_short_name);
    exit(2);
}

static uint64_t suffix_factor(const char *suffix)
{
    if (strcmp(suffix, "") == 0)
        return 1;
    if (strcmp(suffix, "K") == 0)
        return (uint64_t)1 << 10;
    if (strcmp(suffix, "M") == 0)
        return (uint64_t)1 << 20;
    if (strcmp(suffix, "G") == 0)
        return (uint64_t)1 << 30;
    return 0;
}

static void read_number(const struct bench_option *option, const char *text)
{
    if (option->zero && strcmp(text, option->zero) == 0) {
        *option->number = 0;
        return;
    }
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    uint64_t factor = suffix_factor(end);
    bool read = end != text && text[0] != '-' && errno == 0 && factor != 0;
    if (!read || value > option->most / factor || value * factor < option->least) {
        char problem[128];
        snprintf(problem, sizeof problem,
                 "--%s takes a whole number from %" PRIu64 " to %" PRIu64 " (or with K, M, G)",
                 option->name, option->least, option->most);
        bad_usage(problem, text);
    }
    *option->number = value * factor;
}

static void read_real(const struct bench_option *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= 0 && value <= 1e6)) {
        char problem[128];
        snprintf(problem, sizeof problem, "--%s takes a number from 0 to 1000000", option->name);
        bad_usage(problem, text);
    }
    *option->real = value;
}

static void read_choice(const struct bench_option *option, const char *text)
{
    unsigned index = 0;
    for (const char *word = option->choices; word; index++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && strncmp(word, text, length) == 0) {
            *option->choice = index;
            return;
        }
        if (word[length] == 0) {
            char problem[128];
            snprintf(problem, sizeof problem, "--%s takes one of %s", option->name,
                     option->choices);
            bad_usage(problem, text);
        }
        word += length + 1;
    }
}

static const struct bench_option *find_option(const struct bench_option *options, const char *name)
{
    if (strcmp(name, scale_option.name) == 0)
        return &scale_option;
    while (options->name && strcmp(name, options->name) != 0)
        options++;
    return options->name ? options : NULL;
}

void bench_start(int argc, char **argv, const char *purpose, const struct bench_option *options)
{
    setvbuf(stdout, out_buffer, _IOFBF, sizeof out_buffer);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            usage(purpose, options);
        const struct bench_option *option =
            strncmp(argv[i], "--", 2) == 0 ? find_option(options, argv[i] + 2) : NULL;
        if (!option)
            bad_usage("no such option", argv[i]);
        if (++i == argc)
            bad_usage("a value is missing", argv[i - 1]);
        if (option->number)
            read_number(option, argv[i]);
        else if (option->real)
            read_real(option, argv[i]);
        else
            read_choice(option, argv[i]);
    }
}

uint64_t bench_scaled(uint64_t work)
{
    double scaled = (double)work * scale;
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* --- Threads -------------------------------------------------------------------------------- */

void bench_meet(struct bench_thread *thread)
{
    if (thread->count > 1)
        pthread_barrier_wait(thread->barrier);
}

static void *run_thread(void *argument)
{
    struct bench_thread *thread = argument;
    bench_meet(thread);
    thread->start = bench_now();
    thread->work(thread);
    thread->end = bench_now();
    return NULL;
}

pthread_t bench_spawn(void *(*start)(void *), void *argument)
{
    pthread_t id;
    int error = pthread_create(&id, NULL, start, argument);
    if (error)
        bench_fail("cannot create a thread: %s; ask for fewer with --threads",
                   strerrordesc_np(error));
    return id;
}

struct bench_run bench_threads(uint64_t threads, void (*work)(struct bench_thread *thread),
                               void *context)
{
    static struct bench_thread all[BENCH_MOST_THREADS];
    static uint64_t seed; /* no two threads have the same, of no two runs either */
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (unsigned i = 0; i < threads; i++) {
        all[i] = (struct bench_thread){.index = i,
                                       .count = (unsigned)threads,
                                       .context = context,
                                       .barrier = &barrier,
                                       .work = work};
        all[i].random.state = ++seed;
        all[i].random.state = bench_next(&all[i].random);
        if (i > 0)
            all[i].id = bench_spawn(run_thread, &all[i]);
    }
    run_thread(&all[0]);
    struct bench_run run = {.operations = all[0].operations};
    double start = all[0].start;
    double end = all[0].end;
    for (unsigned i = 1; i < threads; i++) {
        pthread_join(all[i].id, NULL);
        run.operations += all[i].operations;
        start = all[i].start < start ? all[i].start : start;
        end = all[i].end > end ? all[i].end : end;
    }
    pthread_barrier_destroy(&barrier);
    run.seconds = end - start;
    return run;
}
