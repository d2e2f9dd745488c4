/* live.c: finds the processes that have the library mapped. See live.h. */
#include "profiler/report/live.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char LIBRARY[] = "libtidemark.so";
static const char PAGE[] = "/memfd:" TM_LIVE_NAME " (deleted)";
enum { KERNEL_THREAD = 0x00200000 }; /* in the flags of /proc/PID/stat: PF_KTHREAD */

static FILE *open_of(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

static void look_at_line(char *line, struct tm_live_place *place)
{
    unsigned long start, end, offset, inode;
    int name = 0;
    if (sscanf(line, "%lx-%lx %*s %lx %*s %lu %n", &start, &end, &offset, &inode, &name) < 4 ||
        name == 0 || offset != 0)
        return;
    line[strcspn(line, "\n")] = '\0';
    const char *slash = strrchr(line + name, '/');
    if (strcmp(line + name, PAGE) == 0) {
        place->start = start;
        place->end = end;
        place->inode = inode;
    } else if (place->library == 0 && slash != NULL &&
               strncmp(slash + 1, LIBRARY, sizeof LIBRARY - 1) == 0) {
        place->library = start;
    }
}

/* 0, or an errno. */
static int find_place(pid_t pid, struct tm_live_place *place)
{
    char *line = NULL;
    size_t size = 0;
    memset(place, 0, sizeof *place);
    errno = 0;
    FILE *maps = open_of(pid, "maps");
    if (maps == NULL)
        return errno;
    while (getline(&line, &size, maps) > 0)
        look_at_line(line, place);
    int error = ferror(maps) ? errno : 0;
    free(line);
    fclose(maps);
    return error;
}

/* What /proc/PID/stat tells. False: it is gone, a zombie, or a thread of the kernel. */
static bool read_stat(struct tm_live_process *process)
{
    char text[1024];
    char state;
    unsigned flags;
    unsigned long long start;
    FILE *file = open_of(process->pid, "stat");
    if (file == NULL)
        return false;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    /* The name may have any character in it, brackets too. */
    const char *open = strchr(text, '(');
    const char *close = strrchr(text, ')');
    if (open == NULL || close == NULL || close < open ||
        sscanf(close + 1,
               " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &flags, &start) != 3 ||
        state == 'Z' || state == 'X' || (flags & KERNEL_THREAD) != 0)
        return false;
    snprintf(process->program, sizeof process->program, "%.*s", (int)(close - open - 1), open + 1);
    process->start_ticks = start;
    return true;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* The kernel counts from boot with the time asleep, the page without. */
static uint64_t monotonic_ns(uint64_t ticks)
{
    uint64_t awake = clock_ns(CLOCK_MONOTONIC);
    uint64_t asleep = clock_ns(CLOCK_BOOTTIME) - awake; /* in this order: never below 0 */
    uint64_t since_boot = ticks * (1000000000U / (uint64_t)sysconf(_SC_CLK_TCK));
    return since_boot > asleep ? since_boot - asleep : 0;
}

/* The program by its file, which a process cannot choose, where that may be seen. */
static void find_program(struct tm_live_process *process)
{
    char path[64], exe[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)process->pid);
    ssize_t length = readlink(path, exe, sizeof exe - 1);
    if (length <= 0)
        return;
    exe[length] = '\0';
    char *deleted = strstr(exe, " (deleted)");
    if (deleted != NULL && deleted[sizeof " (deleted)" - 1] == '\0')
        *deleted = '\0';
    const char *slash = strrchr(exe, '/');
    snprintf(process->program, sizeof process->program, "%.63s", slash != NULL ? slash + 1 : exe);
}

static void find_owner(struct tm_live_process *process)
{
    char line[256];
    FILE *file = open_of(process->pid, "status");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *last = strrchr(line, '\t');
        if (strncmp(line, "NSpid:", 6) == 0 && last != NULL)
            process->inner_pid = (pid_t)atoi(last + 1);
        else if (strncmp(line, "Uid:", 4) == 0)
            process->uid = (uid_t)strtoul(line + 4, NULL, 10);
    }
    fclose(file);
    struct passwd room, *user = NULL;
    char names[4096];
    if (getpwuid_r(process->uid, &room, names, sizeof names, &user) == 0 && user != NULL)
        snprintf(process->user, sizeof process->user, "%s", user->pw_name);
    else
        snprintf(process->user, sizeof process->user, "%u", (unsigned)process->uid);
}

static void find_rss(struct tm_live_process *process)
{
    unsigned long size, resident;
    FILE *file = open_of(process->pid, "statm");
    if (file == NULL)
        return;
    if (fscanf(file, "%lu %lu", &size, &resident) == 2)
        process->rss_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    fclose(file);
}

static void add(struct tm_live_list *list, const struct tm_live_process *process)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        struct tm_live_process *more = realloc(list->processes, room * sizeof *more);
        if (more == NULL)
            return; /* a table that lacks a row is better than none */
        list->processes = more;
        list->room = room;
    }
    list->processes[list->count++] = *process;
    list->without += process->state != TM_LIVE_READ;
}

