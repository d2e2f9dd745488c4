/* compare_run.c: starts a command under an allocator, samples its process tree until it ends, and
 * leaves nothing behind. See compare_run.h. One loop waits for signals and for the command's
 * stderr, with the time of the next sample as timeout, so the end of a run is seen at once and no
 * thread is needed.
 */
#include "profiler/report/compare_run.h"

#include "profiler/report/report_format.h"
#include "profiler/report/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double SAMPLING_SHARE = 0.02; /* of one CPU */
static const double END_GRACE = 2.0;       /* seconds between SIGTERM and SIGKILL */
static const double LINGER = 0.2;   /* seconds that processes may outlive the command unremarked */
static const double LOADING = 0.05; /* seconds that the loader may need */
static const double LOOK_AGAIN =
    0.1; /* seconds between looks for the library where it was not seen */

struct watch {
    const struct tm_compare_request *request;
    const struct tm_allocator *allocator;
    struct tm_compare_run *run;
    pid_t root;
    bool ended;           /* the command itself */
    bool stopped;         /* by us, after the duration */
    int status;           /* its wait status */
    double started;       /* CLOCK_MONOTONIC */
    int words;            /* reading end of its stderr; -1: passed through */
    long largest_kib;     /* largest ru_maxrss of a process waited for */
    uint64_t peak;        /* highest sample, bytes */
    uint64_t peak_shared; /* shared part of the biggest process then */
    uint64_t looked_at;   /* bytes when the mappings were last looked at */
    double looked;        /* when */
};

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* In the child: never returns. An error goes to `report` as errno. */
__attribute__((noreturn)) static void become(const struct tm_compare_request *request,
                                             const struct tm_allocator *allocator, int words,
                                             int report)
{
    /* A group of its own, so that Ctrl-C reaches the comparison alone, which then ends the tree in
     * order. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDWR);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        if (!request->show_output)
            dup2(nothing, STDOUT_FILENO);
        if (nothing > STDERR_FILENO)
            close(nothing);
    }
    if (words >= 0)
        dup2(words, STDERR_FILENO);
    bool ready = !allocator->library || tm_preload(allocator->library);
    if (request->pythonmalloc && !allocator->own_pools)
        setenv("PYTHONMALLOC", "malloc", 1);
    sigprocmask(SIG_SETMASK, &request->inherited, NULL);
    if (ready)
        execvp(request->command[0], request->command);
    int error = ready ? errno : EINVAL;
    ssize_t wrote = write(report, &error, sizeof error);
    _exit(wrote == sizeof error ? 127 : 126);
}

/* Returns 0, or the errno of why the command did not start. Returns once it has executed. */
static int start(struct watch *watch)
{
    int report[2] = {-1, -1};
    int words[2] = {-1, -1};
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    if (!watch->request->show_output && pipe2(words, O_CLOEXEC) != 0) {
        int error = errno;
        close(report[0]);
        close(report[1]);
        return error;
    }
    watch->started = now_seconds();
    pid_t pid = fork();
    if (pid == 0)
        become(watch->request, watch->allocator, words[1], report[1]);
    int error = pid < 0 ? errno : 0;
    close(report[1]);
    if (words[1] >= 0)
        close(words[1]);
    if (pid > 0 && read(report[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(report[0]);
    watch->words = words[0];
    watch->root = pid;
    if (watch->words >= 0)
        fcntl(watch->words, F_SETFL, O_NONBLOCK);
    return error;
}

/* Keeps the end of what the command says. */
static void hear(struct watch *watch)
{
    char text[4096];
    ssize_t got;
    struct tm_compare_run *run = watch->run;
    while ((got = read(watch->words, text, sizeof text)) > 0) {
        size_t room = sizeof run->last_words;
        size_t length = (size_t)got < room ? (size_t)got : room;
        size_t keep =
            run->last_words_length + length > room ? room - length : run->last_words_length;
        memmove(run->last_words, run->last_words + run->last_words_length - keep, keep);
        memcpy(run->last_words + keep, text + (size_t)got - length, length);
        run->last_words_length = keep + length;
    }
    if (got == 0) {
        close(watch->words);
        watch->words = -1;
    }
}

static void reaped(pid_t pid, int status, const struct rusage *usage, void *context)
{
    struct watch *watch = context;
    struct tm_compare_run *run = watch->run;
    run->user += (double)usage->ru_utime.tv_sec + (double)usage->ru_utime.tv_usec * 1e-6;
    run->system += (double)usage->ru_stime.tv_sec + (double)usage->ru_stime.tv_usec * 1e-6;
    run->minor += (uint64_t)usage->ru_minflt;
    run->major += (uint64_t)usage->ru_majflt;
    if (usage->ru_maxrss > watch->largest_kib)
        watch->largest_kib = usage->ru_maxrss;
    if (pid == watch->root) {
        watch->ended = true;
        watch->status = status;
        run->wall = now_seconds() - watch->started;
    }
}

static void reap(struct watch *watch)
{
    int status;
    struct rusage usage;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
        reaped(pid, status, &usage, watch);
}

/* File names of other allocators' libraries start so. */
static bool is_allocator(const char *file)
{
    static const char *const starts[] = {"libjemalloc", "libmimalloc", "libtcmalloc",
                                         "libsnmalloc", "librpmalloc", "libhoard",
                                         "libscudo",    "libtidemark"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(file, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Was the library mapped by the process, and did the process bring an allocator of its own? */
static void look_at_mappings(struct watch *watch, pid_t pid, double seconds)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return;
    const char *library = watch->allocator->library;
    bool found = false, any = false;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, maps) > 0) {
        char *file = strchr(line, '/');
        if (!file)
            continue;
        any = true;
        file[strcspn(file, "\n")] = '\0';
        const char *name = strrchr(file, '/') + 1;
        if (library && strcmp(file, library) == 0)
            found = true;
        else if (is_allocator(name))
            snprintf(watch->run->brought, sizeof watch->run->brought, "%s", name);
        tm_make_plain(watch->run->brought);
    }
    free(line);
    fclose(maps);
    if (found)
        watch->run->loaded = TM_LOADED_YES;
    else if (any && seconds >= LOADING)
        watch->run->loaded = TM_LOADED_NO;
}

/* The verdict that counts is the one near the peak; where the library is missing, a later look may
 * still see it. */
static void look(struct watch *watch, const struct tm_tree_sample *sample, double seconds)
{
    bool grown = sample->bytes > watch->looked_at + watch->looked_at / 4;
    bool again = watch->run->loaded != TM_LOADED_YES && seconds - watch->looked >= LOOK_AGAIN &&
                 sample->bytes >= watch->looked_at;
    if (!grown && !again)
        return;
    watch->looked = seconds;
    watch->looked_at = sample->bytes;
    look_at_mappings(watch, sample->biggest, seconds);
}

static void take_sample(struct watch *watch)
{
    struct tm_compare_run *run = watch->run;
    struct tm_tree_sample sample;
    if (!tm_proctree_sample(watch->request->tree, &sample))
        return;
    double seconds = now_seconds() - watch->started;
    if (run->count == run->room) {
        size_t room = run->room ? run->room * 2 : 1024;
        void *more = realloc(run->samples, room * sizeof *run->samples);
        if (!more)
            return;
        run->samples = more;
        run->room = room;
    }
    run->samples[run->count++] = (struct tm_compare_sample){
        .seconds = seconds, .bytes = sample.bytes, .processes = sample.processes};
    run->proportional = run->proportional && sample.proportional;
    if (sample.bytes > watch->peak) {
        watch->peak = sample.bytes;
        watch->peak_shared = sample.shared;
    }
    look(watch, &sample, seconds);
    if (watch->request->progress)
        watch->request->progress(seconds, sample.bytes, watch->request->context);
}

/* Waits at most until `until` (CLOCK_MONOTONIC); takes in what happened. */
static void wait_for_events(struct watch *watch, int signals, double until)
{
    double left;
    while (!watch->ended && !watch->run->interrupted && (left = until - now_seconds()) > 0) {
        struct pollfd ready[2] = {{.fd = signals, .events = POLLIN},
                                  {.fd = watch->words, .events = POLLIN}};
        struct timespec timeout = {.tv_sec = (time_t)left,
                                   .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        if (ppoll(ready, 2, &timeout, NULL) <= 0)
            continue;
        if (ready[1].revents && watch->words >= 0)
            hear(watch);
        struct signalfd_siginfo signal;
        if (ready[0].revents && read(signals, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo == SIGCHLD)
                reap(watch);
            else
                watch->run->interrupted = (int)signal.ssi_signo;
        }
    }
}

static bool tree_is_empty(struct watch *watch)
{
    reap(watch);
    return tm_proctree_signal(watch->request->tree, 0) == 0;
}

static void watch_until_end(struct watch *watch, int signals)
{
    double duration = watch->request->duration;
    for (;;) {
        take_sample(watch);
        double cost = tm_proctree_last_cost(watch->request->tree) / SAMPLING_SHARE;
        double pause = cost > watch->request->interval ? cost : watch->request->interval;
        double until = now_seconds() + pause;
        if (duration > 0 && until > watch->started + duration)
            until = watch->started + duration;
        wait_for_events(watch, signals, until);
        if (watch->run->interrupted)
            return;
        if (watch->ended && (duration <= 0 || tree_is_empty(watch)))
            return;
        if (duration > 0 && now_seconds() - watch->started >= duration) {
            watch->stopped = true;
            return;
        }
        if (watch->ended) { /* a daemon goes on: nothing to wait for but the time */
            struct timespec rest = {.tv_sec = (time_t)pause,
                                    .tv_nsec = (long)((pause - (double)(time_t)pause) * 1e9)};
            nanosleep(&rest, NULL);
        }
    }
}

static void end_tree(struct watch *watch)
{
    static const struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
    double deadline = now_seconds() + LINGER;
    bool wait = watch->ended && !watch->stopped && !watch->run->interrupted;
    bool empty = tree_is_empty(watch);
    while (wait && !empty && now_seconds() < deadline) {
        nanosleep(&moment, NULL);
        empty = tree_is_empty(watch);
    }
    unsigned alive = tm_proctree_end(watch->request->tree, END_GRACE, reaped, watch);
    if (!watch->stopped && !watch->run->interrupted)
        watch->run->outlived = alive;
    if (watch->stopped)
        watch->run->wall = watch->request->duration;
}

static void judge(struct watch *watch)
{
    struct tm_compare_run *run = watch->run;
    uint64_t high_water = (uint64_t)watch->largest_kib * 1024;
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    /* The count starts with this process's own size, which the child had before it executed. */
    if (watch->largest_kib > own.ru_maxrss * 2 && high_water > watch->peak_shared)
        run->high_water = high_water - watch->peak_shared;
    if (run->interrupted || watch->stopped)
        return;
    if (WIFSIGNALED(watch->status)) {
        run->failed = true;
        snprintf(run->failure, sizeof run->failure, "killed by signal %d (%s)",
                 WTERMSIG(watch->status), strsignal(WTERMSIG(watch->status)));
    } else if (WEXITSTATUS(watch->status) != 0) {
        run->failed = true;
        snprintf(run->failure, sizeof run->failure, "exit status %d", WEXITSTATUS(watch->status));
    }
}

void tm_compare_run(const struct tm_compare_request *request, const struct tm_allocator *allocator,
                    struct tm_compare_run *run)
{
    *run = (struct tm_compare_run){.proportional = true};
    struct watch watch = {.request = request, .allocator = allocator, .run = run, .words = -1};
    int signals = signalfd(-1, &request->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    int error = signals < 0 ? errno : start(&watch);
    tm_proctree_restart(request->tree);
    if (error == 0) {
        watch_until_end(&watch, signals);
        run->sampling_cost = tm_proctree_cost(request->tree);
        end_tree(&watch);
        judge(&watch);
    } else {
        tm_proctree_end(request->tree, END_GRACE, reaped, &watch);
        run->failed = true;
        snprintf(run->failure, sizeof run->failure, "cannot be started: %s", strerror(error));
    }
    if (watch.words >= 0)
        hear(&watch);
    if (watch.words >= 0)
        close(watch.words);
    if (signals >= 0)
        close(signals);
}

void tm_compare_run_free(struct tm_compare_run *run)
{
    free(run->samples);
    *run = (struct tm_compare_run){0};
}
