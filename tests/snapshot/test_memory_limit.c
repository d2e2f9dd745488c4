/* test_memory_limit.c: which limit is found, on machines made of the few files that tell it: both
 * versions of control groups, ancestors, containers, odd mounts. The RAM is this machine's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/record/memory_limit.h"
#include "profiler/record/procfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

struct file {
    const char *path, *text;
};

enum { FILES = 16 };
static const struct file *machine; /* ends with a path of NULL */

static const char *text_of(const char *path)
{
    for (int i = 0; i < FILES && machine[i].path != NULL; i++)
        if (strcmp(machine[i].path, path) == 0)
            return machine[i].text;
    return NULL;
}

long tm_proc_read(const char *path, char *to, size_t size)
{
    const char *text = text_of(path);
    to[0] = '\0';
    if (text == NULL)
        return -ENOENT;
    int length = snprintf(to, size, "%s", text);
    return (size_t)length < size ? length : (long)size - 1;
}

int tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context)
{
    const char *text = text_of(path);
    char copy[1024];
    if (text == NULL)
        return -ENOENT;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        memcpy(copy, text, length);
        copy[length] = '\0';
        line(copy, context);
        text += length + (text[length] == '\n');
    }
    return 0;
}

static uint64_t ram(void)
{
    struct sysinfo info;
    assert_int_equal(sysinfo(&info), 0);
    return (uint64_t)info.totalram * info.mem_unit;
}

