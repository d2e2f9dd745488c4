/* proctree.c: the process tree below this process and its resident memory. See proctree.h.
 *
 * Reading RSS (statm) costs microseconds, reading the proportional share PSS (smaps_rollup) walks
 * the page tables: about 10 ms for 1 GiB, while the measured program may wait for its own mappings.
 * So both are combined: now and then every process's PSS is read, and what it is below RSS is
 * remembered as the process's shared part; in between, RSS less that part stands for PSS. The parts
 * are read again when processes come or go (a fork shares everything) or when one of several
 * processes changes much; a budget of CPU time bounds how often.
 */
#include "profiler/report/proctree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double BUDGET_SHARE = 0.015;     /* of one CPU, for reading PSS */
static const double BUDGET_START = 0.010;     /* seconds that may be spent at once */
static const double REFRESH_SECONDS = 1.0;    /* how old a shared part may get */
static const uint64_t CHANGE_FLOOR = 2 << 20; /* a smaller change of RSS tells nothing, bytes */

static const char ROLLUP[] = "/proc/self/smaps_rollup"; /* since Linux 4.14 */

struct process {
    pid_t pid;
    pid_t parent;    /* as the walk of the tree found it */
    bool seen;       /* in the walk under way */
    bool apart;      /* has memory of its own: not a vfork child that still runs in its parent's */
    bool unreadable; /* its PSS cannot be read; RSS stands for it */
    bool read;       /* `shared` was read once */
    uint64_t rss;    /* bytes, now */
    uint64_t rss_then; /* when `shared` was read */
    uint64_t shared;   /* RSS less PSS, bytes */
};

struct tm_proctree {
    struct process *processes;
    unsigned count, room;
    pid_t *foreign; /* children that were there before the tree was opened */
    unsigned foreign_count;
    bool changed;           /* processes came or went since the shared parts were read */
    double started;         /* CLOCK_MONOTONIC, seconds */
    double refreshed;       /* when the shared parts were last read */
    double refresh_cost;    /* CPU seconds that this took */
    double refresh_spent;   /* CPU seconds on shared parts since the start */
    double cost, last_cost; /* CPU seconds of all sampling, and of the last sample */
    long page;              /* bytes */
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Reads a small file of /proc whole; returns its length, or -1. NUL-terminated. */
static ssize_t read_proc(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t total = 0;
    ssize_t got;
    while ((size_t)total < size - 1 &&
           (got = read(fd, buffer + total, size - 1 - (size_t)total)) > 0)
        total += got;
    close(fd);
    buffer[total] = '\0';
    return total;
}

static struct process *find(struct tm_proctree *tree, pid_t pid)
{
    for (unsigned i = 0; i < tree->count; i++)
        if (tree->processes[i].pid == pid)
            return &tree->processes[i];
    return NULL;
}

static bool is_foreign(const struct tm_proctree *tree, pid_t pid)
{
    for (unsigned i = 0; i < tree->foreign_count; i++)
        if (tree->foreign[i] == pid)
            return true;
    return false;
}

static void note(struct tm_proctree *tree, pid_t pid, pid_t parent)
{
    struct process *process = find(tree, pid);
    if (!process) {
        if (tree->count == tree->room) {
            unsigned room = tree->room ? tree->room * 2 : 16;
            void *more = realloc(tree->processes, room * sizeof *tree->processes);
            if (!more)
                return;
            tree->processes = more;
            tree->room = room;
        }
        process = &tree->processes[tree->count++];
        *process = (struct process){.pid = pid};
        tree->changed = true;
    }
    process->seen = true;
    process->parent = parent;
}

/* The kernel lists children by the thread that made them. Writes at most `room` pids; returns how
 * many. */
static unsigned children_of_thread(pid_t pid, const char *tid, pid_t *children, unsigned room)
{
    char name[48];
    char text[8192];
    snprintf(name, sizeof name, "task/%.20s/children", tid);
    if (read_proc(pid, name, text, sizeof text) <= 0)
        return 0;
    unsigned count = 0;
    char *at = text;
    for (char *end; count < room; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            break;
        children[count++] = (pid_t)child;
    }
    return count;
}

enum { CHILDREN_MOST = 1024 }; /* of one process, at one time */

static unsigned children_of(pid_t pid, pid_t *children)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (!threads)
        return 0;
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(threads));)
        if (isdigit((unsigned char)entry->d_name[0]))
            count +=
                children_of_thread(pid, entry->d_name, children + count, CHILDREN_MOST - count);
    closedir(threads);
    return count;
}

