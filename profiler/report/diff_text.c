/* diff_text.c: the comparison of two for a person; see diff_print.h. The tables of call sites are
 * in diff_text_sites.c. */
#include "profiler/report/diff_print.h"
#include "profiler/report/diff_words.h"

#include <stdlib.h>
#include <string.h>

enum { NAME = 30 };

static void print_head(FILE *out, const struct tm_diff *diff, const char *const *paths,
                       const struct tm_text_options *options)
{
    static const char *const names[] = {"Before:   ", "After:    "};
    for (int i = 0; i < 2; i++) {
        fputs(names[i], out);
        tm_diff_origin(out, paths[i], diff->reports[i]->snapshot, options->utf8);
    }
}

static void print_notes(FILE *out, const struct tm_diff *diff,
                        const struct tm_text_options *options)
{
    if (diff->check->note_count == 0)
        return;
    tm_text_heading(out, options, "What does not compare");
    for (size_t i = 0; i < diff->check->note_count; i++)
        tm_diff_paragraph(out, diff->check->notes[i], options->utf8);
}

static void print_ledger(FILE *out, const struct tm_diff *diff,
                         const struct tm_text_options *options)
{
    tm_text_heading(out, options, "Ledger: where every resident byte was, and is");
    fprintf(out, "  %-*s%18s%18s%18s\n", NAME, "", "before", "after", "change");
    for (size_t i = 0; i < diff->row_count; i++) {
        const struct tm_diff_row *row = &diff->rows[i];
        if (row->before == 0 && row->after == 0 && row->row.group != TM_LEDGER_RESIDUAL)
            continue;
        fputs("  ", out);
        size_t used =
            tm_print_escaped(out, row->row.name, strlen(row->row.name), NAME, options->utf8);
        fprintf(out, "%*s%18s%18s%18s\n", (int)(NAME - used), "", tm_words_exact(row->before).text,
                tm_words_exact(row->after).text,
                tm_words_exact_change(row->after - row->before).text);
    }
    fprintf(out, "  %-*s%18s%18s%18s\n", NAME, "", "---------------", "---------------",
            "---------------");
    fprintf(out, "  %-*s%18s%18s%18s\n", NAME, "RSS",
            tm_words_exact((int64_t)diff->ledgers[0].rss_bytes).text,
            tm_words_exact((int64_t)diff->ledgers[1].rss_bytes).text,
            tm_words_exact_change(diff->rss).text);
}

static void print_move(FILE *out, const char *name, const struct tm_diff_move *move)
{
    fprintf(out, "  %-*s%15s%15s%15s%15s\n", NAME, name, tm_words_change(move->live).text,
            tm_words_change(move->pinned).text, tm_words_change(move->cached).text,
            tm_words_change(move->live + move->pinned + move->cached).text);
}

static bool is_nothing(const struct tm_diff_move *move)
{
    return move->live == 0 && move->pinned == 0 && move->cached == 0;
}

static void print_moves(FILE *out, const struct tm_diff *diff,
                        const struct tm_text_options *options)
{
    struct tm_diff_move rest = {0}, all = diff->large;
    char name[40];
    size_t left = 0;
    tm_text_heading(out, options, "What moved between live, pinned and cached");
    fprintf(out, "  %-*s%15s%15s%15s%15s\n", NAME, "", "live", "pinned", "cached", "together");
    for (size_t i = 0; i < diff->move_count; i++) {
        const struct tm_diff_move *move = &diff->moves[i];
        all.live += move->live;
        all.pinned += move->pinned;
        all.cached += move->cached;
        if (is_nothing(move))
            continue;
        if (i < options->top) {
            snprintf(name, sizeof name, "blocks of %u B", move->block_bytes);
            print_move(out, name, move);
            continue;
        }
        left++;
        rest.live += move->live;
        rest.pinned += move->pinned;
        rest.cached += move->cached;
    }
    if (left > 0) {
        snprintf(name, sizeof name, "of %zu more sizes", left);
        print_move(out, name, &rest);
    }
    if (!is_nothing(&diff->large))
        print_move(out, "large blocks", &diff->large);
    if (!is_nothing(&diff->arenas))
        print_move(out, "free pages in no pool", &diff->arenas);
    all.cached += diff->arenas.cached;
    print_move(out, "all of the heap", &all);
}

static void print_exactness(FILE *out, const struct tm_diff *diff,
                            const struct tm_text_options *options)
{
    tm_text_heading(out, options, "How exact this is");
    bool exact =
        diff->check->sites && !diff->reports[0]->sites.sampled && !diff->reports[1]->sites.sampled;
    tm_diff_paragraph(out,
                      "The ledger and what moved are differences of two exact counts; RSS and the "
                      "mappings are read one after the other, and the residual holds what that "
                      "leaves.",
                      options->utf8);
    if (diff->check->sites && exact)
        tm_diff_paragraph(out, "Call sites are exact: every allocation was recorded in both.",
                          options->utf8);
    else if (diff->check->sites)
        tm_diff_paragraph(
            out,
            "Call sites are estimates. +- is one standard error; that of a change is the root of "
            "the sum of the squares of both, which for two snapshots of one process is too much "
            "rather than too little. A ? marks a change within two errors, or one that rests on "
            "too few samples: it may be none. What appeared or went has no sample in the other "
            "snapshot; a little of it may be there.",
            options->utf8);
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; diff->reports[i]->view.symbols; k++) {
            const char *note = tm_symbols_note(diff->reports[i]->view.symbols, k);
            if (!note)
                break;
            bool known = false; /* from the first */
            for (size_t j = 0; i == 1 && diff->reports[0]->view.symbols; j++) {
                const char *first = tm_symbols_note(diff->reports[0]->view.symbols, j);
                if (!first)
                    break;
                known |= strcmp(first, note) == 0;
            }
            if (!known)
                tm_diff_paragraph(out, note, options->utf8);
        }
}

void tm_diff_text(FILE *out, const struct tm_diff *diff, const char *const *paths,
                  const struct tm_text_options *options)
{
    print_head(out, diff, paths, options);
    tm_text_heading(out, options, "Verdict");
    tm_diff_paragraph(out, diff->verdict, options->utf8);
    print_notes(out, diff, options);
    print_ledger(out, diff, options);
    if (diff->check->heap)
        print_moves(out, diff, options);
    if (diff->check->sites)
        tm_diff_text_sites(out, diff, options);
    print_exactness(out, diff, options);
}
