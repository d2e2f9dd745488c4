/* compare_figures.c: see compare_figures.h. */
#include "profiler/report/compare_figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct tm_figure_kind tm_figure_kinds[TM_FIGURES] = {
    [TM_FIGURE_PEAK] = {"peak_bytes", "peak", "the most that was resident at one time",
                        TM_UNIT_BYTES},
    [TM_FIGURE_MEAN] = {"mean_bytes", "mean", "resident memory, mean over the whole run",
                        TM_UNIT_BYTES},
    [TM_FIGURE_FINAL] = {"final_bytes", "final", "resident in the last sample before the end",
                         TM_UNIT_BYTES},
    [TM_FIGURE_AFTER] = {"after_peak_bytes", "after peak",
                         "resident memory, mean over the time from the peak to the end",
                         TM_UNIT_BYTES},
    [TM_FIGURE_MINOR] = {"minor_faults", "faults", "page faults that needed no disk",
                         TM_UNIT_COUNT},
    [TM_FIGURE_MAJOR] = {"major_faults", "major", "page faults that waited for the disk",
                         TM_UNIT_COUNT},
    [TM_FIGURE_USER] = {"user_seconds", "user", "CPU time in the program", TM_UNIT_SECONDS},
    [TM_FIGURE_SYSTEM] = {"system_seconds", "system", "CPU time in the kernel", TM_UNIT_SECONDS},
    [TM_FIGURE_WALL] = {"wall_seconds", "wall", "time from start to end", TM_UNIT_SECONDS},
};

/* Mean over time of samples first..last, as if memory changed evenly between two samples. */
static double mean_between(const struct tm_compare_run *run, size_t first, size_t last)
{
    double area = 0;
    for (size_t i = first; i < last; i++) {
        double step = run->samples[i + 1].seconds - run->samples[i].seconds;
        area += step * ((double)run->samples[i].bytes + (double)run->samples[i + 1].bytes) / 2;
    }
    double time = run->samples[last].seconds - run->samples[first].seconds;
    return time > 0 ? area / time : (double)run->samples[first].bytes;
}

void tm_figures_of_run(const struct tm_compare_run *run, double figures[TM_FIGURES])
{
    for (int i = 0; i <= TM_FIGURE_AFTER; i++)
        figures[i] = NAN;
    if (run->high_water > 0)
        figures[TM_FIGURE_PEAK] = (double)run->high_water;
    if (run->count > 0) {
        size_t top = 0, last = run->count - 1;
        for (size_t i = 1; i < run->count; i++)
            if (run->samples[i].bytes > run->samples[top].bytes)
                top = i;
        double highest = (double)run->samples[top].bytes;
        figures[TM_FIGURE_PEAK] = fmax(highest, (double)run->high_water);
        figures[TM_FIGURE_MEAN] = mean_between(run, 0, last);
        figures[TM_FIGURE_FINAL] = (double)run->samples[last].bytes;
        if (top < last)
            figures[TM_FIGURE_AFTER] = mean_between(run, top, last);
    }
    figures[TM_FIGURE_MINOR] = (double)run->minor;
    figures[TM_FIGURE_MAJOR] = (double)run->major;
    figures[TM_FIGURE_USER] = run->user;
    figures[TM_FIGURE_SYSTEM] = run->system;
    figures[TM_FIGURE_WALL] = run->wall;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct tm_summary tm_summary_of(const struct tm_comparison *all, unsigned row,
                                enum tm_figure figure)
{
    struct tm_summary summary = {NAN, NAN, NAN};
    double *values = calloc(all->done ? all->done : 1, sizeof *values);
    size_t count = 0;
    for (unsigned n = 0; values && n < all->done; n++) {
        const struct tm_compare_run *run = tm_run_of(all, row, n);
        double figures[TM_FIGURES];
        tm_figures_of_run(run, figures);
        if (!run->failed && !isnan(figures[figure]))
            values[count++] = figures[figure];
    }
    if (count > 0) {
        qsort(values, count, sizeof *values, by_value);
        size_t middle = count / 2;
        summary.median = count % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
        summary.low = values[0];
        summary.high = values[count - 1];
    }
    free(values);
    return summary;
}

unsigned tm_reference_row(const struct tm_comparison *all)
{
    for (unsigned row = 0; row < all->set.count; row++)
        if (all->set.all[row].reference)
            return row;
    return 0;
}

double tm_ratio_of(const struct tm_comparison *all, unsigned row, enum tm_figure figure)
{
    double own = tm_summary_of(all, row, figure).median;
    double reference = tm_summary_of(all, tm_reference_row(all), figure).median;
    return reference > 0 ? own / reference : NAN;
}

int tm_typical_run(const struct tm_comparison *all, unsigned row)
{
    double median = tm_summary_of(all, row, TM_FIGURE_PEAK).median;
    int best = -1;
    double distance = INFINITY;
    for (unsigned n = 0; n < all->done; n++) {
        const struct tm_compare_run *run = tm_run_of(all, row, n);
        double figures[TM_FIGURES];
        tm_figures_of_run(run, figures);
        double away = fabs(figures[TM_FIGURE_PEAK] - median);
        if (!run->failed && run->count > 0 && away < distance) {
            distance = away;
            best = (int)n;
        }
    }
    return best;
}

/* Digits in groups of three, with a space between. */
static void group(double value, char *text)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%.0f", value);
    char *out = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ' ';
        *out++ = digits[i];
    }
    *out = '\0';
}

char *tm_figure_text(enum tm_unit unit, double value, char text[TM_FIGURE_TEXT])
{
    double mib = value / (1024.0 * 1024.0);
    if (isnan(value))
        strcpy(text, "-");
    else if (unit == TM_UNIT_COUNT)
        group(value, text);
    else if (unit == TM_UNIT_SECONDS)
        snprintf(text, TM_FIGURE_TEXT, value < 10 ? "%.2f s" : "%.1f s", value);
    else if (mib >= 10240)
        snprintf(text, TM_FIGURE_TEXT, "%.1f GiB", mib / 1024);
    else
        snprintf(text, TM_FIGURE_TEXT, mib < 1000 ? "%.1f MiB" : "%.0f MiB", mib);
    return text;
}