/* Breadth first over the tree: noted processes are the queue. */
static void walk(struct tm_proctree *tree)
{
    pid_t children[CHILDREN_MOST];
    for (unsigned i = 0; i < tree->count; i++)
        tree->processes[i].seen = false;
    unsigned count = children_of(getpid(), children);
    for (unsigned i = 0; i < count; i++)
        if (!is_foreign(tree, children[i]))
            note(tree, children[i], getpid());
    /* Parents may stand behind their children in the table, so go on until a pass finds nothing
     * new. */
    pid_t *done = calloc(1, sizeof *done);
    unsigned done_count = 0;
    for (bool more = true; more && done;) {
        more = false;
        for (unsigned i = 0; i < tree->count; i++) {
            pid_t pid = tree->processes[i].pid;
            bool visited = !tree->processes[i].seen;
            for (unsigned j = 0; j < done_count && !visited; j++)
                visited = done[j] == pid;
            if (visited)
                continue;
            pid_t *grown = realloc(done, (done_count + 1) * sizeof *done);
            if (!grown)
                break;
            done = grown;
            done[done_count++] = pid;
            more = true;
            count = children_of(pid, children);
            for (unsigned k = 0; k < count; k++)
                note(tree, children[k], pid);
        }
    }
    free(done);
    unsigned kept = 0;
    for (unsigned i = 0; i < tree->count; i++) {
        if (tree->processes[i].seen)
            tree->processes[kept++] = tree->processes[i];
        else
            tree->changed = true;
    }
    tree->count = kept;
}

static void read_rss(const struct tm_proctree *tree, struct process *process)
{
    char text[128];
    unsigned long long pages = 0;
    if (read_proc(process->pid, "statm", text, sizeof text) <= 0 ||
        sscanf(text, "%*u %llu", &pages) != 1)
        pages = 0;
    process->rss = pages * (uint64_t)tree->page;
}

/* A vfork child runs in its parent's memory until it executes; counting it would double the parent.
 */
static bool has_own_memory(const struct process *process)
{
    if (process->apart)
        return true;
    return syscall(SYS_kcmp, process->parent, process->pid, KCMP_VM, 0, 0) != 0;
}

static uint64_t field_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static void read_shared(struct process *process)
{
    char text[2048];
    process->read = true;
    process->rss_then = process->rss;
    errno = 0;
    if (read_proc(process->pid, "smaps_rollup", text, sizeof text) <= 0) {
        /* A process that is just ending has no such text either; that says nothing. */
        process->unreadable = errno == EACCES || errno == EPERM || access(ROLLUP, R_OK) != 0;
        return;
    }
    uint64_t rss = field_kib(text, "\nRss:");
    uint64_t pss = field_kib(text, "\nPss:");
    process->unreadable = false;
    process->shared = rss > pss ? rss - pss : 0;
}

/* Is some shared part out of date, so that the sum would be wrong by much? */
static bool must_refresh(const struct tm_proctree *tree)
{
    if (tree->changed)
        return true;
    for (unsigned i = 0; i < tree->count && tree->count > 1; i++) {
        const struct process *process = &tree->processes[i];
        uint64_t now = process->rss, then = process->rss_then;
        uint64_t difference = now > then ? now - then : then - now;
        if (!process->read || (difference > CHANGE_FLOOR && difference > then / 8))
            return true;
    }
    return false;
}

/* Reads the shared parts again where that is needed. False: needed, but beyond the budget for now.
 */
