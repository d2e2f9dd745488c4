/* symbols_files.c: see symbols_files.h. A snapshot tells the process's number as the process saw
 * it. In a container that is not the number that this command sees, so /proc is searched for a
 * process with this inner number that runs the same executable; several containers of one image may
 * have one each, and the one that started nearest to the library's start is it. If none is it after
 * all, build ids still keep wrong files out.
 */
#include "profiler/report/symbols_files.h"

#include <ctype.h>
#include <dirent.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NOT_REGULAR = EMEDIUMTYPE }; /* an errno that open does not give */

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Reads a file of /proc whole, up to size - 1 bytes. */
static bool read_proc(const char *pid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t got = read(file, to, size - 1);
    close(file);
    to[got < 0 ? 0 : got] = '\0';
    return got > 0;
}

/* The process's number in the innermost of its pid namespaces; 0: not readable. */
static int inner_pid(const char *pid)
{
    char status[4096];
    if (!read_proc(pid, "status", status, sizeof status))
        return 0;
    char *line = strstr(status, "\nNSpid:");
    if (!line)
        return 0;
    line[1 + strcspn(line + 1, "\n")] = '\0';
    const char *last = strrchr(line, '\t');
    return last ? (int)strtol(last, NULL, 10) : 0;
}

/* When it started, CLOCK_REALTIME; INT64_MIN: not readable. */
static int64_t start_ns(const char *pid)
{
    char stat[1024];
    if (!read_proc(pid, "stat", stat, sizeof stat))
        return INT64_MIN;
    char *field = strrchr(stat, ')'); /* behind the name, which may hold anything */
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    if (!field)
        return INT64_MIN;
    int64_t ticks = strtoll(field, NULL, 10);
    return now_ns(CLOCK_REALTIME) - now_ns(CLOCK_BOOTTIME) +
           ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Whether it runs the executable of the snapshot: the path leads to it from the process's own root
 * directory, or the file was deleted meanwhile and the kernel remembers its path. */
static bool runs(const char *pid, struct tm_text exe)
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX];
    char link[PATH_MAX];
    struct stat own;
    struct stat there;
    int length =
        snprintf(path, sizeof path, "/proc/%.20s/root%.*s", pid, (int)exe.length, exe.bytes);
    if (exe.length == 0 || exe.length >= PATH_MAX || (size_t)length >= sizeof path)
        return false;
    bool found = stat(path, &there) == 0;
    snprintf(path, sizeof path, "/proc/%.20s/exe", pid);
    if (found && stat(path, &own) == 0 && own.st_dev == there.st_dev && own.st_ino == there.st_ino)
        return true;
    ssize_t got = readlink(path, link, sizeof link);
    return got >= 0 && (size_t)got == exe.length + sizeof deleted - 1 &&
           memcmp(link, exe.bytes, exe.length) == 0 &&
           memcmp(link + exe.length, deleted, sizeof deleted - 1) == 0;
}

static int find_process(const struct tm_snapshot_file *snapshot)
{
    const struct tm_snapshot_process *process = &snapshot->process;
    const int64_t slack = 2000000000; /* clocks are set, and ticks are coarse */
    int64_t taken = (int64_t)process->realtime_ns;
    int64_t began = (int64_t)(process->realtime_ns - process->since_start_ns);
    uint64_t least = UINT64_MAX;
    int best = 0;
    DIR *all = opendir("/proc");
    for (struct dirent *entry; all && (entry = readdir(all));) {
        const char *pid = entry->d_name;
        if (!isdigit((unsigned char)pid[0]) || inner_pid(pid) != process->pid ||
            !runs(pid, snapshot->exe))
            continue;
        int64_t start = start_ns(pid);
        if (start == INT64_MIN || start > taken + slack)
            continue;
        uint64_t apart = start > began ? (uint64_t)(start - began) : (uint64_t)(began - start);
        if (apart < least) {
            least = apart;
            best = (int)strtol(pid, NULL, 10);
        }
    }
    if (all)
        closedir(all);
    return best;
}

static void add_root(struct tm_files *files, const char *path)
{
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0)
        files->roots[files->root_count++] = directory;
}

void tm_files_open(struct tm_files *files, const struct tm_snapshot_file *snapshot,
                   const char *root)
{
    *files = (struct tm_files){.given = root};
    if (root) {
        add_root(files, root);
        return;
    }
    files->process = find_process(snapshot);
    if (files->process != 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/root", files->process);
        add_root(files, path);
    }
    add_root(files, "/");
}

void tm_files_open_here(struct tm_files *files)
{
    *files = (struct tm_files){.given = NULL};
    add_root(files, "/");
}

void tm_files_close(struct tm_files *files)
{
    for (size_t i = 0; i < files->root_count; i++)
        close(files->roots[i]);
    files->root_count = 0;
}

/* Opens what place, opened with O_PATH, is, if that is a regular file, and closes place. */
static int open_place(int place)
{
    char path[64];
    struct stat status;
    if (place < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    int file = -1;
    if (fstat(place, &status) == 0) {
        errno = NOT_REGULAR;
        if (S_ISREG(status.st_mode))
            file = open(path, O_RDONLY | O_CLOEXEC);
    }
    int error = errno;
    close(place);
    errno = error;
    return file;
}

int tm_files_open_below(int root, const char *path)
{
    /* First as a place only: opening a pipe waits, and opening a device may do anything. */
    static const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int place = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (place < 0 && (errno == ENOSYS || errno == EPERM)) /* Linux before 5.6, or a filter */
        place = openat(root, path + strspn(path, "/"), (int)how.flags);
    return open_place(place);
}

int tm_files_open_mapped(const struct tm_files *files, uint64_t start, uint64_t end)
{
    char path[96];
    if (files->process == 0) {
        errno = ESRCH;
        return -1;
    }
    snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, files->process, start,
             end);
    int place = open(path, O_PATH | O_CLOEXEC);
    return open_place(place);
}

const char *tm_files_why(int error)
{
    return error == NOT_REGULAR ? "it is no regular file" : strerror(error);
}

void tm_files_id_text(const unsigned char *bytes, size_t count, char id[static TM_BUILD_ID_TEXT])
{
    id[0] = '\0';
    for (size_t i = 0; 2 * count < TM_BUILD_ID_TEXT && i < count; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

size_t tm_files_id_bytes(const char *id, unsigned char bytes[static TM_BUILD_ID_TEXT / 2])
{
    size_t count = 0;
    for (; id[2 * count] != '\0' && count < TM_BUILD_ID_TEXT / 2; count++)
        if (sscanf(id + 2 * count, "%2hhx", &bytes[count]) != 1)
            return 0;
    return count;
}

bool tm_files_is_elf(int file, bool data, char id[static TM_BUILD_ID_TEXT])
{
    id[0] = '\0';
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(file, ELF_C_READ_MMAP, NULL);
    GElf_Ehdr head;
    /* Other kinds (relocatable files, cores) are not mapped as code, and libdw would work on them
     * differently. */
    bool good =
        elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &head) &&
        (head.e_type == ET_EXEC || head.e_type == ET_DYN || (data && head.e_type == ET_REL));
    const void *bytes;
    ssize_t length = good ? dwelf_elf_gnu_build_id(elf, &bytes) : 0;
    if (length > 0)
        tm_files_id_text(bytes, (size_t)length, id);
    elf_end(elf);
    return good;
}
