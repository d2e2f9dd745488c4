/* remote_fuzz.c: fuzz target: the input is the memory of another process, as `tidemark top`,
 * `metrics` and `snapshot` look at it: the library's ELF tables, its status, its live page. What is
 * found is shown in every form, with the last bytes as the names of program and user.
 */
#include "profiler/report/command.h"
#include "profiler/report/control.h"
#include "profiler/report/live.h"
#include "profiler/report/metrics.h"
#include "profiler/report/top.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

enum {
    BASE = 0x10000,        /* where the memory lies in that process */
    PAGE_AT = BASE + 2304, /* its live page, where the kernel tells its address */
    BYTES = 65536,         /* of its memory: zero where the input has nothing */
    NOBODY = 0x7ffffff0,   /* no process has this number */
    INNER = 42,
};

static struct fuzz_part memory;
static struct tm_live_process found[2];

/* The linker leads the command's questions to the kernel here (--wrap). NOLINTBEGIN */
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long to_count,
                                const struct iovec *from, unsigned long from_count,
                                unsigned long flags);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long to_count,
                                const struct iovec *from, unsigned long from_count,
                                unsigned long flags)
{
    (void)flags;
    fuzz_promise(pid == NOBODY && to_count == 1 && from_count == 1, "one process is asked");
    fuzz_promise(to->iov_len == from->iov_len, "as much is wanted as there is room");
    uintptr_t at = (uintptr_t)from->iov_base;
    if (at < BASE || at - BASE > BYTES || from->iov_len > BYTES - (at - BASE)) {
        errno = EFAULT;
        return -1;
    }
    size_t offset = at - BASE;
    size_t there = offset < memory.size ? memory.size - offset : 0;
    memset(to->iov_base, 0, to->iov_len);
    if (there > 0)
        memcpy(to->iov_base, memory.bytes + offset, there < to->iov_len ? there : to->iov_len);
    return (ssize_t)to->iov_len;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time, (void)left;
    return 0;
}
/* NOLINTEND */

void tm_error(const char *format, ...)
{
    (void)format;
}

/* In place of a look at /proc. */
int tm_live_scan(struct tm_live_list *list)
{
    list->processes = found;
    list->count = list->room = sizeof found / sizeof found[0];
    list->denied = list->without = 0;
    return 0;
}

void tm_live_free(struct tm_live_list *list)
{
    *list = (struct tm_live_list){.count = 0};
}

void tm_live_explain(const struct tm_live_list *list, char *text, size_t size)
{
    (void)list;
    snprintf(text, size, "nothing\n");
}

static void take_name(char *to, size_t size, size_t from_end)
{
    size_t count = memory.size < size - 1 ? memory.size : size - 1;
    size_t start = memory.size - count > from_end ? memory.size - count - from_end : 0;
    if (count > 0)
        memcpy(to, memory.bytes + start, count);
    to[count] = '\0';
}

static void check_state(const struct tm_live_process *process)
{
    fuzz_promise(process->state <= TM_LIVE_VERSIONS, "a state is one of four");
    if (process->state == TM_LIVE_READ) {
        fuzz_reached();
        fuzz_promise(process->page.pid == INNER, "a page is its process's");
        return;
    }
    struct tm_live none = {.owner = 0};
    fuzz_promise(process->state != TM_LIVE_VERSIONS ||
                     memcmp(&process->page, &none, sizeof none) == 0,
                 "of a page of another version nothing is known");
}

static void metrics(enum tm_metrics_format format)
{
    struct fuzz_output output;
    fuzz_promise(tm_metrics_write(fuzz_output_open(&output), format) == 0, "metrics are said");
    fuzz_output_is_text(&output, false);
}

static void show(void)
{
    struct tm_top top = {.count = 0};
    struct tm_top_view view = {.columns = 100, .lines = 10, .utf8 = true};
    metrics(TM_METRICS_OPENMETRICS);
    metrics(TM_METRICS_TEXT);
    for (int looks = 0; looks < 2; looks++)
        fuzz_promise(tm_top_look(&top) == 0, "there is memory");
    for (int key = 0; key < TM_TOP_KEYS; key++) {
        top.key = (enum tm_top_key)key;
        tm_top_sort(&top);
    }
    struct fuzz_output output;
    tm_top_print(fuzz_output_open(&output), &top, &view);
    fuzz_output_is_text(&output, false);
    view.utf8 = false;
    tm_top_print(fuzz_output_open(&output), &top, &view);
    fuzz_output_is_text(&output, true);
    tm_top_json(fuzz_output_open(&output), &top);
    fuzz_output_is_json(&output);
    tm_top_free(&top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tm_live_place places[2] = {
        {.library = BASE},
        {.library = BASE, .start = PAGE_AT, .end = PAGE_AT + TM_LIVE_BYTES, .inode = 1},
    };
    memory = (struct fuzz_part){data, size};
    memset(found, 0, sizeof found);
    for (int i = 0; i < 2; i++) {
        found[i].pid = NOBODY;
        found[i].inner_pid = INNER;
        found[i].start_ticks = 1000 + (uint64_t)i;
        found[i].rss_bytes = 1 << 20;
        take_name(found[i].program, sizeof found[i].program, 0);
        take_name(found[i].user, sizeof found[i].user, 64);
        tm_live_read(&found[i], &places[i]);
        check_state(&found[i]);
    }
    struct tm_target target = {.pid = NOBODY};
    uintptr_t status = tm_remote_symbol(NOBODY, BASE, TM_STATUS_SYMBOL);
    if (status != 0 && status != (uintptr_t)-1) {
        target.status_at = status;
        if (tm_target_refresh(&target))
            fuzz_promise(memchr(target.status.last_path, '\0', sizeof target.status.last_path) &&
                             memchr(target.status.last_step, '\0', sizeof target.status.last_step),
                         "what a status says ends");
    }
    show();
    return 0;
}
