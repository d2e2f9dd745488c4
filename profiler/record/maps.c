/* maps.c: see maps.h. Called by snapshot_write.c only.
 *
 * The figures are those of the process itself, read while its copy exists. Rss and Anonymous do not
 * mind; Pss counts what the two share, which is nearly all anonymous memory, half.
 */
#include "profiler/record/maps.h"

#include "profiler/format/snapshot.h"
#include "profiler/record/build_id.h"
#include "profiler/record/procfile.h"
#include "profiler/record/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct reading {
    struct tm_spool *records;
    struct tm_spool *strings;
    struct tm_snapshot_map map; /* the one whose lines are coming in */
    bool open;
    int memory;          /* /proc/self/mem, or negative */
    uint32_t last_path;  /* offset in strings of the mapping before, */
    uint64_t last_inode; /* and of which file: its path is not stored again */
};

/* Reads a number in hex and moves on behind it and the one character that follows. */
static uint64_t take_hex(const char **at)
{
    uint64_t value = 0;
    for (;; (*at)++) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    if (**at != '\0')
        (*at)++;
    return value;
}

static uint32_t add_string(struct reading *reading, const char *string)
{
    size_t at = reading->strings->used;
    tm_spool_add(reading->strings, string, strlen(string) + 1);
    return (uint32_t)at;
}

static void close_map(struct reading *reading)
{
    if (reading->open)
        tm_spool_add(reading->records, &reading->map, sizeof reading->map);
    reading->open = false;
}

static void open_map(struct reading *reading, const char *line)
{
    static char id[TM_BUILD_ID_HEX];
    struct tm_snapshot_map *map = &reading->map;
    const char *at = line;
    memset(map, 0, sizeof *map);
    map->start = take_hex(&at);
    map->end = take_hex(&at);
    for (unsigned i = 0; i < 4 && *at != '\0'; i++, at++)
        if (*at == "rwxs"[i])
            map->permissions |= 1U << i;
    at += strspn(at, " ");
    map->offset = take_hex(&at);
    take_hex(&at); /* device: major */
    take_hex(&at); /* minor */
    for (; *at >= '0' && *at <= '9'; at++)
        map->inode = map->inode * 10 + (uint64_t)(*at - '0');
    at += strspn(at, " ");
    reading->open = true;
    if (*at == '\0')
        return;
    if (map->inode != 0 && map->inode == reading->last_inode && reading->strings->error == 0 &&
        strcmp(reading->strings->base + reading->last_path, at) == 0) {
        map->path = reading->last_path;
        return;
    }
    map->path = add_string(reading, at);
    reading->last_path = map->path;
    reading->last_inode = map->inode;
    if (map->inode != 0 && map->offset == 0 && (map->permissions & 1) != 0 &&
        tm_build_id(reading->memory, map->start, map->end, id))
        map->build_id = add_string(reading, id);
}

static void take_field(struct tm_snapshot_map *map, const char *line)
{
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        {"Rss:", offsetof(struct tm_snapshot_map, rss_bytes)},
        {"Pss:", offsetof(struct tm_snapshot_map, pss_bytes)},
        {"Anonymous:", offsetof(struct tm_snapshot_map, anonymous_bytes)},
        {"Swap:", offsetof(struct tm_snapshot_map, swap_bytes)},
        {"AnonHugePages:", offsetof(struct tm_snapshot_map, huge_bytes)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strncmp(line, fields[i].name, strlen(fields[i].name)) == 0) {
            uint64_t bytes = tm_proc_field(line, fields[i].name) * 1024;
            memcpy((char *)map + fields[i].offset, &bytes, sizeof bytes);
            return;
        }
}

static void take_line(char *line, void *context)
{
    struct reading *reading = context;
    if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
        close_map(reading);
        open_map(reading, line);
    } else if (reading->open) {
        take_field(&reading->map, line);
    }
}

int tm_maps_read(int pid, struct tm_spool *records, struct tm_spool *strings)
{
    struct reading reading = {.records = records, .strings = strings};
    tm_spool_add(strings, "", 1); /* offset 0: the empty string */
    reading.memory = tm_sys_open("/proc/self/mem", O_RDONLY, 0);
    int error = tm_proc_lines(tm_proc_path(pid, "smaps"), take_line, &reading);
    /* A process that changed its user is closed to all but itself, and the copy is not itself; but
     * the copy's own mappings are the same, with the same anonymous memory. */
    if (error < 0 && pid != 0 && records->used == 0)
        error = tm_proc_lines(tm_proc_path(0, "smaps"), take_line, &reading);
    close_map(&reading);
    if (reading.memory >= 0)
        tm_sys_close(reading.memory);
    return -error;
}
