/* top_rows.c: the rows of `tidemark top`: what each process was a look ago and over the last
 * minute, and their order. */
#include "profiler/report/top.h"

#include "profiler/format/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double SECOND = 1e9;
static const double TREND_SECONDS = 60;
static const uint64_t WRITE_NS = 250 * 1000 * 1000; /* between two writes of a page, at least */

const char *const tm_top_key_names[TM_TOP_KEYS] = {
    [TM_TOP_RSS] = "rss",       [TM_TOP_LIVE] = "live",   [TM_TOP_PINNED] = "pinned",
    [TM_TOP_CACHED] = "cached", [TM_TOP_ALLOC] = "alloc", [TM_TOP_TREND] = "trend",
    [TM_TOP_PID] = "pid",       [TM_TOP_USER] = "user",   [TM_TOP_PROGRAM] = "program"};

static const struct tm_top_row *row_before(const struct tm_top_row *rows, size_t count,
                                           const struct tm_live_process *process)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].process.pid == process->pid &&
            rows[i].process.start_ticks == process->start_ticks)
            return &rows[i];
    return NULL;
}

/* What it allocates a second. Both pages have to be of the same program, as after exec counters
 * begin again. A process writes its page four times a second at most, so the time is that between
 * two writes, of which the first may have been long before it was looked at. */
static void find_rate(struct tm_top_row *row, const struct tm_top_row *before, uint64_t looked_ns)
{
    const struct tm_live *now = &row->process.page;
    const struct tm_live *then = &before->process.page;
    uint64_t since = looked_ns > WRITE_NS ? looked_ns - WRITE_NS : 0;
    row->rate_recorded = now->sites != TM_SITES_OFF && then->sites != TM_SITES_OFF;
    uint64_t from = row->rate_recorded ? then->recorded_bytes : then->taken_bytes;
    uint64_t to = row->rate_recorded ? now->recorded_bytes : now->taken_bytes;
    row->has_rate = row->process.state == TM_LIVE_READ && before->process.state == TM_LIVE_READ &&
                    now->start_ns == then->start_ns && to >= from;
    if (then->written_ns > since)
        since = then->written_ns;
    if (!row->has_rate)
        row->rate = 0;
    else if (now->written_ns > since)
        row->rate = (double)(to - from) / ((double)(now->written_ns - since) / SECOND);
    else
        row->rate = row->process.age_ns > 4 * WRITE_NS ? 0 : before->rate;
}

/* The slope of the line that fits the last minute best. */
static void find_trend(struct tm_top_row *row)
{
    const struct tm_top_look *now = &row->past[row->looks - 1];
    double times = 0, sizes = 0, squares = 0, products = 0, count = 0;
    for (size_t i = 0; i < row->looks; i++) {
        double ago = (double)(now->time_ns - row->past[i].time_ns) / SECOND;
        double more = (double)row->past[i].rss_bytes - (double)now->rss_bytes;
        if (ago > TREND_SECONDS)
            continue;
        count++;
        times -= ago;
        sizes += more;
        squares += ago * ago;
        products -= ago * more;
    }
    double spread = count * squares - times * times;
    row->has_trend = count >= 2 && spread > 0;
    row->trend = row->has_trend ? (count * products - times * sizes) / spread * 60 : 0;
}

static void fill_row(struct tm_top_row *row, const struct tm_live_process *process,
                     const struct tm_top_row *before, uint64_t now, uint64_t then)
{
    row->process = *process;
    row->looks = 0;
    row->has_rate = false;
    if (before != NULL) {
        size_t skip = before->looks == TM_TOP_PAST ? 1 : 0;
        row->looks = before->looks - skip;
        memcpy(row->past, before->past + skip, row->looks * sizeof row->past[0]);
        find_rate(row, before, then);
    }
    row->past[row->looks++] = (struct tm_top_look){now, process->rss_bytes};
    find_trend(row);
}

int tm_top_look(struct tm_top *top)
{
    struct timespec time;
    int error = tm_live_scan(&top->list);
    if (error != 0)
        return error;
    struct tm_top_row *rows = calloc(top->list.count + 1, sizeof *rows);
    if (rows == NULL)
        return ENOMEM;
    clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t now = (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
    for (size_t i = 0; i < top->list.count; i++) {
        const struct tm_live_process *process = &top->list.processes[i];
        fill_row(&rows[i], process, row_before(top->rows, top->count, process), now, top->time_ns);
    }
    free(top->rows);
    top->rows = rows;
    top->count = top->list.count;
    top->time_ns = now;
    tm_top_sort(top);
    return 0;
}

static double value_of(const struct tm_top_row *row, enum tm_top_key key)
{
    switch (key) {
    case TM_TOP_LIVE:
        return (double)row->process.live_bytes;
    case TM_TOP_PINNED:
        return (double)row->process.pinned_bytes;
    case TM_TOP_CACHED:
        return (double)row->process.cached_bytes;
    case TM_TOP_ALLOC:
        return row->rate;
    case TM_TOP_TREND:
        return row->trend;
    case TM_TOP_RSS:
        return (double)row->process.rss_bytes;
    default:
        return 0;
    }
}

/* Figures from the highest down, names and numbers upwards; then by pid. */
static int compare(const void *a, const void *b, void *context)
{
    const struct tm_top_row *one = a, *other = b;
    enum tm_top_key key = *(const enum tm_top_key *)context;
    int order = 0;
    if (key == TM_TOP_USER)
        order = strcmp(one->process.user, other->process.user);
    else if (key == TM_TOP_PROGRAM)
        order = strcmp(one->process.program, other->process.program);
    double first = value_of(one, key), second = value_of(other, key);
    if (order == 0)
        order = (first < second) - (first > second);
    if (order == 0)
        order = (one->process.pid > other->process.pid) - (one->process.pid < other->process.pid);
    return order;
}

void tm_top_sort(struct tm_top *top)
{
    if (top->count != 0)
        qsort_r(top->rows, top->count, sizeof *top->rows, compare, &top->key);
}

void tm_top_free(struct tm_top *top)
{
    tm_live_free(&top->list);
    free(top->rows);
    top->rows = NULL;
    top->count = 0;
}
