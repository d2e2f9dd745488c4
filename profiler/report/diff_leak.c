/* diff_leak.c: see diff_leak.h. */
#include "profiler/report/diff_leak.h"
#include "profiler/report/diff_words.h"
#include "profiler/report/who.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double hour_ns = 3600e9;
/* A mean absolute deviation times this is the standard deviation of a normal distribution. */
static const double deviations = 1.2533;

const char *tm_leak_kind_name(enum tm_leak_kind kind)
{
    static const char *const names[TM_LEAK_KINDS] = {
        [TM_LEAK_STEADY] = "steady growth", [TM_LEAK_UNSTEADY] = "unsteady growth",
        [TM_LEAK_SAW] = "saw-tooth",        [TM_LEAK_PLATEAU] = "plateau",
        [TM_LEAK_FALLS] = "falls",          [TM_LEAK_FLAT] = "flat",
    };
    return names[kind];
}

/* ---- the trend ---- */

/* The figures of one site over time, and room for the slopes of all pairs. */
struct series {
    size_t count;
    double *hours, *live, *errors;
    double *scratch;
};

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void find_trend(const struct series *series, struct tm_leak *leak)
{
    size_t n = series->count;
    size_t pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            series->scratch[pairs++] =
                (series->live[k] - series->live[i]) / (series->hours[k] - series->hours[i]);
    double slope = median(series->scratch, pairs);
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        series->scratch[i] = series->live[i] - slope * series->hours[i];
        mean += series->hours[i] / (double)n;
    }
    double start = median(series->scratch, n);
    double apart = 0;    /* mean distance from the line */
    double squares = 0;  /* of times around their mean */
    double variance = 0; /* of the slope, from the figures' own errors */
    for (size_t i = 0; i < n; i++) {
        double time = series->hours[i] - mean;
        apart += fabs(series->live[i] - slope * series->hours[i] - start) / (double)n;
        squares += time * time;
        variance += time * time * series->errors[i] * series->errors[i];
    }
    /* Two of the points' freedoms are the line's. */
    double deviation = apart * deviations * sqrt((double)n / (double)(n - 2));
    leak->per_hour = slope;
    leak->spread = sqrt(deviation * deviation / squares + variance / squares / squares);
}

/* The error of a change. What is live in both has the same samples in both, and errs in neither
 * direction. */
static double error_of_change(const struct series *series, size_t from, size_t to, double stays)
{
    double before = series->errors[from] * series->errors[from];
    double after = series->errors[to] * series->errors[to];
    return sqrt(before + after - 2 * stays * fmin(before, after));
}

/* Whether the figures change from one snapshot to another: 1 up, -1 down, 0 not surely. */
static int direction(const struct series *series, size_t from, size_t to, double stays)
{
    double low = series->live[0];
    double high = low;
    for (size_t i = 1; i < series->count; i++) {
        low = fmin(low, series->live[i]);
        high = fmax(high, series->live[i]);
    }
    double even = (high - low) * (double)(to - from) / (double)(series->count - 1);
    double change = series->live[to] - series->live[from];
    double error = error_of_change(series, from, to, stays);
    if (fabs(change) <= TM_DIFF_WITHIN * error || fabs(change) <= even / 4)
        return 0;
    return change > 0 ? 1 : -1;
}

static enum tm_leak_kind kind_of(const struct series *series, const struct tm_leak *leak)
{
    size_t intervals = series->count - 1;
    size_t third = intervals / 3 > 0 ? intervals / 3 : 1;
    bool late = direction(series, intervals - third, intervals, leak->stays) > 0;
    bool trend = leak->per_hour > TM_DIFF_WITHIN * leak->spread;
    if (leak->grew == 0)
        return leak->fell > 0 ? TM_LEAK_FALLS : TM_LEAK_FLAT;
    if (leak->fell > 0)
        return trend ? TM_LEAK_UNSTEADY : TM_LEAK_SAW;
    if (!late)
        return TM_LEAK_PLATEAU;
    /* What is replaced as it grows is a buffer or a queue. */
    bool stays = !leak->replaced && (leak->survived.low < 0 || leak->survived.high >= 0.5);
    return trend && stays && leak->grew * 4 >= intervals * 3 ? TM_LEAK_STEADY : TM_LEAK_UNSTEADY;
}

