/* calls.c: the functions that a program calls by name, through include/tidemark.h: what a signal
 * asks for from outside, asked from within. They wait for the result, which a handler may not.
 */
#include "preload/export.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/record.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

int tidemark_snapshot(char *path, size_t size);
int tidemark_record(int sites);

static const struct timespec poll_interval = {0, 1000 * 1000};

static uint32_t load(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

/* Snapshots that came to an end, well or not. */
static uint32_t ends(void)
{
    return load(&tidemark_status.written) + load(&tidemark_status.failed);
}

/* While one is under way, the next to end may have begun before this request. */
static uint32_t ends_needed(uint32_t before)
{
    return load(&tidemark_status.requested) == load(&tidemark_status.merged) + before ? 1 : 2;
}

/* All asked for so far are done: a second end does not come if two requests were merged. */
static bool is_settled(void)
{
    return load(&tidemark_status.merged) + ends() == load(&tidemark_status.requested);
}

/* True, with errno set, in a set-id process. Its own code could be trusted to ask, but not the data
 * that may have led it there; and the file would tell of memory that belongs to another than
 * whoever started it. */
static bool is_refused(void)
{
    if (!tm_record_is_closed())
        return false;
    errno = EPERM;
    return true;
}

EXPORT int tidemark_snapshot(char *path, size_t size)
{
    if (is_refused())
        return -1;
    uint32_t ends_before = ends();
    uint32_t needed = ends_needed(ends_before);
    uint32_t written = load(&tidemark_status.written);
    tm_record_request();
    while (ends() - ends_before < needed && (ends() == ends_before || !is_settled()))
        nanosleep(&poll_interval, NULL);
    if (load(&tidemark_status.written) == written) {
        errno = __atomic_load_n(&tidemark_status.last_error, __ATOMIC_RELAXED);
        return -1;
    }
    if (path == NULL)
        return 0;
    size_t length = strnlen(tidemark_status.last_path, sizeof tidemark_status.last_path - 1);
    if (length >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, tidemark_status.last_path, length);
    path[length] = '\0';
    return 0;
}

EXPORT int tidemark_record(int sites)
{
    if (sites != TM_SITES_OFF && sites != TM_SITES_SAMPLE && sites != TM_SITES_ALL) {
        errno = EINVAL;
        return -1;
    }
    if (is_refused())
        return -1;
    tm_record_sites((uint32_t)sites);
    return 0;
}
