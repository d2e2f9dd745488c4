/* control.c: see control.h: what /proc tells of the process, and the signal. */
#include "profiler/report/control.h"

#include "profiler/report/command.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char LIBRARY[] = "libtidemark.so";

/* Copies what follows "name:" in a file of lines like /proc/PID/status, without leading blanks;
 * false if it is not there. */
static bool status_field(const char *path, const char *name, char *value, size_t size)
{
    char line[512];
    size_t length = strlen(name);
    bool found = false;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line[strcspn(line, "\n")] = '\0';
            const char *start = line + length + 1;
            snprintf(value, size, "%s", start + strspn(start, " \t"));
            found = true;
        }
    fclose(file);
    return found;
}

static bool process_field(pid_t pid, const char *name, char *value, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return status_field(path, name, value, size);
}

static bool in_mask(const char *hex, int number)
{
    return (strtoull(hex, NULL, 16) >> (number - 1) & 1) != 0;
}

/* "SIGUSR2", "SIGRTMIN+3" */
static const char *signal_name(int number)
{
    static char name[32];
    const char *short_name = number < 32 ? sigabbrev_np(number) : NULL;
    if (short_name != NULL)
        snprintf(name, sizeof name, "SIG%s", short_name);
    else
        snprintf(name, sizeof name, "SIGRTMIN+%d", number - SIGRTMIN);
    return name;
}

bool tm_target_field(const struct tm_target *target, const char *name, char *value, size_t size)
{
    return process_field(target->pid, name, value, size);
}

char tm_target_state(const struct tm_target *target)
{
    char value[64];
    return process_field(target->pid, "State", value, sizeof value) ? value[0] : '?';
}

bool tm_target_is_alive(const struct tm_target *target)
{
    char state = tm_target_state(target);
    return state != '?' && state != 'Z' && state != 'X';
}

bool tm_target_is_pending(const struct tm_target *target)
{
    char value[64];
    return process_field(target->pid, "ShdPnd", value, sizeof value) &&
           in_mask(value, target->status.signal);
}

static bool parse_pid(const char *text, pid_t *pid)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < 1 ||
        value > INT_MAX)
        return false;
    *pid = (pid_t)value;
    return true;
}

/* The first mapping of the library: 0, or an errno; *base 0: it is not mapped. */
static int find_library(pid_t pid, uintptr_t *base)
{
    char path[64];
    char *line = NULL;
    size_t size = 0;
    *base = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return errno;
    errno = 0;
    while (*base == 0 && getline(&line, &size, maps) > 0) {
        unsigned long start, offset;
        const char *slash = strrchr(line, '/');
        if (slash != NULL && strncmp(slash + 1, LIBRARY, sizeof LIBRARY - 1) == 0 &&
            sscanf(line, "%lx-%*x %*s %lx", &start, &offset) == 2 && offset == 0)
            *base = start;
    }
    int error = ferror(maps) ? errno : 0;
    free(line);
    fclose(maps);
    return error;
}

/* The value of a variable in the environment it was started with, or false. */
static bool initial_variable(pid_t pid, const char *name, char *value, size_t size)
{
    char path[64];
    char *entry = NULL;
    size_t room = 0;
    size_t length = strlen(name);
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && getdelim(&entry, &room, '\0', file) > 0)
        if (strncmp(entry, name, length) == 0 && entry[length] == '=') {
            snprintf(value, size, "%s", entry + length + 1);
            found = true;
        }
    free(entry);
    fclose(file);
    return found;
}

/* It was just started: it is `tidemark run` still, or a program whose environment names the
 * library. */
static bool is_starting(pid_t pid)
{
    char value[4096];
    return (process_field(pid, "Name", value, sizeof value) && strcmp(value, "tidemark") == 0) ||
           (initial_variable(pid, "LD_PRELOAD", value, sizeof value) &&
            strstr(value, LIBRARY) != NULL);
}

/* How long and how often a process that was just started is waited for. */
enum { POLLS = 50 };
static const struct timespec poll_interval = {.tv_nsec = 20 * 1000 * 1000};

static int find_library_soon(pid_t pid, uintptr_t *base)
{
    int error = find_library(pid, base);
    for (int polls = 0; error == 0 && *base == 0 && polls < POLLS && is_starting(pid); polls++) {
        nanosleep(&poll_interval, NULL);
        error = find_library(pid, base);
    }
    return error;
}

