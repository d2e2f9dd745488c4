/* diff_leak_text.c: the search for leaks for a person; see diff_print.h. */
#include "profiler/report/diff_print.h"
#include "profiler/report/diff_words.h"
#include "profiler/report/who.h"

#include <math.h>
#include <string.h>

enum { NAME_INDENT = 7, STACK_INDENT = 10, NAME_COLUMNS = 90, SHOWN_FIGURES = 8 };

static void print_head(FILE *out, const struct tm_leaks *leaks, const char *const *paths,
                       const struct tm_text_options *options)
{
    static const char *const names[] = {"First:    ", "Last:     "};
    size_t last = leaks->snapshots - 1;
    for (size_t i = 0; i < 2; i++) {
        size_t which = i == 0 ? 0 : last;
        fputs(names[i], out);
        tm_diff_origin(out, paths[which], leaks->reports[which]->snapshot, options->utf8);
    }
    fprintf(out, "          %zu snapshots over %s\n", leaks->snapshots,
            tm_words_time(leaks->reports[last]->snapshot->process.since_start_ns -
                          leaks->reports[0]->snapshot->process.since_start_ns)
                .text);
}

static void print_method(FILE *out, const struct tm_leaks *leaks,
                         const struct tm_text_options *options)
{
    tm_diff_paragraph(
        out,
        "Method: the trend is the median slope of all pairs of snapshots (Theil 1950, Sen 1968); "
        "+- "
        "is its spread: from the figures' distances from that line and from their own errors. An "
        "interval counts as grown or fallen if it changed by more than two errors and a quarter of "
        "an even part of the range. Steady: a trend of more than two spreads, three of four "
        "intervals grown, the last third too, none fallen, and half of the blocks of the first "
        "snapshot still live, as far as is known. Fewer than five snapshots tell a leak hardly "
        "from a cache that fills.",
        options->utf8);
    if (leaks->reports[0]->sites.sampled)
        tm_diff_paragraph(out,
                          "Figures are estimates from samples; +- behind bytes is one standard "
                          "error.",
                          options->utf8);
}

static void print_figures(FILE *out, const struct tm_leaks *leaks, const struct tm_leak *leak)
{
    char words[600] = "live:";
    size_t count = leaks->snapshots;
    size_t shown = count < SHOWN_FIGURES ? count : SHOWN_FIGURES;
    for (size_t i = 0; i < shown; i++) {
        size_t which = i * (count - 1) / (shown - 1);
        size_t used = strlen(words);
        snprintf(
            words + used, sizeof words - used, "%s %s", i == 0 ? "" : ",",
            tm_words_bytes(tm_whole(tm_match_cell(&leaks->match, leak->site, which)->live.value))
                .text);
    }
    if (shown < count)
        snprintf(words + strlen(words), sizeof words - strlen(words), " (%zu of %zu snapshots)",
                 shown, count);
    fprintf(out, "%*s", NAME_INDENT, "");
    tm_text_wrap(out, NAME_INDENT, NAME_INDENT, words);
}

static void print_ages(FILE *out, const struct tm_leaks *leaks, const struct tm_leak *leak)
{
    char words[400] = "ages:";
    const struct tm_match_cell *last =
        tm_match_cell(&leaks->match, leak->site, leaks->snapshots - 1);
    if (last->live_samples == 0)
        return;
    const struct tm_report *report = leaks->reports[leaks->snapshots - 1];
    uint64_t now = report->snapshot->process.since_start_ns;
    uint64_t oldest = report->sites.groups[last->group].sums.oldest_ns;
    if (oldest <= now)
        snprintf(words, sizeof words, "ages: the oldest live block is %s old",
                 tm_words_time(now - oldest).text);
    if (leak->replaced)
        strncat(words, "; no block that was live in the first snapshot still is",
                sizeof words - strlen(words) - 1);
    else if (leak->survived.low >= 0)
        snprintf(words + strlen(words), sizeof words - strlen(words),
                 "; of the blocks live in the first snapshot %s still are",
                 tm_words_range(leak->survived).text);
    if (leak->young.low >= 0)
        snprintf(words + strlen(words), sizeof words - strlen(words),
                 "; of those live in the last %s were born since the one before",
                 tm_words_range(leak->young).text);
    fprintf(out, "%*s", NAME_INDENT, "");
    tm_text_wrap(out, NAME_INDENT, NAME_INDENT, words);
}

static void print_leak(FILE *out, const struct tm_leaks *leaks, const struct tm_leak *leak,
                       size_t number, const struct tm_text_options *options)
{
    uint32_t group;
    const struct tm_report *report = tm_leak_report_of(leaks, leak->site, &group);
    const struct tm_match_cell *last =
        tm_match_cell(&leaks->match, leak->site, leaks->snapshots - 1);
    char grew[24];
    snprintf(grew, sizeof grew, "%u of %zu", leak->grew, leaks->snapshots - 1);
    fprintf(out, "  %3zu  %-17s%-26s%-14s%s\n%*s", number, tm_leak_kind_name(leak->kind),
            tm_words_growth(leak->per_hour, leak->spread).text, grew,
            tm_words_estimate(&last->live).text, NAME_INDENT, "");
    tm_text_label(out, report, group, NAME_COLUMNS, options->utf8);
    putc('\n', out);
    print_figures(out, leaks, leak);
    print_ages(out, leaks, leak);
    if (leak->kind <= TM_LEAK_UNSTEADY)
        tm_print_stack(out, report, report->sites.groups[group].node, STACK_INDENT, options->utf8);
}

void tm_leak_text(FILE *out, const struct tm_leaks *leaks, const char *const *paths,
                  const struct tm_text_options *options)
{
    print_head(out, leaks, paths, options);
    tm_text_heading(out, options, "Verdict");
    tm_diff_paragraph(out, leaks->verdict, options->utf8);
    tm_text_heading(out, options, "Call sites by how likely they leak");
    print_method(out, leaks, options);
    for (size_t i = 0; i < leaks->check->note_count; i++)
        tm_diff_paragraph(out, leaks->check->notes[i], options->utf8);
    fprintf(out, "\n  %3s  %-17s%-26s%-14s%s\n", "", "", "growth an hour", "grew", "live now");
    for (size_t i = 0; i < leaks->count && i < options->top; i++)
        print_leak(out, leaks, &leaks->list[i], i + 1, options);
    if (leaks->count > options->top)
        fprintf(out, "  and %zu more (--top, --json)\n", leaks->count - options->top);
}
