/* memory_limit.c: finds the limits that the kernel keeps to, for at=PERCENT%. A limit of control
 * groups holds for all groups below, so every group from the process's own up to the one that is
 * mounted is asked. Both versions are looked at: a machine may have both mounted, and the one that
 * does not govern memory has no files of these names.
 *
 * /proc/self/cgroup names the group as seen from the root of the process's cgroup namespace,
 * /proc/self/mountinfo tells which group is mounted where. In a container the two may not fit
 * together (the group's name is the host's, the mount shows the container's group as its root):
 * then the mounted group is the process's own, or the nearest that can be seen.
 */
#include "profiler/record/memory_limit.h"

#include "profiler/record/procfile.h"
#include "profiler/record/sys.h"
#include "profiler/record/text.h"

#include <stdbool.h>
#include <string.h>
#include <sys/sysinfo.h>

enum { PATH_BYTES = 1024 }; /* a longer path is cut, and then not found */

/* The two versions of control groups. */
enum { V2, V1, VERSIONS };
static const struct {
    const char *type;       /* of the file system */
    const char *controller; /* that must be among the options of its mount; NULL: none need be */
    const char *file;       /* of a group, that has the limit */
    const char *mount;      /* where it usually is mounted */
} versions[VERSIONS] = {
    [V2] = {"cgroup2", NULL, "/memory.max", "/sys/fs/cgroup"},
    [V1] = {"cgroup", "memory", "/memory.limit_in_bytes", "/sys/fs/cgroup/memory"},
};

/* The process's place in each of them. */
static struct place {
    bool mounted;           /* a mount is found */
    bool fits;              /* it shows a group that the process's own is, or lies under */
    char group[PATH_BYTES]; /* the process's; "": it has none here */
    char mount[PATH_BYTES]; /* where the groups are mounted */
    char root[PATH_BYTES];  /* the group that is mounted there; "" as "/" */
} places[VERSIONS];

static void copy(char to[PATH_BYTES], const char *from)
{
    struct tm_text text = tm_text_in(to, PATH_BYTES);
    tm_text_add(&text, from);
}

/* Cuts the line at the next `end` and moves *rest behind it. What was before it; "" at the end. */
static char *next_field(char **rest, char end)
{
    char *start = *rest;
    char *stop = strchr(start, end);
    *rest = stop != NULL ? stop + 1 : start + strlen(start);
    if (stop != NULL)
        *stop = '\0';
    return start;
}

/* Whether word is one of a list with commas. Cuts the list up. */
static bool lists(char *list, const char *word)
{
    while (*list != '\0')
        if (strcmp(next_field(&list, ','), word) == 0)
            return true;
    return false;
}

/* "4:memory:/a/b" of version 1, "0::/a/b" of version 2. */
static void take_group(char *line, void *context)
{
    (void)context;
    next_field(&line, ':');
    char *controllers = next_field(&line, ':');
    if (*controllers == '\0')
        copy(places[V2].group, line);
    else if (lists(controllers, versions[V1].controller))
        copy(places[V1].group, line);
}

/* Blanks and the like are written as \040 in mountinfo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        bool escaped = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                       from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        if (escaped)
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
        else
            *to = *from;
        from += escaped ? 4 : 1;
    }
    *to = '\0';
}

/* What of `group` comes below `root`: "" or "/…". NULL: it does not lie there. */
static const char *below(const char *root, const char *group)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0') ||
        strstr(group, "/..") != NULL)
        return NULL;
    return strcmp(group + length, "/") == 0 ? "" : group + length;
}

/* "31 23 0:28 ROOT MOUNT options [fields] - TYPE source OPTIONS". The first mount that the group
 * lies in is taken; else the first of the type. */
static void take_mount(char *line, void *context)
{
    (void)context;
    char *behind = strstr(line, " - ");
    if (behind == NULL)
        return;
    *behind = '\0';
    behind += sizeof " - " - 1;
    for (int i = 0; i < 3; i++)
        next_field(&line, ' ');
    char *root = next_field(&line, ' ');
    char *mount = next_field(&line, ' ');
    const char *type = next_field(&behind, ' ');
    next_field(&behind, ' ');
    unescape(root);
    unescape(mount);
    for (int i = 0; i < VERSIONS; i++) {
        struct place *here = &places[i];
        if (strcmp(type, versions[i].type) != 0 || here->fits ||
            (versions[i].controller != NULL && !lists(behind, versions[i].controller)))
            continue;
        here->fits = below(root, here->group) != NULL;
        if (here->mounted && !here->fits)
            continue;
        here->mounted = true;
        copy(here->root, root);
        copy(here->mount, mount);
    }
}

static uint64_t limit_of_group(const char *group, const char *file)
{
    static char path[PATH_BYTES];
    char value[32];
    uint64_t limit = 0;
    struct tm_text text = tm_text_in(path, sizeof path);
    tm_text_add(&text, group);
    tm_text_add(&text, file);
    long bytes = tm_proc_read(path, value, sizeof value);
    const char *at = value;
    /* "max" of version 2 is no number; version 1 has a number beyond every RAM. */
    if (bytes <= 0 || !tm_text_parse(&at, value + bytes, &limit))
        return 0;
    return limit;
}

static void lower(uint64_t *least, uint64_t limit)
{
    if (limit != 0 && (*least == 0 || limit < *least))
        *least = limit;
}

/* The process's group and all above it, as far as they are mounted. */
static void ask_groups(const struct place *here, const char *file, uint64_t *least)
{
    static char group[PATH_BYTES];
    const char *rest = below(here->root, here->group);
    struct tm_text text = tm_text_in(group, sizeof group);
    tm_text_add(&text, here->mount);
    size_t top = text.used;
    tm_text_add(&text, rest != NULL ? rest : "");
    for (;;) {
        lower(least, limit_of_group(group, file));
        char *slash = strrchr(group, '/');
        if (slash == NULL || slash < group + top)
            return;
        *slash = '\0';
    }
}

uint64_t tm_memory_limit(void)
{
    struct sysinfo machine = {.mem_unit = 0};
    uint64_t least = 0;
    memset(places, 0, sizeof places);
    tm_proc_lines("/proc/self/cgroup", take_group, NULL);
    tm_proc_lines("/proc/self/mountinfo", take_mount, NULL);
    for (int i = 0; i < VERSIONS; i++) {
        if (!places[i].mounted)
            copy(places[i].mount, versions[i].mount);
        ask_groups(&places[i], versions[i].file, &least);
    }
    if (tm_sys3(SYS_sysinfo, (long)&machine, 0, 0) == 0)
        lower(&least, (uint64_t)machine.totalram * machine.mem_unit);
    return least;
}
