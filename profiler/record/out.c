/* out.c: see out.h. The file is written under a temporary name in the same directory, so that a
 * half file never has the final name and the rename cannot cross file systems; the temporary name
 * is short, so that it fits where the final one does.
 *
 * The directory may be one that everybody writes to (/tmp). What is there already, of whatever
 * kind, is never opened, followed, written to or replaced: the temporary file is made anew or not
 * at all, for its owner alone, and takes the final name only if nothing has it. Others can take
 * names beforehand, as these can be guessed; they cannot take them all.
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

/* A name is free only if nothing is there: a link that leads nowhere is something, and a place that
 * cannot be looked at may hold something. */
static bool exists(const char *path)
{
    struct stat there;
    return tm_sys4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&there, AT_SYMLINK_NOFOLLOW) !=
           -ENOENT;
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
        if (!exists(outcome->path))
            return 0;
    }
    return EEXIST;
}

static void name_temporary(const struct tm_job *job, unsigned tries)
{
    struct tm_outcome *outcome = job->outcome;
    const char *slash = strrchr(outcome->path, '/');
    struct tm_text text = tm_text_in(outcome->temporary, sizeof outcome->temporary);
    if (slash != NULL)
        tm_text_bytes(&text, outcome->path, (size_t)(slash + 1 - outcome->path));
    tm_text_add(&text, ".tidemark.");
    tm_text_number(&text, (uint64_t)job->pid);
    tm_text_add(&text, ".");
    tm_text_hex(&text, job->realtime_ns + tries);
    tm_text_add(&text, ".tmp");
    if (text.cut)
        outcome->temporary[0] = '\0';
}

int tm_out_open(const struct tm_job *job, const char *program)
{
    struct tm_outcome *outcome = job->outcome;
    outcome->number = job->number;
    set_step(outcome, "name");
    int error = find_free(job, program);
    if (error != 0)
        return -error;
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
    return fd;
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
        error = tm_sys3(SYS_unlink, (long)from, 0, 0);
    else if (error != -EEXIST && !exists(to))
        error = tm_sys3(SYS_rename, (long)from, (long)to, 0);
    else
        error = -EEXIST;
    return (int)-error;
}

int tm_out_commit(const struct tm_job *job, const char *program)
{
    struct tm_outcome *outcome = job->outcome;
    int error = EEXIST;
    set_step(outcome, "rename");
    for (unsigned tries = 0; tries < NUMBERS_TRIED; tries++) {
        error = rename_to_free(outcome->temporary, outcome->path);
        if (error != EEXIST || !has_number(job->settings->out))
            break;
        outcome->number++; /* somebody was quicker */
        int none = find_free(job, program);
        if (none != 0) {
            error = none;
            break;
        }
    }
    if (error != 0)
        tm_out_abandon(job);
    outcome->temporary[0] = '\0';
    return error;
}

void tm_out_abandon(const struct tm_job *job)
{
    tm_sys3(SYS_unlink, (long)job->outcome->temporary, 0, 0);
    job->outcome->temporary[0] = '\0';
}
