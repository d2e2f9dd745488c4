/* inject.c: the fault injector: runs a program under ptrace(2) and makes chosen system calls of it,
 * of its threads and of its children fail, or kills them at a chosen one, or lets its clocks jump.
 *
 * Why ptrace: the library makes raw system calls, so nothing that is preloaded sees them; and a
 * seccomp filter shows in /proc/self/status, where the library looks and then takes other ways.
 * The calls are counted in the order in which the kernel meets them, from the program's mark on
 * (inject.h), all of its tasks together.
 */
#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
/* After sys/ptrace.h, which has other names for some of it. */
#include <linux/ptrace.h>

static const char usage[] =
    "usage: inject [OPTION]... -- PROGRAM [ARGUMENT]...\n"
    "  --fail KIND:ERROR:FIRST[:COUNT]  calls of KIND from the FIRST fail, COUNT of them (1); 0: "
    "all\n"
    "  --least BYTES, --most BYTES      only calls with such a second argument count as KIND\n"
    "  --kill WHO:NTH    at the NTH call of a process other than the first, kill the `caller`, "
    "the\n"
    "                    `first` process, or `all`\n"
    "  --library NAME    only calls from the mapping of a file whose path has NAME in it count\n"
    "  --from-start      count from the start of the program; else from its mark on\n"
    "  --clock SEED      every reading of a clock jumps, up to an hour back or ahead\n"
    "  --counts FILE     how many calls of each kind there were, and how many failed\n"
    "  --env NAME=VALUE  for the program's environment\n"
    "  --limit SECONDS   kill all after that time (60)\n";

enum { FAULTS_MAX = 8, TASKS_MAX = 4096, LIMIT_EXIT = 124, SETUP_EXIT = 125 };

static const struct kind {
    const char *name;
    long numbers[6]; /* -1: no further one */
} kinds[] = {
    {"mmap", {SYS_mmap, -1}},
    {"munmap", {SYS_munmap, -1}},
    {"madvise", {SYS_madvise, -1}},
    {"mremap", {SYS_mremap, -1}},
    {"mprotect", {SYS_mprotect, -1}},
    {"clone", {SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, -1}},
    {"open", {SYS_open, SYS_openat, -1}},
    {"read", {SYS_read, SYS_pread64, SYS_readlink, SYS_getdents64, -1}},
    {"write", {SYS_write, SYS_pwrite64, -1}},
    {"close", {SYS_close, SYS_close_range, -1}},
    {"rename", {SYS_rename, SYS_renameat2, SYS_link, SYS_linkat, -1}},
    {"descriptor", {SYS_memfd_create, SYS_ftruncate, SYS_fcntl, -1}},
    {"barrier", {SYS_membarrier, -1}},
    {"copy", {SYS_process_vm_readv, -1}},
    {"any", {-1}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN}, {"EPERM", EPERM},   {"ENOSYS", ENOSYS},
              {"EINVAL", EINVAL}, {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EIO", EIO},
              {"EACCES", EACCES}, {"EINTR", EINTR},   {"EEXIST", EEXIST}};

static struct fault {
    unsigned kind;
    int error;
    uint64_t first, end; /* of the kind's calls, counted from 1 */
} faults[FAULTS_MAX];
static unsigned fault_count;
static uint64_t least_bytes, most_bytes = UINT64_MAX;
static enum { KILL_NOBODY, KILL_CALLER, KILL_FIRST, KILL_ALL } kill_who;
static uint64_t kill_at;
static const char *library;
static const char *counts_path;
static char *environment[8];
static unsigned environment_count;
static bool counting, clock_jumps;
static uint64_t random_state;
static unsigned limit_seconds = 60;

static uint64_t counts[KINDS], injected, others_calls;
static volatile sig_atomic_t limit_reached;

/* A traced thread. */
static struct task {
    pid_t id, process; /* 0: no task */
    int error;         /* of the call that it is in; 0: that goes its way */
    uint64_t clock_at; /* where clock_gettime puts its answer; 0: it is in another call */
} tasks[TASKS_MAX];

/* Of each process that executed the program: where the library lies. */
static struct {
    pid_t process;
    uint64_t from, to;
} place;

static void fail(const char *what, const char *value)
{
    fprintf(stderr, "inject: %s%s%s\n%s", what, value == NULL ? "" : " ",
            value == NULL ? "" : value, usage);
    exit(SETUP_EXIT);
}

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static struct task *task_of(pid_t id)
{
    for (struct task *task = tasks; task < tasks + TASKS_MAX; task++)
        if (task->id == id)
            return task;
    return NULL;
}

/* The process of a thread. */
static pid_t process_of(pid_t id)
{
    char path[64], line[256];
    int process = id;
    snprintf(path, sizeof path, "/proc/%d/status", (int)id);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Tgid: %d", &process) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (pid_t)process;
}

static struct task *new_task(pid_t id)
{
    struct task *task = task_of(0);
    if (task == NULL)
        fail("more tasks at a time than it has room for", NULL);
    *task = (struct task){.id = id, .process = process_of(id)};
    return task;
}

static void kill_all(void)
{
    for (struct task *task = tasks; task < tasks + TASKS_MAX; task++)
        if (task->id != 0)
            kill(task->process, SIGKILL);
}

static void on_limit(int number)
{
    (void)number;
    limit_reached = 1;
}

/* Finds the library in a process; children made by fork have it where their parent has it. */
static bool is_in_library(const struct task *task, uint64_t address)
{
    char path[64], line[4352];
    if (library == NULL || (address >= place.from && address < place.to))
        return true;
    if (place.to != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)task->process);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t from, to;
        char right;
        if (strstr(line, library) != NULL &&
            sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%*c%c", &from, &to, &right) == 3 &&
            right == 'x') {
            place.from = from;
            place.to = to;
        }
    }
    if (file != NULL)
        fclose(file);
    return address >= place.from && address < place.to;
}

