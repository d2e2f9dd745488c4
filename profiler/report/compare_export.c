/* compare_export.c: the comparison for other programs: CSV and JSON. See compare_output.h. */
#include "profiler/report/compare_output.h"
#include "profiler/report/report_format.h"

#include <math.h>
#include <string.h>

/* A spreadsheet would take what begins with one of these for a formula: in front of them it takes a
 * quote for "this is text". */
static const char formula[] = "=+-@";

static void csv_text(FILE *out, const char *text)
{
    bool quoted = *text && strchr(formula, *text);
    if (!quoted && !strpbrk(text, ",\"\n\r")) {
        fputs(text, out);
        return;
    }
    fputs(quoted ? "\"'" : "\"", out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void tm_compare_write_series(FILE *out, const struct tm_comparison *all)
{
    fputs("allocator,run,seconds,resident_bytes,processes\n", out);
    for (unsigned row = 0; row < all->set.count; row++)
        for (unsigned n = 0; n < all->done; n++) {
            const struct tm_compare_run *run = tm_run_of(all, row, n);
            for (size_t i = 0; i < run->count; i++) {
                csv_text(out, all->set.all[row].name);
                fprintf(out, ",%u,%.6f,%llu,%u\n", n + 1, run->samples[i].seconds,
                        (unsigned long long)run->samples[i].bytes, run->samples[i].processes);
            }
        }
}

static void number(FILE *out, double value, const char *missing)
{
    if (isnan(value))
        fputs(missing, out);
    else if (value == floor(value))
        fprintf(out, "%.0f", value);
    else
        fprintf(out, "%.6f", value);
}

void tm_compare_write_summary(FILE *out, const struct tm_comparison *all)
{
    fputs("allocator,run,failed", out);
    for (int i = 0; i < TM_FIGURES; i++)
        fprintf(out, ",%s", tm_figure_kinds[i].key);
    fputs(",samples\n", out);
    for (unsigned row = 0; row < all->set.count; row++)
        for (unsigned n = 0; n < all->done; n++) {
            const struct tm_compare_run *run = tm_run_of(all, row, n);
            double figures[TM_FIGURES];
            tm_figures_of_run(run, figures);
            csv_text(out, all->set.all[row].name);
            fprintf(out, ",%u,", n + 1);
            csv_text(out, run->failed ? run->failure : "");
            for (int i = 0; i < TM_FIGURES; i++) {
                fputc(',', out);
                number(out, figures[i], "");
            }
            fprintf(out, ",%zu\n", run->count);
        }
}

static void json_text(FILE *out, const char *text)
{
    tm_print_json_string(out, text, strlen(text));
}

static void json_run(FILE *out, const struct tm_compare_run *run)
{
    double figures[TM_FIGURES];
    tm_figures_of_run(run, figures);
    fprintf(out, "{\"failed\": %s", run->failed ? "true" : "false");
    if (run->failed) {
        fputs(", \"failure\": ", out);
        json_text(out, run->failure);
    }
    for (int i = 0; i < TM_FIGURES; i++) {
        fprintf(out, ", \"%s\": ", tm_figure_kinds[i].key);
        number(out, figures[i], "null");
    }
    fprintf(out, ", \"samples\": %zu}", run->count);
}

static void json_row(FILE *out, const struct tm_comparison *all, unsigned row)
{
    const struct tm_allocator *allocator = &all->set.all[row];
    static const char *const loaded[] = {
        [TM_LOADED_UNSEEN] = "null", [TM_LOADED_YES] = "true", [TM_LOADED_NO] = "false"};
    fputs("    {\"name\": ", out);
    json_text(out, allocator->name);
    fputs(", \"library\": ", out);
    if (allocator->library)
        json_text(out, allocator->library);
    else
        fputs("null", out);
    const char *seen =
        allocator->library && all->done > 0 ? loaded[tm_run_of(all, row, 0)->loaded] : "null";
    fprintf(out, ", \"loaded\": %s, \"own_pools\": %s,\n     \"median\": {", seen,
            allocator->own_pools ? "true" : "false");
    for (int i = 0; i < TM_FIGURES; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "", tm_figure_kinds[i].key);
        number(out, tm_summary_of(all, row, (enum tm_figure)i).median, "null");
    }
    fputs("},\n     \"ratio\": {", out);
    for (int i = 0; i < TM_FIGURES; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "", tm_figure_kinds[i].key);
        number(out, tm_ratio_of(all, row, (enum tm_figure)i), "null");
    }
    fputs("},\n     \"runs\": [", out);
    for (unsigned n = 0; n < all->done; n++) {
        fputs(n ? ",\n       " : "\n       ", out);
        json_run(out, tm_run_of(all, row, n));
    }
    fputs("]}", out);
}

void tm_compare_write_json(FILE *out, const struct tm_comparison *all)
{
    char text[TM_NOTE_TEXT];
    fputs("{\n  \"command\": ", out);
    json_text(out, all->command);
    fprintf(out, ",\n  \"repeat\": %u,\n  \"reference\": ", all->done);
    json_text(out, all->set.all[tm_reference_row(all)].name);
    fputs(",\n  \"method\": ", out);
    tm_compare_method(all, text);
    json_text(out, text);
    fputs(",\n  \"notes\": [", out);
    for (unsigned i = 0; tm_compare_note(all, i, text); i++) {
        fputs(i ? ", " : "", out);
        json_text(out, text);
    }
    fputs("],\n  \"allocators\": [\n", out);
    for (unsigned row = 0; row < all->set.count; row++) {
        json_row(out, all, row);
        fputs(row + 1 < all->set.count ? ",\n" : "\n", out);
    }
    fputs("  ]\n}\n", out);
}
