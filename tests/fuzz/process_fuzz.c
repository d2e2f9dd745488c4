/* process_fuzz.c: fuzz target: what the recorder reads of its own process, which is text of the
 * kernel with names in it that anybody may have chosen (paths, control groups, mounts), and the
 * heads of mapped files. The input has five parts, ended by PART: smaps, cgroup, mountinfo, the
 * file of a limit, and a mapped ELF file.
 */
#include "profiler/format/snapshot.h"
#include "profiler/record/build_id.h"
#include "profiler/record/maps.h"
#include "profiler/record/memory_limit.h"
#include "profiler/record/procfile.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char PART[] = "====\n";

/* The files in place of those of /proc and /sys. */
enum { SMAPS, CGROUP, MOUNTINFO, LIMIT, FILES };
static int files[FILES];

static const char *path_of(int file)
{
    static char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", files[file]);
    lseek(files[file], 0, SEEK_SET);
    return path;
}

/* The linker leads the recorder's readers here (--wrap). NOLINTBEGIN */
const char *__wrap_tm_proc_path(int pid, const char *name);
int __real_tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context);
int __wrap_tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context);
long __real_tm_proc_read(const char *path, char *to, size_t size);
long __wrap_tm_proc_read(const char *path, char *to, size_t size);

const char *__wrap_tm_proc_path(int pid, const char *name)
{
    (void)pid;
    fuzz_promise(strcmp(name, "smaps") == 0, "only smaps is read by its pid");
    return path_of(SMAPS);
}

int __wrap_tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context)
{
    if (strcmp(path, "/proc/self/cgroup") == 0)
        path = path_of(CGROUP);
    else if (strcmp(path, "/proc/self/mountinfo") == 0)
        path = path_of(MOUNTINFO);
    return __real_tm_proc_lines(path, line, context);
}

long __wrap_tm_proc_read(const char *path, char *to, size_t size)
{
    fuzz_promise(strlen(path) < 1024, "a path is whole");
    return __real_tm_proc_read(path_of(LIMIT), to, size);
}
/* NOLINTEND */

static void read_maps(void)
{
    struct tm_spool records = {NULL, 0, 0, 0};
    struct tm_spool strings = {NULL, 0, 0, 0};
    fuzz_promise(tm_maps_read(0, &records, &strings) == 0, "a file in memory can be read");
    fuzz_promise(records.used % sizeof(struct tm_snapshot_map) == 0, "records are whole");
    fuzz_promise(strings.used > 0 && strings.base[strings.used - 1] == '\0', "strings end");
    for (size_t at = 0; at < records.used; at += sizeof(struct tm_snapshot_map)) {
        struct tm_snapshot_map map;
        memcpy(&map, records.base + at, sizeof map);
        fuzz_promise(map.path < strings.used && map.build_id < strings.used,
                     "a mapping's strings are there");
        fuzz_promise(map.permissions < 16, "there are four permissions");
        fuzz_reached();
    }
    tm_spool_free(&records);
    tm_spool_free(&strings);
}

static void read_build_id(struct fuzz_part elf)
{
    char id[TM_BUILD_ID_HEX];
    int file = fuzz_file(elf);
    if (tm_build_id(file, 0, elf.size, id))
        fuzz_promise(strlen(id) % 2 == 0 && strspn(id, "0123456789abcdef") == strlen(id),
                     "a build id is hexadecimal");
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    for (int i = 0; i < FILES; i++)
        files[i] = fuzz_file(fuzz_part(&input, PART));
    read_maps();
    tm_memory_limit();
    read_build_id(fuzz_part(&input, PART));
    for (int i = 0; i < FILES; i++)
        close(files[i]);
    return 0;
}