static bool is_of_kind(unsigned kind, long number)
{
    for (const long *one = kinds[kind].numbers; *one >= 0; one++)
        if (*one == number)
            return true;
    return strcmp(kinds[kind].name, "any") == 0;
}

static bool may_be_killed(const struct task *task, pid_t first)
{
    if (task->process == first || ++others_calls != kill_at || kill_who == KILL_NOBODY)
        return false;
    injected++;
    if (kill_who == KILL_ALL)
        kill_all();
    else
        kill(kill_who == KILL_FIRST ? first : task->process, SIGKILL);
    return true;
}

/* The library hides its copy of the process from tracers (CLONE_UNTRACED). Not from this one. */
static void uncover_copy(const struct task *task, const struct ptrace_syscall_info *info)
{
    if ((info->entry.args[0] & CLONE_UNTRACED) != 0)
        ptrace(PTRACE_POKEUSER, task->id, offsetof(struct user_regs_struct, rdi),
               info->entry.args[0] & ~(uint64_t)CLONE_UNTRACED);
}

/* The task is about to make a call. */
static void enters(struct task *task, const struct ptrace_syscall_info *info, pid_t first)
{
    long number = (long)info->entry.nr;
    if (number == SYS_clone)
        uncover_copy(task, info);
    task->error = 0;
    task->clock_at = clock_jumps && number == SYS_clock_gettime ? (uint64_t)info->entry.args[1] : 0;
    if (number == SYS_prctl && (long)info->entry.args[0] == INJECT_MARK) {
        counting = info->entry.args[1] != 0;
        return;
    }
    if (!counting || number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn ||
        may_be_killed(task, first) || !is_in_library(task, info->instruction_pointer))
        return;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (!is_of_kind(kind, number) || info->entry.args[1] < least_bytes ||
            info->entry.args[1] > most_bytes)
            continue;
        counts[kind]++;
        for (const struct fault *fault = faults; fault < faults + fault_count; fault++)
            if (fault->kind == kind && counts[kind] >= fault->first && counts[kind] < fault->end)
                task->error = fault->error;
    }
    /* The number of no call: the kernel does nothing, and the answer is put in at the way out. */
    if (task->error != 0 &&
        ptrace(PTRACE_POKEUSER, task->id, offsetof(struct user_regs_struct, orig_rax), -1L) != 0)
        task->error = 0;
}

