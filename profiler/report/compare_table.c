/* compare_table.c: the comparison as text: a table of two lines per allocator (figures, ratios),
 * then notes. See compare_output.h.
 */
#include "profiler/report/compare_output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LEAST = 10 };

/* Wide enough for "1.00x ±100%" where there is a spread to show. */
static int column_width(const struct tm_comparison *all)
{
    return all->done > 1 ? 13 : 11;
}

static int name_width(const struct tm_comparison *all)
{
    size_t width = NAME_LEAST;
    for (unsigned row = 0; row < all->set.count; row++)
        if (strlen(all->set.all[row].name) > width)
            width = strlen(all->set.all[row].name);
    return (int)width;
}

/* The first run of a row that failed, or NULL. */
static const struct tm_compare_run *failure_of(const struct tm_comparison *all, unsigned row)
{
    for (unsigned n = 0; n < all->done; n++)
        if (tm_run_of(all, row, n)->failed)
            return tm_run_of(all, row, n);
    return NULL;
}

static void print_ratio(FILE *out, const struct tm_comparison *all, unsigned row,
                        enum tm_figure figure)
{
    char ratio[16] = "";
    char spread[16] = "";
    struct tm_summary summary = tm_summary_of(all, row, figure);
    double value = tm_ratio_of(all, row, figure);
    if (!isnan(value))
        snprintf(ratio, sizeof ratio, "%.2fx", value);
    if (all->done > 1 && summary.median > 0)
        snprintf(spread, sizeof spread, " \302\261%.0f%%",
                 50 * (summary.high - summary.low) / summary.median);
    /* The plus-minus sign is two bytes and one column. */
    int width = column_width(all) + (*spread ? 1 : 0);
    char both[40];
    snprintf(both, sizeof both, "%s%s", ratio, spread);
    fprintf(out, "%*s", width, both);
}

static void print_row(FILE *out, const struct tm_comparison *all, unsigned row, int width)
{
    char text[TM_FIGURE_TEXT];
    const struct tm_compare_run *failure = failure_of(all, row);
    struct tm_summary wall = tm_summary_of(all, row, TM_FIGURE_WALL);
    fprintf(out, "%-*s", width, all->set.all[row].name);
    if (isnan(wall.median)) {
        fprintf(out, "  failed: %s\n", failure ? failure->failure : "no run");
        return;
    }
    for (int i = 0; i < TM_FIGURES; i++) {
        double median = tm_summary_of(all, row, (enum tm_figure)i).median;
        fprintf(out, "%*s", column_width(all),
                tm_figure_text(tm_figure_kinds[i].unit, median, text));
    }
    fprintf(out, "\n%-*s", width, "");
    for (int i = 0; i < TM_FIGURES; i++)
        print_ratio(out, all, row, (enum tm_figure)i);
    fputc('\n', out);
    if (failure)
        fprintf(out, "%-*s  failed in one run or more (left out): %s\n", width, "",
                failure->failure);
}

void tm_compare_print_table(FILE *out, const struct tm_comparison *all)
{
    char text[TM_NOTE_TEXT];
    int width = name_width(all);
    fprintf(out, "%s\n\n%-*s", all->command, width, "");
    for (int i = 0; i < TM_FIGURES; i++)
        fprintf(out, "%*s", column_width(all), tm_figure_kinds[i].title);
    fputc('\n', out);
    for (unsigned row = 0; row < all->set.count; row++)
        print_row(out, all, row, width);
    tm_compare_verdict(all, text);
    if (*text)
        fprintf(out, "\n%s\n", text);
    tm_compare_method(all, text);
    fprintf(out, "\n%s\n", text);
    for (unsigned i = 0; tm_compare_note(all, i, text); i++)
        fprintf(out, "note: %s\n", text);
}
