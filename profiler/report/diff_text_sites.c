/* diff_text_sites.c: who allocated what changed, and who pins it: the tables of call sites of a
 * comparison, the one that the reader asked for (--by) first; see diff_print.h. A site's stack is
 * printed once, in the first table that has it.
 */
#include "profiler/report/diff_print.h"
#include "profiler/report/diff_words.h"
#include "profiler/report/who.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_INDENT = 7, STACK_INDENT = 10, NAME_COLUMNS = 90 };

struct table {
    FILE *out;
    const struct tm_diff *diff;
    const struct tm_text_options *options;
    enum tm_order by;
    uint32_t *ranked;
    bool *told; /* by site: its stack is printed */
};

static void print_also(const struct table *table, uint32_t index)
{
    const struct tm_diff_site *site = &table->diff->sites[index];
    const struct tm_match_cell *before = tm_match_cell(&table->diff->match, index, 0);
    const struct tm_match_cell *after = tm_match_cell(&table->diff->match, index, 1);
    char words[300];
    if (table->by == TM_BY_LIVE) {
        snprintf(words, sizeof words, "blocks: %s, now %s",
                 tm_words_exact(llround(before->live_blocks)).text,
                 tm_words_exact(llround(after->live_blocks)).text);
        if (table->diff->check->held && site->figures[TM_BY_HELD].what != TM_DIFF_SAME)
            snprintf(words + strlen(words), sizeof words - strlen(words), "; pinned by them: %s",
                     tm_words_figure(&site->figures[TM_BY_HELD]).text);
    } else {
        enum tm_order other = table->by == TM_BY_HELD ? TM_BY_SOLE : TM_BY_HELD;
        snprintf(words, sizeof words, "live: %s; %s: %s",
                 tm_words_figure(&site->figures[TM_BY_LIVE]).text,
                 other == TM_BY_SOLE ? "pages of its own in RSS" : "charged to it",
                 tm_words_figure(&site->figures[other]).text);
    }
    fprintf(table->out, "%*s", NAME_INDENT, "");
    tm_text_wrap(table->out, NAME_INDENT, NAME_INDENT, words);
}

static void print_site(const struct table *table, uint32_t index, size_t number)
{
    const struct tm_diff *diff = table->diff;
    const struct tm_diff_figure *figure = &diff->sites[index].figures[table->by];
    uint32_t group;
    const struct tm_report *report = tm_diff_report_of(diff, index, &group);
    fprintf(table->out, "  %3zu  %-9s%-23s %-23s %s\n%*s", number, tm_diff_what_name(figure->what),
            tm_words_estimate(&figure->before).text, tm_words_estimate(&figure->after).text,
            tm_words_figure(figure).text, NAME_INDENT, "");
    tm_text_label(table->out, report, group, NAME_COLUMNS, table->options->utf8);
    putc('\n', table->out);
    print_also(table, index);
    if (table->told[index])
        return;
    table->told[index] = true;
    tm_print_stack(table->out, report, report->sites.groups[group].node, STACK_INDENT,
                   table->options->utf8);
}

static void print_sum(const struct table *table, double before, double after, const char *words)
{
    fprintf(table->out, "  %3s  %-9s%-23s %-23s %-18s %s\n", "", "",
            tm_words_bytes(tm_whole(before)).text, tm_words_bytes(tm_whole(after)).text,
            tm_words_change(llround(after) - llround(before)).text, words);
}

/* "3 appeared (+1.0 MiB), 2 grew (+4.0 MiB)." */
static void print_whats(const struct table *table)
{
    static const enum tm_diff_what order[] = {TM_DIFF_APPEARED, TM_DIFF_GREW, TM_DIFF_SHRANK,
                                              TM_DIFF_WENT, TM_DIFF_UNSURE};
    char words[400] = "";
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const struct tm_diff_sum *sum = &table->diff->sums[table->by][order[i]];
        size_t used = strlen(words);
        if (sum->sites > 0)
            snprintf(words + used, sizeof words - used, "%s%zu %s (%s)", used ? ", " : "",
                     sum->sites, tm_diff_what_name(order[i]),
                     tm_words_change(llround(sum->change)).text);
    }
    if (*words)
        fprintf(table->out, "  %s.\n", words);
}