static bool is_32_bit(pid_t pid)
{
    char path[64];
    unsigned char head[5] = {0};
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool result = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
                  memcmp(head, "\177ELF\1", 5) == 0;
    if (fd >= 0)
        close(fd);
    return result;
}

static bool is_apart(pid_t pid)
{
    char path[64], theirs[64], ours[64];
    struct stat their_root, our_root;
    snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
    if (stat(path, &their_root) == 0 && stat("/", &our_root) == 0 &&
        (their_root.st_dev != our_root.st_dev || their_root.st_ino != our_root.st_ino))
        return true;
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)pid);
    ssize_t length = readlink(path, theirs, sizeof theirs);
    return length > 0 && (readlink("/proc/self/ns/mnt", ours, sizeof ours) != length ||
                          memcmp(theirs, ours, (size_t)length) != 0);
}

static int number_of_signal(const char *name)
{
    int number;
    if (isdigit((unsigned char)name[0]))
        return atoi(name);
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    if (strncmp(name, "RTMIN", 5) == 0)
        return SIGRTMIN + atoi(name + 5);
    if (strncmp(name, "RTMAX", 5) == 0)
        return SIGRTMAX + atoi(name + 5);
    for (number = 1; number < 32; number++)
        if (sigabbrev_np(number) != NULL && strcmp(name, sigabbrev_np(number)) == 0)
            return number;
    return 0;
}

/* What its environment asked for, the defaults for the rest: for when its memory does not tell. */
static void guess_from_environment(struct tm_target *target)
{
    char value[4096];
    char *rest;
    target->status.signal = SIGUSR2;
    snprintf(target->out, sizeof target->out, "%s", "/tmp/tidemark.%e.%p.%n.heap");
    /* With children=no the library has taken the variable's first letter away. */
    if (!initial_variable(target->pid, "TIDEMARK", value, sizeof value) &&
        !initial_variable(target->pid, "_IDEMARK", value, sizeof value))
        return;
    for (char *pair = strtok_r(value, ",", &rest); pair != NULL; pair = strtok_r(NULL, ",", &rest))
        if (strncmp(pair, "signal=", 7) == 0)
            target->status.signal = number_of_signal(pair + 7);
        else if (strncmp(pair, "out=", 4) == 0)
            snprintf(target->out, sizeof target->out, "%s", pair + 4);
}

bool tm_target_refresh(struct tm_target *target)
{
    struct tm_status status;
    memset(&status, 0, sizeof status);
    /* An older library's is shorter, and what lies behind it is not its own. */
    if (target->status_at == 0 ||
        !tm_remote_read(target->pid, target->status_at, &status,
                        offsetof(struct tm_status, bytes) + sizeof status.bytes))
        return false;
    size_t size = status.bytes < sizeof status ? status.bytes : sizeof status;
    if (!tm_remote_read(target->pid, target->status_at, &status, size))
        return false;
    status.last_path[sizeof status.last_path - 1] = '\0';
    status.last_step[sizeof status.last_step - 1] = '\0';
    target->status = status;
    return true;
}

/* The same once the library has started; gives up waiting for that after a second. */
static bool refresh_started(struct tm_target *target)
{
    bool read = tm_target_refresh(target);
    for (int polls = 0; read && target->status.signal == TM_STATUS_NOT_STARTED && polls < POLLS;
         polls++) {
        nanosleep(&poll_interval, NULL);
        read = tm_target_refresh(target);
    }
    return read;
}

/* What sort of process it is, before anything of it is read. 0, or 1 after printing. */
static int check_kind(struct tm_target *target)
{
    char value[256];
    int pid = (int)target->pid;
    if (!process_field(target->pid, "Tgid", value, sizeof value)) {
        if (access("/proc/self/status", R_OK) != 0)
            tm_error("/proc is not there: mount it to ask a running process");
        else
            tm_error("there is no process %d; `ps` lists what runs", pid);
        return 1;
    }
    if (atoi(value) != pid) {
        tm_error("%d is a thread of process %s: ask that", pid, value);
        return 1;
    }
    char state = tm_target_state(target);
    if (state == 'Z' || state == 'X') {
        tm_error("process %d has ended; it is a zombie until its parent waits for it", pid);
        return 1;
    }
    if (process_field(target->pid, "Kthread", value, sizeof value)
            ? value[0] == '1'
            : !process_field(target->pid, "VmSize", value, sizeof value)) {
        tm_error("process %d is a thread of the kernel: it has no heap", pid);
        return 1;
    }
    return 0;
}

