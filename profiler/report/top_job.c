/* top_job.c: `snapshot` and `trim` at a key of `tidemark top`: the command itself, in a process of
 * its own, so that the table goes on while it waits. */
#include "profiler/report/top.h"

#include "profiler/report/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Never returns. */
static void run(const char *command, pid_t target, int output)
{
    char name[16], pid[16];
    char *arguments[] = {name, pid, NULL};
    static const int taken[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGTSTP,
                                SIGSEGV, SIGBUS,  SIGABRT, SIGFPE,  SIGPIPE};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        signal(taken[i], SIG_DFL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    snprintf(name, sizeof name, "%s", command);
    snprintf(pid, sizeof pid, "%d", (int)target);
    int status = strcmp(command, "trim") == 0 ? tm_command_trim(2, arguments)
                                              : tm_command_snapshot(2, arguments);
    fflush(stdout);
    _exit(status);
}

bool tm_top_job_start(struct tm_top_job *job, const char *command, pid_t target)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fflush(stdout);
    job->pid = fork();
    if (job->pid == 0)
        run(command, target, ends[1]);
    close(ends[1]);
    if (job->pid < 0) {
        int error = errno;
        job->pid = 0;
        close(ends[0]);
        errno = error;
        return false;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    job->fd = ends[0];
    job->used = 0;
    job->text[0] = '\0';
    return true;
}

static void finish(struct tm_top_job *job)
{
    close(job->fd);
    while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    job->pid = 0;
}

bool tm_top_job_read(struct tm_top_job *job)
{
    char rest[256];
    for (;;) {
        size_t room = sizeof job->text - 1 - job->used;
        ssize_t got = room != 0 ? read(job->fd, job->text + job->used, room)
                                : read(job->fd, rest, sizeof rest);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (got <= 0)
            break;
        if (room != 0)
            job->used += (size_t)got;
    }
    finish(job);
    while (job->used > 0 && job->text[job->used - 1] == '\n')
        job->used--;
    job->text[job->used] = '\0';
    for (char *at = job->text; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    return true;
}

void tm_top_job_stop(struct tm_top_job *job)
{
    if (job->pid == 0)
        return;
    /* It has nothing to tidy up, and may not have put the handlers of others back yet. */
    kill(job->pid, SIGKILL);
    finish(job);
}