/* Up to an hour either way, but most often less than a second. */
static void jump(const struct task *task)
{
    struct timespec now;
    struct iovec here = {&now, sizeof now};
    struct iovec there = {(void *)(uintptr_t)task->clock_at, sizeof now};
    if (process_vm_readv(task->id, &here, 1, &there, 1, 0) != (ssize_t)sizeof now)
        return;
    int64_t most = random64() % 4 == 0 ? INT64_C(3600000000000) : INT64_C(1000000000);
    int64_t ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    ns += (int64_t)(random64() % (uint64_t)(2 * most)) - most;
    if (ns < 0)
        ns = 0;
    now = (struct timespec){ns / 1000000000, ns % 1000000000};
    if (process_vm_writev(task->id, &here, 1, &there, 1, 0) == (ssize_t)sizeof now)
        injected++;
}

static void leaves(struct task *task)
{
    if (task->clock_at != 0)
        jump(task);
    if (task->error != 0 && ptrace(PTRACE_POKEUSER, task->id,
                                   offsetof(struct user_regs_struct, rax), (long)-task->error) == 0)
        injected++;
    task->error = 0;
    task->clock_at = 0;
}

/* Without the vDSO every reading of a clock is a system call. Its entry in the auxiliary vector,
 * above the environment, is made one that means nothing. */
static void hide_vdso(pid_t id)
{
    unsigned long at =
        (unsigned long)ptrace(PTRACE_PEEKUSER, id, offsetof(struct user_regs_struct, rsp), NULL);
    /* The count of arguments, these, NULL, the environment, NULL. */
    for (int nulls = 0; nulls < 2;) {
        at += sizeof(long);
        errno = 0;
        if (ptrace(PTRACE_PEEKDATA, id, at, NULL) == 0)
            nulls++;
        if (errno != 0)
            return;
    }
    for (at += sizeof(long); errno == 0; at += 2 * sizeof(long)) {
        long type = ptrace(PTRACE_PEEKDATA, id, at, NULL);
        if (type == AT_SYSINFO_EHDR)
            ptrace(PTRACE_POKEDATA, id, at, (long)AT_IGNORE);
        if (type == AT_NULL)
            return;
    }
}

/* A task stopped; returns the signal to let it go on with. */
static int stopped(struct task *task, int status, bool is_new, pid_t first)
{
    int signal_number = WSTOPSIG(status);
    if (signal_number == (SIGTRAP | 0x80)) {
        struct ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, task->id, sizeof info, &info) <= 0)
            return 0;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            enters(task, &info, first);
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
            leaves(task);
        return 0;
    }
    if (status >> 16 == PTRACE_EVENT_EXEC) {
        place.from = place.to = 0;
        if (clock_jumps)
            hide_vdso(task->id);
    }
    if (status >> 16 != 0 || (is_new && signal_number == SIGSTOP))
        return 0;
    return signal_number;
}

/* Until no task is left. Returns the wait status of the first process. */
static int trace(pid_t first)
{
    int first_status = 0, status;
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (limit_reached)
            kill_all();
        if (id < 0 && errno == EINTR)
            continue;
        if (id < 0)
            return first_status;
        struct task *task = task_of(id);
        if (WIFSTOPPED(status)) {
            bool is_new = task == NULL;
            if (is_new)
                task = new_task(id);
            int signal_number = stopped(task, status, is_new, first);
            ptrace(PTRACE_SYSCALL, id, NULL, (long)signal_number);
            continue;
        }
        if (id == first)
            first_status = status;
        if (task != NULL)
            task->id = 0;
    }
}

