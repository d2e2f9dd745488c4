/* command_top.c: `tidemark top`: its options, and the loop of looking, drawing and keys. */
#include "profiler/report/command.h"
#include "profiler/report/options.h"
#include "profiler/report/top.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_help(FILE *out)
{
    fputs(
        "usage: tidemark top [--sort KEY] [--interval SECONDS] [--once] [--json]\n\n"
        "Shows every process that runs under Tidemark, also in containers, and what its memory "
        "does.\n\n"
        "  --sort KEY          rss (default), live, pinned, cached, alloc, trend, pid, user, "
        "program\n"
        "  --interval SECONDS  between two looks (default 2; with --once 1)\n"
        "  --once              print one table after two looks, as is done without a terminal\n"
        "  --json              the same as JSON\n\n"
        "Keys: up and down select a process, left and right the column that sorts; s takes a "
        "snapshot\n"
        "of the process, t trims it; q quits.\n\n"
        "columns (K, M, G are KiB, MiB, GiB):\n"
        "  RSS      what the kernel counts, now\n"
        "  LIVE     blocks in use, touched or not. Large ones are counted, small ones estimated "
        "from a\n"
        "           look at 64 pools (all, up to some 4 MiB); blocks in threads' bins count as "
        "live\n"
        "  PINNED   free bytes on pages with live blocks: estimated likewise\n"
        "  CACHED   free pages kept for reuse: counted, those inside pools estimated likewise\n"
        "  ALLOC/s  bytes allocated while call sites are recorded (a sample is an estimate); with "
        "*\n"
        "           memory that the heaps took for new pools and large blocks: what a program "
        "allocates\n"
        "           where others were freed is not in it\n"
        "  RSS/min  slope of RSS over the last minute\n"
        "  AGE      since LIVE, PINNED and CACHED were written: a process writes when it moves "
        "pages,\n"
        "           four times a second at most, so what it freed since may not be in them\n"
        "For exact figures take a snapshot.\n\n"
        "The figures come from a page that the process keeps in shared memory (TIDEMARK=live=no: "
        "none).\n"
        "The same user and root can read it; forked children have a part of their parent's, from "
        "their\n"
        "second second on. Exit status: 0 shown, 1 not, 2 bad usage.\n",
        out);
}

struct options {
    enum tm_top_key key;
    double interval; /* 0: the default */
    bool once, json;
};

/* -1 to go on, or the exit status. */
static bool take_key(const char *value, struct options *options)
{
    int key = 0;
    while (key < TM_TOP_KEYS && strcmp(value, tm_top_key_names[key]) != 0)
        key++;
    if (key == TM_TOP_KEYS) {
        tm_error("top: --sort %s: sort by rss, live, pinned, cached, alloc, trend, pid, user or "
                 "program",
                 value);
        return false;
    }
    options->key = (enum tm_top_key)key;
    return true;
}

static bool take(int option, char *value, void *given)
{
    struct options *options = given;
    char *end;
    switch (option) {
    case 's':
        return take_key(value, options);
    case 'i':
        options->interval = strtod(value, &end);
        if (end == value || *end != '\0' ||
            !(options->interval >= 0.1 && options->interval <= 3600)) {
            tm_error("top: --interval %s: give seconds, from 0.1 to 3600", value);
            return false;
        }
        return true;
    default:
        options->once = true;
        options->json = options->json || option == 'j';
        return true;
    }
}

static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"sort", required_argument, NULL, 's'}, {"interval", required_argument, NULL, 'i'},
        {"once", no_argument, NULL, 'o'},       {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    int result = tm_parse_options(argc, argv, known, print_help, take, options);
    if (result >= 0)
        return result;
    if (optind != argc) {
        tm_error("top: '%s' is one argument too many; `tidemark top --help` lists the options",
                 argv[optind]);
        return 2;
    }
    return -1;
}

static int look(struct tm_top *top)
{
    int error = tm_top_look(top);
    if (error != 0)
        tm_error("the processes cannot be listed: %s; is /proc mounted?", strerror(error));
    return error == 0 ? 0 : 1;
}

static int run_once(struct tm_top *top, const struct options *options)
{
    double interval = options->interval != 0 ? options->interval : 1;
    struct timespec pause = {(time_t)interval, (long)((interval - (double)(time_t)interval) * 1e9)};
    struct tm_top_view view = {.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    if (look(top) != 0)
        return 1;
    nanosleep(&pause, NULL);
    if (look(top) != 0)
        return 1;
    if (options->json)
        tm_top_json(stdout, top);
    else
        tm_top_print(stdout, top, &view);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        tm_error("the table could not be written: %s", strerror(errno));
        return 1;
    }
    return 0;
}

/* ---- on a terminal ---- */

struct screen {
    struct tm_top *top;
    struct tm_top_view view;
    struct tm_top_job job;
    char said[640];
};

static size_t selected_row(const struct screen *screen)
{
    for (size_t i = 0; i < screen->top->count; i++)
        if (screen->top->rows[i].process.pid == screen->view.selected)
            return i;
    return 0;
}