static void expect(uint64_t limit, const struct file *files)
{
    machine = files;
    assert_int_equal(tm_memory_limit(), limit);
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define OTHERS                                                                                     \
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"                                              \
    "23 27 0:22 / /sys rw,relatime - sysfs sysfs rw\n"

static void no_limit_is_the_ram(void **state)
{
    (void)state;
    expect(ram(), (const struct file[]){{NULL, NULL}});
    expect(ram(), (const struct file[]){{"/proc/self/cgroup", "0::/a\n"},
                                        {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                        {"/sys/fs/cgroup/a/memory.max", "max\n"},
                                        {NULL, NULL}});
    /* A limit above the RAM is none. */
    expect(ram(), (const struct file[]){{"/proc/self/cgroup", "0::/a\n"},
                                        {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                        {"/sys/fs/cgroup/a/memory.max", "9223372036854771712\n"},
                                        {NULL, NULL}});
}

static void of_the_group(void **state)
{
    (void)state;
    expect(4096000,
           (const struct file[]){{"/proc/self/cgroup", "0::/system.slice/x.service\n"},
                                 {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                 {"/sys/fs/cgroup/system.slice/x.service/memory.max", "4096000\n"},
                                 {NULL, NULL}});
}

static void the_smallest_of_all_above(void **state)
{
    const char *limits[3][3] = {
        {"4096000\n", "8192000\n", "max\n"},
        {"8192000\n", "4096000\n", "max\n"},
        {"max\n", "8192000\n", "4096000\n"},
    };
    (void)state;
    for (int i = 0; i < 3; i++)
        expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a/b/c\n"},
                                              {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                              {"/sys/fs/cgroup/a/b/c/memory.max", limits[i][0]},
                                              {"/sys/fs/cgroup/a/b/memory.max", limits[i][1]},
                                              {"/sys/fs/cgroup/a/memory.max", limits[i][2]},
                                              {NULL, NULL}});
}

/* The group that is mounted is the container's; nothing above the mount is asked. */
static void in_a_container(void **state)
{
    (void)state;
    /* With a cgroup namespace of its own. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/\n"},
                                          {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                          {"/sys/fs/cgroup/memory.max", "4096000\n"},
                                          {"/sys/fs/memory.max", "1000\n"},
                                          {"/memory.max", "1000\n"},
                                          {NULL, NULL}});
    /* The mounted group's limit holds below it. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/inner\n"},
                                          {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                          {"/sys/fs/cgroup/memory.max", "4096000\n"},
                                          {"/sys/fs/cgroup/inner/memory.max", "8192000\n"},
                                          {NULL, NULL}});
    /* Without one: the mount's root is the group as the host names it. */
    expect(4096000,
           (const struct file[]){{"/proc/self/cgroup", "0::/a/0123/inner\n"},
                                 {"/proc/self/mountinfo", OTHERS
                                  "30 23 0:26 /a/0123 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
                                 {"/sys/fs/cgroup/memory.max", "8192000\n"},
                                 {"/sys/fs/cgroup/inner/memory.max", "4096000\n"},
                                 {"/sys/fs/cgroup/a/0123/inner/memory.max", "1000\n"},
                                 {NULL, NULL}});
    /* Moved out of its namespace's root: only the mounted group can be seen. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/../other\n"},
                                          {"/proc/self/mountinfo", OTHERS V2_MOUNT},
                                          {"/sys/fs/cgroup/memory.max", "4096000\n"},
                                          {"/sys/fs/cgroup/../other/memory.max", "1000\n"},
                                          {NULL, NULL}});
    /* A root whose name only begins like the group's. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a/01234\n"},
                                          {"/proc/self/mountinfo",
                                           "30 23 0:26 /a/0123 /path/cg rw - cgroup2 cgroup2 rw\n"},
                                          {"/path/cg/memory.max", "4096000\n"},
                                          {"/path/cg4/memory.max", "1000\n"},
                                          {NULL, NULL}});
}

#define V1_MOUNTS                                                                                  \
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"                 \
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"                   \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

static void version_1(void **state)
{
    (void)state;
    expect(4096000,
           (const struct file[]){
               {"/proc/self/cgroup", "9:name=systemd:/s\n4:cpuset,memory:/a/b\n"
                                     "1:cpu,cpuacct:/c\n0::/\n"},
               {"/proc/self/mountinfo", OTHERS V1_MOUNTS},
               {"/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"},
               {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096000\n"},
               {"/sys/fs/cgroup/cpu/c/memory.limit_in_bytes", "1000\n"},
               {"/sys/fs/cgroup/memory/a/b/memory.max", "1000\n"},
               {NULL, NULL}});
}

static void both_versions(void **state)
{
    const char *limits[2][2] = {{"4096000\n", "8192000\n"}, {"8192000\n", "4096000\n"}};
    (void)state;
    for (int i = 0; i < 2; i++)
        expect(4096000, (const struct file[]){
                            {"/proc/self/cgroup", "4:memory:/a\n0::/u\n"},
                            {"/proc/self/mountinfo", OTHERS V1_MOUNTS},
                            {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", limits[i][0]},
                            {"/sys/fs/cgroup/unified/u/memory.max", limits[i][1]},
                            {NULL, NULL}});
}

static void odd_mounts(void **state)
{
    (void)state;
    /* Where mountinfo tells nothing: the usual place. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a\n"},
                                          {"/sys/fs/cgroup/a/memory.max", "4096000\n"},
                                          {NULL, NULL}});
    expect(4096000,
           (const struct file[]){{"/proc/self/cgroup", "4:memory:/a\n"},
                                 {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096000\n"},
                                 {NULL, NULL}});
    /* A blank in the path, and of two mounts the one that shows the group. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a/b\n"},
                                          {"/proc/self/mountinfo",
                                           "1 1 0:26 /other /path/one rw - cgroup2 cgroup2 rw\n"
                                           "2 1 0:26 /a /t\\040wo rw opt:1 opt:2 - cgroup2 c rw\n"
                                           "3 1 0:26 /b /path/three rw - cgroup2 cgroup2 rw\n"},
                                          {"/path/one/memory.max", "1000\n"},
                                          {"/path/three/memory.max", "1000\n"},
                                          {"/t wo/b/memory.max", "4096000\n"},
                                          {NULL, NULL}});
    /* Of several that show it the first, and of several that do not, too. */
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a\n"},
                                          {"/proc/self/mountinfo",
                                           "1 1 0:26 / /path/one rw - cgroup2 cgroup2 rw\n"
                                           "2 1 0:26 / /path/two rw - cgroup2 cgroup2 rw\n"},
                                          {"/path/one/a/memory.max", "4096000\n"},
                                          {"/path/two/a/memory.max", "1000\n"},
                                          {NULL, NULL}});
    expect(4096000, (const struct file[]){{"/proc/self/cgroup", "0::/a\n"},
                                          {"/proc/self/mountinfo",
                                           "1 1 0:26 /x /path/one rw - cgroup2 cgroup2 rw\n"
                                           "2 1 0:26 /y /path/two rw - cgroup2 cgroup2 rw\n"},
                                          {"/path/one/memory.max", "4096000\n"},
                                          {"/path/two/memory.max", "1000\n"},
                                          {NULL, NULL}});
    /* Lines that are cut, or make no sense, are passed over. */
    expect(ram(), (const struct file[]){{"/proc/self/cgroup", "x\n0\n:\n"},
                                        {"/proc/self/mountinfo", "1\n - \n - cgroup2\n1 2 3\n"},
                                        {"/sys/fs/cgroup/memory.max", "\n"},
                                        {NULL, NULL}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_is_the_ram),
        cmocka_unit_test(of_the_group),
        cmocka_unit_test(the_smallest_of_all_above),
        cmocka_unit_test(in_a_container),
        cmocka_unit_test(version_1),
        cmocka_unit_test(both_versions),
        cmocka_unit_test(odd_mounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
