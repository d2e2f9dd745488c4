/* live_read.c: the live page of one process, by the first way that is open: its descriptor
 * (/proc/PID/fd, for the same user and root), /proc/PID/map_files if the program closed that (the
 * kernel asks for CAP_CHECKPOINT_RESTORE), then the memory of the process (which asks for what
 * ptrace asks for). The last is the only one where a seccomp filter was in force when the process
 * started, as no memfd is made there.
 */
#include "profiler/report/live.h"

#include "profiler/report/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char LINK[] = "/memfd:" TM_LIVE_NAME " (deleted)";
enum { TRIES = 50 };

/* Where slots are read from. */
struct source {
    int fd; /* -1: from memory */
    pid_t pid;
    uintptr_t at;
};

static bool read_at(const struct source *from, size_t offset, void *to, size_t size)
{
    if (from->fd < 0)
        return tm_remote_read(from->pid, from->at + offset, to, size);
    return pread(from->fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* Opens the descriptor if it is the page; -1 if not. */
static int open_if_page(pid_t pid, const char *name, unsigned long inode)
{
    char path[300], link[sizeof LINK];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, name);
    if (readlink(path, link, sizeof link) != sizeof LINK - 1 ||
        memcmp(link, LINK, sizeof LINK - 1) != 0)
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_ino != inode)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int open_descriptor(pid_t pid, unsigned long inode)
{
    char path[64], usual[16];
    struct dirent *entry;
    snprintf(usual, sizeof usual, "%d", TM_LIVE_DESCRIPTOR);
    int fd = open_if_page(pid, usual, inode);
    if (fd >= 0)
        return fd;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -1;
    while (fd < 0 && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            fd = open_if_page(pid, entry->d_name, inode);
    closedir(directory);
    return fd;
}

static int open_mapping(pid_t pid, const struct tm_live_place *place)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", (int)pid, (long)place->start,
             (long)place->end);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The address that its status tells. False: it keeps no page, or (*denied) its memory may not be
 * read. */
static bool find_in_memory(pid_t pid, uintptr_t library, uintptr_t *at, bool *denied)
{
    struct tm_status status;
    uintptr_t place = tm_remote_symbol(pid, library, TM_STATUS_SYMBOL);
    *denied = place == (uintptr_t)-1;
    if (place == 0 || *denied ||
        !tm_remote_read(pid, place, &status, offsetof(struct tm_status, bytes) + 4) ||
        memcmp(status.magic, TM_STATUS_MAGIC, sizeof status.magic) != 0 ||
        status.bytes < offsetof(struct tm_status, live_at) + sizeof status.live_at ||
        !tm_remote_read(pid, place, &status, sizeof status))
        return false;
    *at = (uintptr_t)status.live_at;
    return *at != 0;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* The slot of the process: that of its pid, and of those (in other pid namespaces, or of a process
 * that had the pid before) the one that began when it did. -1: it has none yet. */
static int find_slot(const char *slots, const struct tm_live_process *process)
{
    int found = -1;
    uint64_t nearest = UINT64_MAX;
    for (int number = 0; number < TM_LIVE_SLOTS; number++) {
        struct tm_live slot;
        memcpy(&slot, slots + (size_t)number * TM_LIVE_SLOT_BYTES, sizeof slot);
        if (slot.owner == 0 || slot.pid != process->inner_pid ||
            memcmp(slot.magic, TM_LIVE_MAGIC, sizeof slot.magic) != 0)
            continue;
        uint64_t away = distance(slot.start_ns, process->start_ns);
        if (away < nearest) {
            nearest = away;
            found = number;
        }
    }
    return found;
}

/* What was written together. False: it is being written all the time, or is gone. */
static bool read_slot(const struct source *from, int number, struct tm_live *slot)
{
    struct tm_live again;
    size_t offset = (size_t)number * TM_LIVE_SLOT_BYTES;
    for (int tries = 0; tries < TRIES; tries++) {
        if (!read_at(from, offset, slot, sizeof *slot) ||
            !read_at(from, offset, &again, sizeof again))
            return false;
        if ((slot->sequence & 1) == 0 && memcmp(slot, &again, sizeof again) == 0)
            return true;
        struct timespec pause = {0, 20000};
        nanosleep(&pause, NULL);
    }
    return false;
}

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

static void derive(struct tm_live_process *process)
{
    const struct tm_live *page = &process->page;
    uint64_t in_pools = less(page->pool_bytes, page->drained_bytes);
    uint64_t live = page->live_pool_bytes < in_pools ? page->live_pool_bytes : in_pools;
    process->live_bytes = live + page->span_bytes + page->mapping_bytes;
    process->pinned_bytes = in_pools - live;
    process->cached_bytes = page->cached_bytes + less(page->pool_bytes, in_pools);
}

static void take_page(const struct source *from, struct tm_live_process *process)
{
    static char slots[TM_LIVE_BYTES];
    struct timespec now;
    int number = read_at(from, 0, slots, sizeof slots) ? find_slot(slots, process) : -1;
    process->state = TM_LIVE_NONE;
    if (number < 0 || !read_slot(from, number, &process->page))
        return;
    process->state = TM_LIVE_VERSIONS;
    if (process->page.version != TM_LIVE_VERSION || process->page.bytes < sizeof process->page) {
        memset(&process->page, 0, sizeof process->page);
        return;
    }
    process->state = TM_LIVE_READ;
    clock_gettime(CLOCK_MONOTONIC, &now);
    process->age_ns =
        less((uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec, process->page.written_ns);
    derive(process);
}

void tm_live_read(struct tm_live_process *process, const struct tm_live_place *place)
{
    struct source from = {.fd = -1, .pid = process->pid, .at = place->start};
    bool denied = false;
    process->state = TM_LIVE_NONE;
    if (place->start != 0) {
        from.fd = open_descriptor(process->pid, place->inode);
        if (from.fd < 0)
            from.fd = open_mapping(process->pid, place);
        char probe;
        denied = from.fd < 0 && !tm_remote_read(process->pid, place->start, &probe, 1);
    } else if (!find_in_memory(process->pid, place->library, &from.at, &denied) && !denied) {
        return;
    }
    if (denied)
        process->state = TM_LIVE_DENIED;
    else
        take_page(&from, process);
    if (from.fd >= 0)
        close(from.fd);
}