int tm_target_find(const char *text, struct tm_target *target)
{
    char value[256];
    uintptr_t base;
    memset(target, 0, sizeof *target);
    if (!parse_pid(text, &target->pid)) {
        tm_error("'%s' is no process number; `ps` lists what runs", text);
        return 2;
    }
    int pid = (int)target->pid;
    if (check_kind(target) != 0)
        return 1;
    tm_target_find_program(target);
    tm_target_find_users(target);
    if (kill(target->pid, 0) != 0 && errno == EPERM) {
        process_field(target->pid, "Uid", value, sizeof value);
        tm_error("process %d (%s) belongs to user %d and may not be signalled: run this command as "
                 "that user or as root",
                 pid, target->program, atoi(value));
        return 1;
    }
    int error = find_library_soon(target->pid, &base);
    if (error != 0) {
        process_field(target->pid, "Uid", value, sizeof value);
        tm_error("the mappings of process %d (%s) of user %d may not be read: %s; run this command "
                 "as that user, or as root with CAP_SYS_PTRACE (of another container, root has it "
                 "not)",
                 pid, target->program, atoi(value), strerror(error));
        return 1;
    }
    if (base == 0) {
        tm_error(is_32_bit(target->pid)
                     ? "process %d (%s) is a 32-bit program, for which there is no Tidemark"
                     : "process %d (%s) does not run Tidemark: start it with `tidemark run -- "
                       "COMMAND`",
                 pid, target->program);
        return 1;
    }
    target->inner_pid = target->pid;
    if (process_field(target->pid, "NSpid", value, sizeof value)) {
        const char *last = strrchr(value, '\t');
        target->inner_pid = (pid_t)atoi(last != NULL ? last + 1 : value);
    }
    target->apart = is_apart(target->pid);
    guess_from_environment(target);
    target->status_at = tm_remote_symbol(target->pid, base, TM_STATUS_SYMBOL);
    if (target->status_at == (uintptr_t)-1) {
        target->status_at = 0;
        return 0;
    }
    if (!refresh_started(target) ||
        memcmp(target->status.magic, TM_STATUS_MAGIC, sizeof target->status.magic) != 0 ||
        target->status.version != 1) {
        tm_error("process %d (%s) runs another version of Tidemark: use the command that came with "
                 "that library",
                 pid, target->program);
        return 1;
    }
    return 0;
}

/* Every thread blocks it: a program that does so waits for its signals with sigwait or signalfd. */
static bool all_threads_block(const struct tm_target *target)
{
    char path[512], value[64];
    struct dirent *entry;
    bool all = true;
    snprintf(path, sizeof path, "/proc/%d/task", (int)target->pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return false;
    while (all && (entry = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)target->pid, entry->d_name);
        if (entry->d_name[0] != '.' && status_field(path, "SigBlk", value, sizeof value))
            all = in_mask(value, target->status.signal);
    }
    closedir(tasks);
    return all;
}

int tm_target_check_signal(const struct tm_target *target)
{
    static const char remedy[] =
        "start it with another signal, for example TIDEMARK=signal=RTMIN+3";
    char value[64];
    int number = target->status.signal;
    int pid = (int)target->pid;
    if (number < 1 || number > 64) {
        tm_error("process %d (%s) takes no requests: it was started with TIDEMARK=signal=none, or "
                 "is set-user-id",
                 pid, target->program);
        return 1;
    }
    bool caught =
        process_field(target->pid, "SigCgt", value, sizeof value) && in_mask(value, number);
    if (!caught) {
        tm_error("process %d (%s) has reset %s, which Tidemark listens to; sent now, the signal "
                 "could end it: %s",
                 pid, target->program, signal_name(number), remedy);
        return 1;
    }
    if (target->status_at != 0 && target->status.handler == 0) {
        tm_error("process %d (%s) has a handler of its own for %s, which Tidemark would listen to: "
                 "%s",
                 pid, target->program, signal_name(number), remedy);
        return 1;
    }
    if (all_threads_block(target)) {
        tm_error("process %d (%s) blocks %s in all of its threads: %s", pid, target->program,
                 signal_name(number), remedy);
        return 1;
    }
    return 0;
}

int tm_target_send(const struct tm_target *target, enum tm_request request)
{
    union sigval value;
    memset(&value, 0, sizeof value);
    value.sival_int = (int)request;
    if (sigqueue(target->pid, target->status.signal, value) == 0)
        return 0;
    tm_error("%s could not be sent to process %d (%s): %s", signal_name(target->status.signal),
             (int)target->pid, target->program, strerror(errno));
    return 1;
}