/* The exact account: what all sites are charged, and what no site is. */
static void print_pinned_sum(const struct table *table)
{
    const struct tm_held *before = &table->diff->reports[0]->held;
    const struct tm_held *after = &table->diff->reports[1]->held;
    int64_t charged = 0;
    for (size_t i = TM_MATCH_UNKNOWN + 1; i < table->diff->site_count; i++)
        charged += table->diff->sites[i].share_change;
    const struct {
        int64_t change;
        const char *words;
    } rows[] = {
        {charged, "charged to call sites"},
        {table->diff->sites[TM_MATCH_UNKNOWN].share_change,
         "charged to blocks that are not recorded"},
        {(int64_t)(after->older_bytes - before->older_bytes),
         "in pools that are older than the recording, or were taken while it was off"},
        {(int64_t)(after->unchosen_bytes - before->unchosen_bytes),
         "in pools of block sizes none of which was chosen"},
        {after->inconsistent_bytes - before->inconsistent_bytes,
         "by which a snapshot's count of pages and its charges contradict each other"},
    };
    fputs("  Together:\n", table->out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].change != 0)
            fprintf(table->out, "  %16s  %s\n", tm_words_exact_change(rows[i].change).text,
                    rows[i].words);
    fprintf(table->out, "  %16s  pinned, as in the ledger\n",
            tm_words_exact_change(table->diff->pinned).text);
}

static void print_table(struct table *table)
{
    static const char *const headings[TM_DIFF_FIGURES] = {
        [TM_BY_HELD] =
            "Who pins more, and less: free bytes charged to the live blocks of each page",
        [TM_BY_SOLE] = "Who pins more, and less: pages of one site's blocks alone, in RSS",
        [TM_BY_LIVE] = "Live bytes by who allocated them",
    };
    size_t count = tm_diff_rank(table->diff, table->by, table->ranked);
    double before = 0, after = 0;
    tm_text_heading(table->out, table->options, headings[table->by]);
    if (count == 0) {
        fputs("  No site's changed.\n", table->out);
    } else {
        print_whats(table);
        fprintf(table->out, "  %3s  %-9s%-23s %-23s %s\n", "", "", "before", "after", "change");
    }
    for (size_t i = 0; i < count; i++) {
        const struct tm_diff_figure *figure =
            &table->diff->sites[table->ranked[i]].figures[table->by];
        if (i < table->options->top) {
            print_site(table, table->ranked[i], i + 1);
            continue;
        }
        before += figure->before.value;
        after += figure->after.value;
    }
    if (count > table->options->top) {
        char words[40];
        snprintf(words, sizeof words, "%zu more", count - table->options->top);
        print_sum(table, before, after, words);
    }
    if (table->by == TM_BY_LIVE)
        print_sum(table, (double)table->diff->reports[0]->sites.total.live_bytes,
                  (double)table->diff->reports[1]->sites.total.live_bytes, "all sites");
    else if (table->by == TM_BY_HELD)
        print_pinned_sum(table);
}

void tm_diff_text_sites(FILE *out, const struct tm_diff *diff,
                        const struct tm_text_options *options)
{
    enum tm_order asked = diff->reports[0]->view.by;
    struct table table = {
        .out = out,
        .diff = diff,
        .options = options,
        .ranked = calloc(diff->site_count, sizeof *table.ranked),
        .told = calloc(diff->site_count, sizeof *table.told),
    };
    enum tm_order held = asked == TM_BY_SOLE ? TM_BY_SOLE : TM_BY_HELD;
    enum tm_order order[] = {asked == TM_BY_LIVE ? TM_BY_LIVE : held,
                             asked == TM_BY_LIVE ? held : TM_BY_LIVE};
    for (int i = 0; i < 2 && table.ranked && table.told; i++) {
        table.by = order[i];
        if (table.by == TM_BY_LIVE || diff->check->held)
            print_table(&table);
    }
    free(table.ranked);
    free(table.told);
}