static pid_t start(char **argv)
{
    static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE |
                                PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    int status;
    pid_t first = fork();
    if (first == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(SETUP_EXIT);
        for (unsigned i = 0; i < environment_count; i++)
            putenv(environment[i]);
        raise(SIGSTOP);
        execvp(argv[0], argv);
        _exit(SETUP_EXIT);
    }
    if (first < 0 || waitpid(first, &status, 0) != first || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, first, NULL, options) != 0) {
        fprintf(stderr, "inject: ptrace is not permitted here\n");
        exit(SETUP_EXIT);
    }
    new_task(first);
    ptrace(PTRACE_SYSCALL, first, NULL, NULL);
    return first;
}

static void read_fault(char *text)
{
    const char *kind = strsep(&text, ":"), *error = strsep(&text, ":"), *first = strsep(&text, ":");
    const char *count = strsep(&text, ":");
    if (first == NULL || fault_count == FAULTS_MAX)
        fail("--fail wants KIND:ERROR:FIRST[:COUNT], not more than 8 times", NULL);
    struct fault *fault = &faults[fault_count++];
    while (fault->kind < KINDS && strcmp(kinds[fault->kind].name, kind) != 0)
        fault->kind++;
    if (fault->kind == KINDS)
        fail("there is no kind", kind);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(errors[i].name, error) == 0)
            fault->error = errors[i].number;
    if (fault->error == 0)
        fail("there is no error", error);
    fault->first = strtoull(first, NULL, 10);
    uint64_t calls = count == NULL ? 1 : strtoull(count, NULL, 10);
    fault->end = calls == 0 ? UINT64_MAX : fault->first + calls;
}

static void read_kill(char *text)
{
    const char *who = strsep(&text, ":"), *nth = strsep(&text, ":");
    if (nth == NULL)
        fail("--kill wants WHO:NTH", NULL);
    kill_at = strtoull(nth, NULL, 10);
    if (strcmp(who, "caller") == 0)
        kill_who = KILL_CALLER;
    else if (strcmp(who, "first") == 0)
        kill_who = KILL_FIRST;
    else if (strcmp(who, "all") == 0)
        kill_who = KILL_ALL;
    else
        fail("--kill knows caller, first and all, not", who);
}

/* Returns the index of the program in argv. */
static int read_options(int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--from-start") == 0)
            counting = true;
        else if (strcmp(argv[i], "--fail") == 0)
            read_fault(argv[++i]);
        else if (strcmp(argv[i], "--kill") == 0)
            read_kill(argv[++i]);
        else if (strcmp(argv[i], "--least") == 0)
            least_bytes = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--most") == 0)
            most_bytes = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--library") == 0)
            library = argv[++i];
        else if (strcmp(argv[i], "--counts") == 0)
            counts_path = argv[++i];
        else if (strcmp(argv[i], "--env") == 0 && environment_count < 8)
            environment[environment_count++] = argv[++i];
        else if (strcmp(argv[i], "--limit") == 0)
            limit_seconds = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--clock") == 0) {
            clock_jumps = true;
            random_state = strtoull(argv[++i], NULL, 0) | 1;
        } else
            fail("no such option:", argv[i]);
    }
    if (i + 1 >= argc)
        fail("no program is named", NULL);
    return i + 1;
}

static void write_counts(void)
{
    FILE *file = counts_path == NULL ? NULL : fopen(counts_path, "w");
    if (file == NULL)
        return;
    for (unsigned kind = 0; kind < KINDS; kind++)
        fprintf(file, "%s %" PRIu64 "\n", kinds[kind].name, counts[kind]);
    fprintf(file, "others %" PRIu64 "\ninjected %" PRIu64 "\n", others_calls, injected);
    fclose(file);
}

int main(int argc, char **argv)
{
    int program = read_options(argc, argv);
    struct sigaction action = {.sa_handler = on_limit};
    sigaction(SIGALRM, &action, NULL);
    pid_t first = start(argv + program);
    alarm(limit_seconds);
    int status = trace(first);
    write_counts();
    if (limit_reached) {
        fprintf(stderr, "inject: the program did not end within %u s\n", limit_seconds);
        return LIMIT_EXIT;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "inject: the program was ended by signal %d (%s)\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status);
}
