/* snapshot_write.c: one snapshot from the first look at /proc to the rename. Called by request.c,
 * usually in the copy of the process, and there alone in it. Everything that is read is read before
 * the first byte is written, what moves first: RSS, then the mappings, then the heap, which in the
 * copy stands still.
 */
#include "allocator/census.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/clock.h"
#include "profiler/record/heap.h"
#include "profiler/record/job.h"
#include "profiler/record/maps.h"
#include "profiler/record/out.h"
#include "profiler/record/procfile.h"
#include "profiler/record/residency.h"
#include "profiler/record/sys.h"
#include "profiler/record/text.h"
#include "profiler/record/timeline.h"
#include "profiler/record/writer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    STATUS_BYTES = 8 * 1024,
    ROLLUP_BYTES = 4 * 1024,
    COMMAND_BYTES = 64 * 1024,
    ENVIRON_BYTES = 256 * 1024,
    TELLING_BYTES = 8 * 1024,
};

static const long PAUSE_POLL_NS =
    100 * 1000; /* between two looks for the pause that the process measures, */
static const unsigned PAUSE_POLLS = 1000; /* and how many */

static char status[STATUS_BYTES];
static char rollup[ROLLUP_BYTES];
static char command[COMMAND_BYTES];
static char environment[ENVIRON_BYTES];
static char telling[TELLING_BYTES];
static char exe[TM_PATH_BYTES];
static char program[256];
static struct tm_spool maps, strings;
static struct tm_snapshot_moment moments[TM_TIMELINE_MOMENTS + 1];

/* Sets exe, and program: its last part, or the thread's name where there is no /proc. That it is a
 * name in any directory, and a line in any list, is seen to: it may be anything. */
static void find_program(int pid)
{
    static const char deleted[] = " (deleted)";
    long length = tm_sys_readlink(tm_proc_path(pid, "exe"), exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    char thread_name[16] = {0};
    const char *name = thread_name;
    size_t used;
    if (length > 0) {
        const char *slash = strrchr(exe, '/');
        name = slash != NULL ? slash + 1 : exe;
        used = strlen(name);
        if (used > sizeof deleted - 1 && strcmp(name + used - (sizeof deleted - 1), deleted) == 0)
            used -= sizeof deleted - 1;
    } else {
        tm_sys3(SYS_prctl, PR_GET_NAME, (long)thread_name, 0);
        used = strlen(thread_name);
    }
    struct tm_text text = tm_text_in(program, sizeof program);
    bool dots = strspn(name, ".") >= used;
    for (size_t i = 0; i < used; i++) {
        unsigned char c = (unsigned char)name[i];
        tm_text_bytes(&text, c < 0x20 || c == 0x7f || c == '/' || dots ? "_" : name + i, 1);
    }
}

/* Keeps of the environment what explains a heap, and nothing that could be a secret. */
static void find_telling(long bytes)
{
    static const char *const names[] = {
        "PYTHONMALLOC=", "LD_PRELOAD=",   "GLIBC_TUNABLES=",   "MALLOC_",
        "TIDEMARK=",     "NODE_OPTIONS=", "JAVA_TOOL_OPTIONS="};
    struct tm_text text = tm_text_in(telling, sizeof telling);
    for (const char *p = environment; p < environment + bytes; p += strlen(p) + 1)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strncmp(p, names[i], strlen(names[i])) == 0 && strchr(p, '\n') == NULL) {
                tm_text_add(&text, p);
                tm_text_add(&text, "\n");
            }
}

static uint64_t pause_of(const struct tm_job *job)
{
    uint64_t pause = 0;
    if (!job->in_copy)
        return 0;
    for (unsigned i = 0; i < PAUSE_POLLS; i++) {
        pause = __atomic_load_n(&job->told->pause_ns, __ATOMIC_ACQUIRE);
        if (pause != 0)
            break;
        tm_sys_sleep_ns(PAUSE_POLL_NS);
    }
    return pause;
}

static void write_text(uint32_t tag, const char *text, long bytes)
{
    tm_writer_section(tag, 1, text, bytes > 0 ? (size_t)bytes : 0);
}