static bool refresh(struct tm_proctree *tree, double now)
{
    bool must = must_refresh(tree);
    if (!must && now - tree->refreshed < REFRESH_SECONDS)
        return true;
    double allowed = BUDGET_START + BUDGET_SHARE * (now - tree->started);
    if (tree->refresh_spent + tree->refresh_cost > allowed && tree->refresh_spent > 0)
        return !must;
    double before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < tree->count; i++)
        if (tree->processes[i].apart && tree->processes[i].rss > 0)
            read_shared(&tree->processes[i]);
    tree->refresh_cost = seconds_of(CLOCK_THREAD_CPUTIME_ID) - before;
    tree->refresh_spent += tree->refresh_cost;
    tree->refreshed = now;
    tree->changed = false;
    return true;
}

static bool sum_up(struct tm_proctree *tree, struct tm_tree_sample *sample)
{
    *sample = (struct tm_tree_sample){.proportional = true};
    uint64_t most = 0;
    for (unsigned i = 0; i < tree->count; i++) {
        const struct process *process = &tree->processes[i];
        if (!process->apart || process->rss == 0)
            continue;
        sample->processes++;
        sample->proportional = sample->proportional && !process->unreadable;
        uint64_t shared = process->unreadable ? 0 : process->shared;
        sample->bytes += process->rss > shared ? process->rss - shared : 0;
        if (process->rss > most) {
            most = process->rss;
            sample->biggest = process->pid;
            sample->shared = shared;
        }
    }
    return sample->processes > 0;
}

bool tm_proctree_sample(struct tm_proctree *tree, struct tm_tree_sample *sample)
{
    double before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    walk(tree);
    for (unsigned i = 0; i < tree->count; i++) {
        struct process *process = &tree->processes[i];
        bool apart = has_own_memory(process);
        tree->changed = tree->changed || apart != process->apart;
        process->apart = apart;
        read_rss(tree, process);
    }
    bool known = refresh(tree, seconds_of(CLOCK_MONOTONIC)) && sum_up(tree, sample);
    tree->last_cost = seconds_of(CLOCK_THREAD_CPUTIME_ID) - before;
    tree->cost += tree->last_cost;
    return known;
}

double tm_proctree_cost(const struct tm_proctree *tree)
{
    return tree->cost;
}

double tm_proctree_last_cost(const struct tm_proctree *tree)
{
    return tree->last_cost;
}

struct tm_proctree *tm_proctree_open(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return NULL;
    struct tm_proctree *tree = calloc(1, sizeof *tree);
    pid_t *foreign = calloc(CHILDREN_MOST, sizeof *foreign);
    if (!tree || !foreign) {
        free(foreign);
        free(tree);
        return NULL;
    }
    tree->foreign = foreign;
    tree->foreign_count = children_of(getpid(), foreign);
    tree->page = sysconf(_SC_PAGESIZE);
    tm_proctree_restart(tree);
    return tree;
}

void tm_proctree_close(struct tm_proctree *tree)
{
    if (!tree)
        return;
    free(tree->processes);
    free(tree->foreign);
    free(tree);
}

void tm_proctree_restart(struct tm_proctree *tree)
{
    tree->count = 0;
    tree->changed = true;
    tree->started = seconds_of(CLOCK_MONOTONIC);
    tree->refreshed = 0;
    tree->refresh_cost = tree->refresh_spent = 0;
    tree->cost = tree->last_cost = 0;
}

unsigned tm_proctree_signal(struct tm_proctree *tree, int signal)
{
    walk(tree);
    for (unsigned i = 0; i < tree->count; i++)
        kill(tree->processes[i].pid, signal);
    return tree->count;
}

unsigned tm_proctree_end(struct tm_proctree *tree, double grace,
                         void (*reaped)(pid_t pid, int status, const struct rusage *usage,
                                        void *context),
                         void *context)
{
    static const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    unsigned alive = 0;
    bool asked = false;
    double deadline = seconds_of(CLOCK_MONOTONIC) + grace;
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid;
        while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
            if (reaped)
                reaped(pid, status, &usage, context);
        bool late = seconds_of(CLOCK_MONOTONIC) > deadline;
        if (!asked || late) {
            unsigned count = tm_proctree_signal(tree, late ? SIGKILL : SIGTERM);
            if (!asked)
                alive = count;
            asked = true;
        } else {
            walk(tree);
        }
        if (tree->count == 0)
            return alive;
        nanosleep(&pause, NULL);
    }
}