/* ---- ages ---- */

static const struct tm_range unknown = {-1, -1};

/* The part of a group's live blocks that was born before a time. Births are known in equal parts of
 * the time of recording, and those of the oldest and the youngest; what was born in the part that
 * the time lies in may be on either side. */
static struct tm_range born_before(const struct tm_report *report, const struct tm_group *group,
                                   uint64_t time)
{
    uint64_t since = report->snapshot->recording.since_ns;
    uint64_t now = report->snapshot->process.since_start_ns;
    double all = 0;
    struct tm_range before = {0, 0};
    if (now <= since)
        return unknown;
    double parts = time <= since ? 0 : (double)(time - since) * TM_BIRTHS / (double)(now - since);
    for (int i = 0; i < TM_BIRTHS; i++) {
        double blocks = (double)group->sums.born_blocks[i];
        all += blocks;
        before.low += i + 1 <= parts ? blocks : 0;
        before.high += i < parts ? blocks : 0;
    }
    if (!(all > 0))
        return unknown;
    if (group->sums.youngest_ns <= time)
        return (struct tm_range){1, 1};
    if (group->sums.oldest_ns > time)
        return (struct tm_range){0, 0};
    return (struct tm_range){before.low / all, before.high / all};
}

static void read_ages(const struct tm_leaks *leaks, struct tm_leak *leak)
{
    size_t last = leaks->snapshots - 1;
    const struct tm_match_cell *then = tm_match_cell(&leaks->match, leak->site, 0);
    const struct tm_match_cell *now = tm_match_cell(&leaks->match, leak->site, last);
    uint64_t first_ns = leaks->reports[0]->snapshot->process.since_start_ns;
    uint64_t late_ns = leaks->reports[last - 1]->snapshot->process.since_start_ns;
    leak->survived = leak->young = unknown;
    leak->replaced = then->live_samples > 0;
    if (now->live_samples == 0 || now->group == TM_MATCH_NOBODY)
        return;
    const struct tm_group *group = &leaks->reports[last]->sites.groups[now->group];
    struct tm_range older = born_before(leaks->reports[last], group, first_ns);
    struct tm_range not_young = born_before(leaks->reports[last], group, late_ns);
    if (older.low < 0)
        return;
    leak->replaced = then->live_samples > 0 && older.high <= 0;
    leak->young = (struct tm_range){1 - not_young.high, 1 - not_young.low};
    double before = tm_match_cell(&leaks->match, leak->site, last - 1)->live_blocks;
    if (before > 0)
        leak->stays = fmin(1, (not_young.low + not_young.high) / 2 * now->live_blocks / before);
    if (then->live_blocks > 0)
        leak->survived =
            (struct tm_range){fmin(1, older.low * now->live_blocks / then->live_blocks),
                              fmin(1, older.high * now->live_blocks / then->live_blocks)};
}

/* ---- all sites ---- */

static int by_likelihood(const void *left, const void *right)
{
    const struct tm_leak *a = left;
    const struct tm_leak *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->per_hour != b->per_hour)
        return a->per_hour < b->per_hour ? 1 : -1;
    return (a->site > b->site) - (a->site < b->site);
}

static void judge(struct tm_leaks *leaks, const struct series *series)
{
    for (uint32_t i = TM_MATCH_UNKNOWN + 1; i < leaks->match.sites; i++) {
        struct tm_leak *leak = &leaks->list[leaks->count];
        bool any = false;
        *leak = (struct tm_leak){.site = i};
        for (size_t k = 0; k < leaks->snapshots; k++) {
            const struct tm_match_cell *cell = tm_match_cell(&leaks->match, i, k);
            series->live[k] = cell->live.value;
            series->errors[k] = cell->live.error;
            any |= cell->live.value > 0;
        }
        if (!any)
            continue;
        leaks->count++;
        read_ages(leaks, leak);
        for (size_t k = 1; k < leaks->snapshots; k++) {
            int change = direction(series, k - 1, k, leak->stays);
            leak->grew += change > 0;
            leak->fell += change < 0;
        }
        find_trend(series, leak);
        leak->kind = kind_of(series, leak);
        leaks->kinds[leak->kind]++;
    }
    qsort(leaks->list, leaks->count, sizeof *leaks->list, by_likelihood);
}

