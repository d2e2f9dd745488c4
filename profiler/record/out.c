/* out.c: see out.h. A half file never has the final name: the file is made without any (O_TMPFILE)
 * and linked into its directory when it is whole, so that nothing stays of one whose writer was
 * killed. Where the file system has no such files, or there is no /proc to link them by, it is
 * written under a temporary name in the same directory, so that the rename cannot cross file
 * systems; that name is short, so that it fits where the final one does. A link may be refused
 * where a file may be made (AppArmor): then it is copied to one with a temporary name.
 *
 * The directory may be one that everybody writes to (/tmp). What is there already, of whatever
 * kind, is never opened, followed, written to or replaced: the file is made anew or not at all, for
 * its owner alone, and takes the final name only if nothing has it. Others can take names
 * beforehand, as these can be guessed; they cannot take them all.
 */
#include "profiler/record/out.h"

#include "profiler/record/sys.h"
#include "profiler/record/text.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum {
    NUMBERS_TRIED = 1000, /* files of earlier processes that had the same pid */
    NAMES_TRIED = 16,     /* for the temporary file */
};

int tm_out_expand(char *path, const char *pattern, int pid, uint64_t number, const char *program)
{
    struct tm_text text = tm_text_in(path, TM_PATH_BYTES);
    if (pattern[0] != '/') {
        /* The kernel answers "(unreachable)/…" for a directory outside the process's root: a
         * relative path is all there is then. */
        if (tm_sys3(SYS_getcwd, (long)path, TM_PATH_BYTES, 0) > 0 && path[0] == '/') {
            text.used = strlen(path);
            if (text.used > 1)
                tm_text_add(&text, "/");
        } else {
            path[0] = '\0';
        }
    }
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            tm_text_bytes(&text, p, 1);
            continue;
        }
        p++;
        if (*p == 'p')
            tm_text_number(&text, (uint64_t)pid);
        else if (*p == 'n')
            tm_text_number(&text, number);
        else if (*p == 'e')
            tm_text_add(&text, program);
        else if (*p == '%')
            tm_text_add(&text, "%");
        else
            break; /* the configuration let no other through */
    }
    return text.cut ? ENAMETOOLONG : 0;
}

static void set_step(struct tm_outcome *outcome, const char *step)
{
    struct tm_text text = tm_text_in(outcome->step, sizeof outcome->step);
    tm_text_add(&text, step);
}

/* EEXIST: something is there, and be it a link that leads nowhere. ENOENT: nothing is. Else why it
 * cannot be known: something may be. */
static int look(const char *path)
{
    struct stat there;
    long error = tm_sys4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&there, AT_SYMLINK_NOFOLLOW);
    return error == 0 ? EEXIST : (int)-error;
}

/* Whether a higher number gives another path. */
static bool has_number(const char *pattern)
{
    for (const char *p = pattern; *p != '\0'; p++)
        if (*p == '%' && *++p == 'n')
            return true;
    return false;
}

/* Sets outcome->path to the first free name from outcome->number on. Where too many are taken, by
 * somebody who guessed them or by age, the time in ns is the number, which nobody guesses. 0 or an
 * errno. */
static int find_free(const struct tm_job *job, const char *program)
{
    struct tm_outcome *outcome = job->outcome;
    const char *pattern = job->settings->out;
    unsigned tries = has_number(pattern) ? NUMBERS_TRIED + 1 : 1;
    for (unsigned i = 0; i < tries; i++, outcome->number++) {
        if (i == NUMBERS_TRIED)
            outcome->number = job->realtime_ns;
        int error = tm_out_expand(outcome->path, pattern, job->pid, outcome->number, program);
        if (error != 0)
            return error;
        error = look(outcome->path);
        if (error != EEXIST)
            return error == ENOENT ? 0 : error;
    }
    return EEXIST;
}

/* The directory of the file, with its last slash; "" is the current one. */
static void add_directory(struct tm_text *text, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        tm_text_bytes(text, path, (size_t)(slash + 1 - path));
}

static void name_temporary(const struct tm_job *job, unsigned tries)
{
    struct tm_outcome *outcome = job->outcome;
    struct tm_text text = tm_text_in(outcome->temporary, sizeof outcome->temporary);
    add_directory(&text, outcome->path);
    tm_text_add(&text, ".tidemark.");
    tm_text_number(&text, (uint64_t)job->pid);
    tm_text_add(&text, ".");
    tm_text_hex(&text, job->realtime_ns + tries);
    tm_text_add(&text, ".tmp");
    if (text.cut)
        outcome->temporary[0] = '\0';
}

