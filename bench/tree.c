/* tree.c: see tree.h. Children are found by /proc/PID/task/TID/children, thread by thread, which is
 * where the kernel lists them.
 */
#include "bench/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES = 256 }; /* that are looked at; no program of the benchmark has as many */

struct tree {
    pid_t pids[PROCESSES];
    unsigned count;
};

/* Reads a small file whole, as text. False: it is not there any more. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    close(fd);
    text[used] = '\0';
    return used > 0;
}

static void add_children(struct tree *tree, const char *task)
{
    char path[340], text[4096];
    snprintf(path, sizeof path, "%s/children", task);
    if (!read_text(path, text, sizeof text))
        return;
    char *at = text, *end;
    for (long pid; tree->count < PROCESSES && (pid = strtol(at, &end, 10)) > 0; at = end)
        tree->pids[tree->count++] = (pid_t)pid;
}

static void add_children_of(struct tree *tree, pid_t pid)
{
    char path[64], task[320];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(task, sizeof task, "%s/%s", path, entry->d_name);
            add_children(tree, task);
        }
    closedir(directory);
}

static long rss_kib(pid_t pid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    if (!read_text(path, text, sizeof text))
        return 0;
    const char *resident = strchr(text, ' '); /* the second number, in pages */
    return resident == NULL ? 0 : strtol(resident, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

long bench_tree_rss_kib(pid_t root)
{
    struct tree tree = {.pids = {root}, .count = 1};
    long sum = 0;
    for (unsigned at = 0; at < tree.count; at++) {
        sum += rss_kib(tree.pids[at]);
        add_children_of(&tree, tree.pids[at]);
    }
    return sum;
}