static void say(struct tm_leaks *leaks)
{
    char *text = leaks->verdict;
    size_t size = sizeof leaks->verdict;
    if (leaks->kinds[TM_LEAK_STEADY] == 0) {
        snprintf(text, size,
                 "No call site grows steadily over these %zu snapshots: %zu grow unsteadily, %zu "
                 "rise and fall, %zu have stopped growing, %zu fall, %zu are flat.",
                 leaks->snapshots, leaks->kinds[TM_LEAK_UNSTEADY], leaks->kinds[TM_LEAK_SAW],
                 leaks->kinds[TM_LEAK_PLATEAU], leaks->kinds[TM_LEAK_FALLS],
                 leaks->kinds[TM_LEAK_FLAT]);
        return;
    }
    const struct tm_leak *first = &leaks->list[0];
    uint32_t group;
    const struct tm_report *report = tm_leak_report_of(leaks, first->site, &group);
    const struct tm_match_cell *last =
        tm_match_cell(&leaks->match, first->site, leaks->snapshots - 1);
    snprintf(text, size,
             "Most likely a leak: %s. Its live bytes grew in %u of %zu intervals, on the trend by "
             "%s an hour, and are %s now",
             tm_group_label(report, group).text, first->grew, leaks->snapshots - 1,
             tm_words_about(first->per_hour, first->spread).text,
             tm_words_error(last->live.value, last->live.error, last->live.few).text);
    size_t used = strlen(text);
    if (first->survived.low >= 0)
        snprintf(text + used, size - used,
                 "; of its blocks live in the first snapshot %s still are",
                 tm_words_range(first->survived).text);
    used = strlen(text);
    size_t more = leaks->kinds[TM_LEAK_STEADY] - 1;
    if (more > 0)
        snprintf(text + used, size - used, ". %zu more grow%s steadily.", more,
                 more == 1 ? "s" : "");
    else
        snprintf(text + used, size - used, ". No other site grows steadily.");
}

bool tm_leak_make(const struct tm_report *const *reports, size_t count,
                  const struct tm_diff_check *check, struct tm_leaks *leaks)
{
    *leaks = (struct tm_leaks){.reports = reports, .snapshots = count, .check = check};
    struct series series = {.count = count};
    series.hours = calloc(count, sizeof(double));
    series.live = calloc(count, sizeof(double));
    series.errors = calloc(count, sizeof(double));
    series.scratch = calloc(count * count, sizeof(double));
    bool good = series.hours && series.live && series.errors && series.scratch &&
                tm_match_make(reports, count, &leaks->match);
    if (good) {
        leaks->list = calloc(leaks->match.sites, sizeof *leaks->list);
        good = leaks->list != NULL;
    }
    for (size_t i = 0; i < count && good; i++)
        series.hours[i] = (double)reports[i]->snapshot->process.since_start_ns / hour_ns;
    if (good) {
        judge(leaks, &series);
        say(leaks);
    } else {
        tm_leak_free(leaks);
    }
    free(series.hours);
    free(series.live);
    free(series.errors);
    free(series.scratch);
    return good;
}

void tm_leak_free(struct tm_leaks *leaks)
{
    free(leaks->list);
    tm_match_free(&leaks->match);
    leaks->list = NULL;
}

const struct tm_report *tm_leak_report_of(const struct tm_leaks *leaks, uint32_t site,
                                          uint32_t *group)
{
    size_t which = leaks->snapshots;
    do
        *group = tm_match_cell(&leaks->match, site, --which)->group;
    while (*group == TM_MATCH_NOBODY && which > 0);
    return leaks->reports[which];
}
