/* control_file.c: the files of a running process as this command may take them for its own: its
 * program's name, and the snapshot that it says it wrote, or that appeared under a name which it
 * would choose. See control.h.
 *
 * The process may be hostile, and so may whoever else writes to the directory (/tmp): a name can
 * lead elsewhere by a link, out of a container's root or to a device, and a file of the right name
 * can be another user's. So a file counts only if it is a regular one, under that very name, of a
 * user that the process runs as.
 */
#include "profiler/report/control.h"

#include "profiler/report/command.h"
#include "profiler/report/report_format.h"

#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The name by the file where that may be seen, as only the file is no choice of the process. */
static void find_file(struct tm_target *target)
{
    char path[64], exe[PATH_MAX];
    static const char deleted[] = " (deleted)";
    snprintf(path, sizeof path, "/proc/%d/exe", (int)target->pid);
    ssize_t length = readlink(path, exe, sizeof exe - 1);
    if (length <= 0) {
        tm_target_field(target, "Name", target->file, sizeof target->file);
        return;
    }
    exe[length] = '\0';
    if ((size_t)length > sizeof deleted - 1 &&
        strcmp(exe + length - (sizeof deleted - 1), deleted) == 0)
        exe[(size_t)length - (sizeof deleted - 1)] = '\0';
    const char *slash = strrchr(exe, '/');
    snprintf(target->file, sizeof target->file, "%.255s", slash != NULL ? slash + 1 : exe);
}

void tm_target_find_program(struct tm_target *target)
{
    find_file(target);
    memcpy(target->program, target->file, sizeof target->program);
    tm_make_plain(target->program);
}

void tm_target_find_users(struct tm_target *target)
{
    char value[256];
    char *at = value;
    if (!tm_target_field(target, "Uid", value, sizeof value))
        return;
    for (size_t i = 0; i < TM_TARGET_USERS / 2; i++) {
        target->users[TM_TARGET_USERS / 2 + i] = target->users[i];
        target->users[i] = (uid_t)strtoul(at, &at, 10);
    }
}

void tm_target_outside_path(const struct tm_target *target, const char *path, char *to, size_t size)
{
    if (target->apart)
        snprintf(to, size, "/proc/%d/root%s", (int)target->pid, path);
    else
        snprintf(to, size, "%s", path);
}

/* What is there, looked up as the process itself would, links at the end not followed. */
static bool look(const struct tm_target *target, const char *path, struct stat *status)
{
    char place[64];
    if (!target->apart)
        return lstat(path, status) == 0;
    snprintf(place, sizeof place, "/proc/%d/root", (int)target->pid);
    const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                 .resolve = RESOLVE_IN_ROOT};
    int root = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int file = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    bool found = file >= 0 && fstat(file, status) == 0;
    if (file >= 0)
        close(file);
    if (root >= 0)
        close(root);
    return found;
}

/* Whether the path that this command would open is the same thing. */
static bool is_same(const struct tm_target *target, const char *path, const struct stat *inside)
{
    char outside[PATH_MAX];
    struct stat status;
    tm_target_outside_path(target, path, outside, sizeof outside);
    return lstat(outside, &status) == 0 && status.st_dev == inside->st_dev &&
           status.st_ino == inside->st_ino;
}

static bool is_user(struct tm_target *target, uid_t user)
{
    tm_target_find_users(target); /* it may have become another since */
    for (size_t i = 0; i < TM_TARGET_USERS; i++)
        if (target->users[i] == user)
            return true;
    return false;
}

enum tm_target_file tm_target_look_at(struct tm_target *target, const char *path, const char **why)
{
    static char words[64];
    struct stat status;
    *why = NULL;
    if (!look(target, path, &status))
        return TM_TARGET_FILE_NONE;
    if (!S_ISREG(status.st_mode)) {
        *why = S_ISLNK(status.st_mode) ? "it is a symbolic link" : "it is no regular file";
    } else if (target->apart && !is_same(target, path, &status)) {
        *why = "its path leads elsewhere from outside the container";
    } else if (!is_user(target, status.st_uid)) {
        snprintf(words, sizeof words, "it belongs to user %u", (unsigned)status.st_uid);
        *why = words;
    }
    return *why != NULL ? TM_TARGET_FILE_STRANGE : TM_TARGET_FILE_OWN;
}

/* As the library makes a file's name of it. Its length. */
static int add_name(char *to, size_t size, const char *name)
{
    int length = snprintf(to, size, "%s", name);
    bool dots = strspn(name, ".") == strlen(name);
    for (; *to != '\0'; to++)
        if ((unsigned char)*to < 0x20 || *to == 0x7f || *to == '/' || dots)
            *to = '_';
    return length;
}

/* The pattern as the process expands it. */
void tm_target_expand(const struct tm_target *target, unsigned number, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    if (target->out[0] != '/') {
        char link[64], directory[PATH_MAX];
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)target->pid);
        ssize_t length = readlink(link, directory, sizeof directory - 1);
        directory[length > 0 ? length : 0] = '\0';
        used = (size_t)snprintf(to, size, "%s/", directory);
    }
    for (const char *p = target->out; *p != '\0' && used + 1 < size; p++) {
        int added = 1;
        bool field = *p == '%' && p[1] != '\0';
        if (field)
            p++;
        if (field && *p == 'p')
            added = snprintf(to + used, size - used, "%d", (int)target->inner_pid);
        else if (field && *p == 'n')
            added = snprintf(to + used, size - used, "%u", number);
        else if (field && *p == 'e')
            added = add_name(to + used, size - used, target->file);
        else
            snprintf(to + used, size - used, "%c", *p);
        used += (size_t)added;
    }
}

bool tm_target_print_path(const struct tm_target *target, const char *path)
{
    if (strchr(path, '\n') != NULL) {
        tm_error(
            "process %d (%s) says that its snapshot is '%s': that is no line; look at the file "
            "yourself",
            (int)target->pid, target->program, path);
        return false;
    }
    if (isatty(STDOUT_FILENO))
        tm_print_escaped(stdout, path, strlen(path), SIZE_MAX,
                         strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
    else
        fputs(path, stdout);
    putchar('\n');
    return true;
}