/* A file with a temporary name: its descriptor, or a negative errno. */
static int open_named(const struct tm_job *job)
{
    struct tm_outcome *outcome = job->outcome;
    set_step(outcome, "open");
    int fd = -EEXIST;
    for (unsigned tries = 0; fd == -EEXIST && tries < NAMES_TRIED; tries++) {
        name_temporary(job, tries);
        if (outcome->temporary[0] == '\0')
            return -ENAMETOOLONG;
        fd = tm_sys_open(outcome->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    }
    if (fd < 0)
        outcome->temporary[0] = '\0';
    tm_job_tell(job);
    return fd;
}

/* By which name an open file can be linked to. The calling thread may have a descriptor table of
 * its own. */
static const char *path_of_descriptor(int fd)
{
    static char path[64];
    struct tm_text text = tm_text_in(path, sizeof path);
    tm_text_add(&text, "/proc/thread-self/fd/");
    tm_text_number(&text, (uint64_t)fd);
    return path;
}

/* A file without a name, to which one can be given; negative: there is none to be had. */
static int open_unnamed(const struct tm_job *job)
{
    static char directory[TM_PATH_BYTES];
    struct tm_text text = tm_text_in(directory, sizeof directory);
    add_directory(&text, job->outcome->path);
    if (text.used == 0)
        tm_text_add(&text, ".");
    int fd = tm_sys_open(directory, O_RDWR | O_TMPFILE, 0600);
    if (fd >= 0 && look(path_of_descriptor(fd)) != EEXIST) {
        tm_sys_close(fd);
        return -ENOENT;
    }
    return fd;
}

int tm_out_open(const struct tm_job *job, const char *program)
{
    struct tm_outcome *outcome = job->outcome;
    outcome->number = job->number;
    set_step(outcome, "name");
    int error = find_free(job, program);
    if (error != 0)
        return -error;
    int fd = open_unnamed(job);
    return fd >= 0 ? fd : open_named(job);
}

static int rename_to_free(const char *from, const char *to)
{
    long error =
        tm_sys6(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, RENAME_NOREPLACE, 0);
    if (error != -EINVAL && error != -ENOSYS && error != -EPERM)
        return (int)-error;
    /* A file system without that flag: link refuses an existing name too. One without links is left
     * with the plain rename. */
    error = tm_sys6(SYS_linkat, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0, 0);
    if (error == 0)
        error = tm_sys_unlink(from);
    else if (error != -EEXIST && look(to) == ENOENT)
        error = tm_sys_rename(from, to);
    else
        error = -EEXIST;
    return (int)-error;
}

static int give_name(const struct tm_outcome *outcome, int fd)
{
    if (outcome->temporary[0] != '\0')
        return rename_to_free(outcome->temporary, outcome->path);
    return (int)-tm_sys6(SYS_linkat, AT_FDCWD, (long)path_of_descriptor(fd), AT_FDCWD,
                         (long)outcome->path, AT_SYMLINK_FOLLOW, 0);
}

/* The file's final name, or with a higher number if somebody was quicker. 0 or an errno. */
static int give_free_name(const struct tm_job *job, const char *program, int fd)
{
    struct tm_outcome *outcome = job->outcome;
    set_step(outcome, "rename");
    int error = give_name(outcome, fd);
    for (unsigned tries = 1;
         error == EEXIST && tries < NUMBERS_TRIED && has_number(job->settings->out); tries++) {
        outcome->number++;
        error = find_free(job, program);
        if (error != 0)
            break;
        error = give_name(outcome, fd);
    }
    return error;
}

static int copy_bytes(int from, int to)
{
    static char buffer[16 * 1024];
    for (uint64_t offset = 0;;) {
        long got = tm_sys_pread(from, buffer, sizeof buffer, offset);
        if (got == 0)
            return 0;
        for (long at = 0; at < got;) {
            long done = tm_sys_write(to, buffer + at, (size_t)(got - at));
            if (done <= 0 && done != -EINTR)
                return done == 0 ? EIO : (int)-done;
            at += done > 0 ? done : 0;
        }
        if (got < 0 && got != -EINTR)
            return (int)-got;
        offset += got > 0 ? (uint64_t)got : 0;
    }
}

/* The same content in a file with a temporary name; it is open instead of *fd. */
static int copy_to_named(const struct tm_job *job, int *fd)
{
    int named = open_named(job);
    if (named < 0)
        return -named;
    set_step(job->outcome, "write");
    int error = copy_bytes(*fd, named);
    tm_sys_close(*fd);
    *fd = named;
    return error;
}

/* Some file systems tell of a full disk only here. */
static int close_file(int fd)
{
    return (int)-tm_sys3(SYS_close, fd, 0, 0);
}

int tm_out_commit(const struct tm_job *job, const char *program, int fd)
{
    struct tm_outcome *outcome = job->outcome;
    int error = 0;
    if (outcome->temporary[0] == '\0') {
        error = give_free_name(job, program, fd);
        if (error == 0 || error == EEXIST) {
            tm_sys_close(fd);
            return error;
        }
        error = copy_to_named(job, &fd);
    }
    int closed = close_file(fd);
    if (error == 0)
        error = closed;
    if (error == 0)
        error = give_free_name(job, program, -1);
    if (error != 0 && outcome->temporary[0] != '\0')
        tm_sys_unlink(outcome->temporary);
    outcome->temporary[0] = '\0';
    return error;
}

void tm_out_abandon(const struct tm_job *job, int fd)
{
    tm_sys_close(fd);
    if (job->outcome->temporary[0] != '\0')
        tm_sys_unlink(job->outcome->temporary);
    job->outcome->temporary[0] = '\0';
}