/* Reads everything and writes everything to fd. 0 or an errno, with outcome->step set. */
static int write_sections(const struct tm_job *job, int fd, uint64_t rss_bytes, int pid)
{
    struct tm_outcome *outcome = job->outcome;
    struct tm_snapshot_process process = {
        .pid = job->pid,
        .page_bytes = (uint32_t)tm_census_kernel_page(),
        .arena_bytes = 256 * 1024,
        .mask_page_bytes = 4096,
        .realtime_ns = job->realtime_ns,
        .since_start_ns = job->since_start_ns,
        .rss_bytes = rss_bytes,
        .number = outcome->number,
    };
    long status_bytes = tm_proc_read(tm_proc_path(pid, "status"), status, sizeof status);
    long rollup_bytes = tm_proc_read(tm_proc_path(pid, "smaps_rollup"), rollup, sizeof rollup);
    tm_maps_read(pid, &maps, &strings);
    size_t moment_count = tm_timeline_copy(moments);

    tm_residency_start();
    uint64_t walk_start = tm_sys_clock_ns(CLOCK_MONOTONIC);
    if ((job->flags & TM_SNAPSHOT_NO_HEAP) == 0)
        process.inconsistencies = tm_heap_walk();
    process.walk_ns = tm_clock_between(walk_start, tm_sys_clock_ns(CLOCK_MONOTONIC));
    tm_residency_stop();

    long command_bytes = tm_proc_read(tm_proc_path(pid, "cmdline"), command, sizeof command);
    find_telling(tm_proc_read(tm_proc_path(0, "environ"), environment, sizeof environment));
    if (status_bytes > 0) {
        process.parent = (int32_t)tm_proc_field(status, "PPid:");
        process.threads = (uint32_t)tm_proc_field(status, "Threads:") - job->extra_thread;
        process.peak_rss_bytes = tm_proc_field(status, "VmHWM:") * 1024;
    }
    process.pause_ns = pause_of(job);

    int error = maps.error != 0 ? maps.error : strings.error != 0 ? strings.error : tm_heap_error();
    if (error == 0) {
        tm_writer_start(fd, job->flags);
        tm_writer_section(TM_TAG_PROCESS, sizeof process, &process, sizeof process);
        write_text(TM_TAG_COMMAND, command, command_bytes);
        write_text(TM_TAG_EXE, exe, (long)strlen(exe));
        write_text(TM_TAG_CONFIG, job->settings->lines, (long)strlen(job->settings->lines));
        write_text(TM_TAG_VERSION, TIDEMARK_VERSION, (long)strlen(TIDEMARK_VERSION));
        write_text(TM_TAG_ENVIRON, telling, (long)strlen(telling));
        write_text(TM_TAG_STATUS, status, status_bytes);
        write_text(TM_TAG_ROLLUP, rollup, rollup_bytes);
        write_text(TM_TAG_STRINGS, strings.base, (long)strings.used);
        tm_writer_section(TM_TAG_MAPS, sizeof(struct tm_snapshot_map), maps.base, maps.used);
        tm_heap_write_counters(process.pause_ns, process.number);
        tm_heap_write();
        tm_writer_section(TM_TAG_TIMELINE, sizeof moments[0], moments,
                          moment_count * sizeof moments[0]);
        error = tm_writer_finish();
    } else {
        tm_heap_free();
    }
    if (error == ENOMEM)
        memcpy(outcome->step, "memory", sizeof "memory");
    else
        memcpy(outcome->step, "write", sizeof "write");
    tm_spool_free(&maps);
    tm_spool_free(&strings);
    return error;
}

void tm_snapshot_write(const struct tm_job *job)
{
    struct tm_outcome *outcome = job->outcome;
    int pid = job->in_copy ? job->pid : 0;
    char statm[128];
    uint64_t rss_bytes = 0;
    if (tm_proc_read(tm_proc_path(pid, "statm"), statm, sizeof statm) > 0) {
        const char *space = strchr(statm, ' ');
        if (space != NULL)
            rss_bytes = tm_proc_field(space, " ") * tm_census_kernel_page();
    }
    find_program(pid);
    if (job->in_copy)
        tm_sys3(SYS_prctl, PR_SET_NAME, (long)"tidemark-copy", 0);

    int fd = tm_out_open(job, program);
    int error = fd < 0 ? -fd : 0;
    tm_job_tell(job);
    if (error == 0) {
        error = write_sections(job, fd, rss_bytes, pid);
        if (error == 0)
            error = tm_out_commit(job, program, fd);
        else
            tm_out_abandon(job, fd);
    }
    outcome->error = error;
    if (error != 0)
        tm_snapshot_say_failure(outcome);
    tm_job_tell(job);
    __atomic_store_n(&job->told->finished, 1, __ATOMIC_RELEASE);
}

void tm_snapshot_say_failure(const struct tm_outcome *outcome)
{
    static char memory[2048];
    struct tm_text text = tm_text_in(memory, sizeof memory);
    tm_text_add(&text, "tidemark: snapshot not written: ");
    tm_text_add(&text, outcome->step);
    if (outcome->path[0] != '\0') {
        tm_text_add(&text, " ");
        tm_text_shown(&text, outcome->path, strlen(outcome->path));
    }
    if (outcome->error != ECHILD) {
        tm_text_add(&text, ": ");
        tm_text_error(&text, outcome->error);
    }
    switch (outcome->error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        tm_text_add(&text, "; make room, or set TIDEMARK=out=PATH to another place");
        break;
    case EMFILE:
    case ENFILE:
        tm_text_add(&text, "; raise the limit of open files (ulimit -n)");
        break;
    case ENOMEM:
    case ECHILD:
        tm_text_add(&text, "; memory may be short: try again with more to spare");
        break;
    case EEXIST:
        tm_text_add(&text, "; set TIDEMARK=out=PATH with %p and %n in it");
        break;
    default:
        tm_text_add(&text, "; set TIDEMARK=out=PATH to a place that the program may write to");
    }
    tm_say(&text);
}