/* The selection stays with its process, and in sight. */
static void settle(struct screen *screen)
{
    struct tm_top_view *view = &screen->view;
    tm_terminal_size(&view->columns, &view->lines);
    size_t row = selected_row(screen);
    size_t fit = tm_top_rows_that_fit(screen->top, view);
    view->selected = screen->top->count == 0 ? 0 : screen->top->rows[row].process.pid;
    if (view->first > row)
        view->first = row;
    if (row >= view->first + fit)
        view->first = row - fit + 1;
    if (view->first + fit > screen->top->count)
        view->first = screen->top->count > fit ? screen->top->count - fit : 0;
}

/* In one write, so that nothing flickers. */
static void draw(struct screen *screen)
{
    char *text = NULL;
    size_t size = 0;
    settle(screen);
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    tm_top_print(out, screen->top, &screen->view);
    if (fclose(out) == 0) {
        fwrite(text, 1, size, stdout);
        fflush(stdout);
    }
    free(text);
}

static void ask(struct screen *screen, const char *command)
{
    pid_t pid = screen->view.selected;
    if (pid == 0 || screen->job.pid != 0)
        return;
    if (tm_top_job_start(&screen->job, command, pid))
        snprintf(screen->said, sizeof screen->said, "%s of %d ...", command, (int)pid);
    else
        snprintf(screen->said, sizeof screen->said, "%s of %d cannot be started: %s", command,
                 (int)pid, strerror(errno));
}

static void move(struct screen *screen, int by)
{
    size_t row = selected_row(screen);
    if (by < 0 ? row > 0 : row + 1 < screen->top->count)
        screen->view.selected = screen->top->rows[by < 0 ? row - 1 : row + 1].process.pid;
}

static void sort_by(struct screen *screen, int by)
{
    /* In the order of the table's columns. */
    static const enum tm_top_key order[] = {TM_TOP_PID,    TM_TOP_USER,  TM_TOP_PROGRAM,
                                            TM_TOP_RSS,    TM_TOP_LIVE,  TM_TOP_PINNED,
                                            TM_TOP_CACHED, TM_TOP_ALLOC, TM_TOP_TREND};
    enum { KEYS = sizeof order / sizeof order[0] };
    int at = 0;
    while (order[at] != screen->top->key)
        at++;
    screen->top->key = order[(at + by + KEYS) % KEYS];
    tm_top_sort(screen->top);
}

/* False: that was the end. */
static bool take_keys(struct screen *screen)
{
    int key;
    while ((key = tm_terminal_key()) != TM_KEY_NONE) {
        if (screen->job.pid == 0)
            screen->said[0] = '\0';
        if (key == 'q' || key == 'Q' || key == TM_KEY_GONE)
            return false;
        if (key == TM_KEY_UP || key == 'k')
            move(screen, -1);
        else if (key == TM_KEY_DOWN || key == 'j')
            move(screen, 1);
        else if (key == TM_KEY_LEFT || key == '<')
            sort_by(screen, -1);
        else if (key == TM_KEY_RIGHT || key == '>')
            sort_by(screen, 1);
        else if (key == 's')
            ask(screen, "snapshot");
        else if (key == 't')
            ask(screen, "trim");
    }
    return true;
}

static uint64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* Until a key, an answer, a signal, or the next look is due. False: that was the end. */
static bool wait_for_anything(struct screen *screen, uint64_t until_ms)
{
    struct pollfd inputs[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = screen->job.pid != 0 ? screen->job.fd : -1, .events = POLLIN}};
    uint64_t now = now_ms();
    int ready = poll(inputs, 2, until_ms > now ? (int)(until_ms - now) : 0);
    if (ready < 0 && errno != EINTR)
        return false;
    if (ready > 0 && inputs[1].revents != 0 && tm_top_job_read(&screen->job))
        snprintf(screen->said, sizeof screen->said, "%s", screen->job.text);
    return ready <= 0 || inputs[0].revents == 0 || take_keys(screen);
}

static int run_on_terminal(struct tm_top *top, const struct options *options)
{
    struct screen screen = {.top = top};
    uint64_t interval = (uint64_t)((options->interval != 0 ? options->interval : 2) * 1000);
    screen.view.terminal = true;
    screen.view.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    screen.view.said = screen.said;
    if (look(top) != 0)
        return 1;
    if (!tm_terminal_begin()) {
        tm_error("top: the terminal cannot be set up: %s; try --once", strerror(errno));
        return 1;
    }
    uint64_t next = now_ms() + interval;
    int result = 0;
    draw(&screen);
    while (tm_terminal_ended() == 0 && wait_for_anything(&screen, next)) {
        if (now_ms() >= next) {
            int error = tm_top_look(top);
            if (error != 0)
                snprintf(screen.said, sizeof screen.said, "the processes cannot be listed: %s",
                         strerror(error));
            next = now_ms() + interval;
        }
        tm_terminal_changed();
        draw(&screen);
    }
    tm_top_job_stop(&screen.job);
    tm_terminal_end();
    int ended = tm_terminal_ended();
    /* Whoever started this learns that a signal ended it. ^C is an ordinary way to quit. */
    if (ended != 0 && ended != SIGINT) {
        signal(ended, SIG_DFL);
        raise(ended);
    }
    return result;
}

int tm_command_top(int argc, char **argv)
{
    struct options options = {.key = TM_TOP_RSS};
    int result = parse(argc, argv, &options);
    if (result >= 0)
        return result;
    struct tm_top top = {.key = options.key};
    if (options.once || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        result = run_once(&top, &options);
    else
        result = run_on_terminal(&top, &options);
    tm_top_free(&top);
    return result;
}