static void look_at(struct tm_live_list *list, pid_t pid)
{
    struct tm_live_process process = {.pid = pid, .inner_pid = pid};
    struct tm_live_place place;
    char path[64];
    struct stat status;
    if (!read_stat(&process))
        return;
    int error = find_place(pid, &place);
    if (error == EACCES || error == EPERM) {
        snprintf(path, sizeof path, "/proc/%d", (int)pid);
        if (stat(path, &status) == 0) {
            list->denied++;
            list->denied_pid = pid;
            list->denied_user = status.st_uid;
        }
        return;
    }
    if (error != 0 || place.library == 0)
        return;
    process.start_ns = monotonic_ns(process.start_ticks);
    find_program(&process);
    find_owner(&process);
    find_rss(&process);
    tm_live_read(&process, &place);
    add(list, &process);
}

static int by_pid(const void *a, const void *b)
{
    const struct tm_live_process *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

int tm_live_scan(struct tm_live_list *list)
{
    struct dirent *entry;
    list->count = list->denied = list->without = 0;
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return errno;
    while ((entry = readdir(directory)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            look_at(list, (pid_t)atoi(entry->d_name));
    closedir(directory);
    if (list->count != 0)
        qsort(list->processes, list->count, sizeof *list->processes, by_pid);
    return 0;
}

void tm_live_free(struct tm_live_list *list)
{
    free(list->processes);
    *list = (struct tm_live_list){.processes = NULL};
}

void tm_live_explain(const struct tm_live_list *list, char *text, size_t size)
{
    size_t states[4] = {0};
    size_t used = 0;
    for (size_t i = 0; i < list->count; i++)
        states[list->processes[i].state]++;
    const struct {
        size_t count;
        const char *what;
    } reasons[] = {
        {states[TM_LIVE_DENIED], "not shown in full, as neither their descriptor nor their memory "
                                 "may be read: run as root"},
        {states[TM_LIVE_NONE], "without figures: live=no, set-user-id, or forked just now"},
        {states[TM_LIVE_VERSIONS], "of another version of Tidemark: use the command that came with "
                                   "it"},
    };
    text[0] = '\0';
    if (list->denied != 0)
        used = (size_t)snprintf(text, size,
                                "%zu not looked at, under Tidemark or not (%d of user %u, for "
                                "one): %s\n",
                                list->denied, (int)list->denied_pid, (unsigned)list->denied_user,
                                geteuid() == 0 ? "the kernel refuses even root"
                                               : "run as that user or as root");
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].count != 0 && used + 1 < size)
            used += (size_t)snprintf(text + used, size - used, "%zu %s\n", reasons[i].count,
                                     reasons[i].what);
}
