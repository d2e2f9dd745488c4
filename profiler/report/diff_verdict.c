/* diff_verdict.c: the sentences at the top of a comparison. They follow from its figures by fixed
 * rules; every figure in them is in a table below.
 */
#include "profiler/report/diff.h"
#include "profiler/report/diff_words.h"
#include "profiler/report/who.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part of the whole change that is worth a sentence. */
enum { NOTABLE_PERCENT = 10 };

static void __attribute__((format(printf, 2, 3))) say(struct tm_diff *diff, const char *words, ...)
{
    size_t used = strlen(diff->verdict);
    va_list arguments;
    va_start(arguments, words);
    vsnprintf(diff->verdict + used, sizeof diff->verdict - used, words, arguments);
    va_end(arguments);
}

static bool is_notable(const struct tm_diff *diff, double change)
{
    int64_t moved = llabs(diff->rss);
    for (int i = 0; i < TM_LEDGER_GROUPS; i++)
        if (llabs(diff->groups[i]) > moved)
            moved = llabs(diff->groups[i]);
    return fabs(change) * 100 >= (double)moved * NOTABLE_PERCENT && fabs(change) >= 4096;
}

static void say_parts(struct tm_diff *diff)
{
    const struct {
        const char *name;
        int64_t change;
    } parts[] = {
        {"live", diff->groups[TM_LEDGER_LIVE]},
        {"pinned", diff->pinned},
        {"cached", diff->cached},
        {"not the heap's", diff->groups[TM_LEDGER_PROGRAM]},
        {"Tidemark's own", diff->groups[TM_LEDGER_METADATA]},
        {"unexplained (the residual)", diff->groups[TM_LEDGER_RESIDUAL]},
    };
    const char *before = ": ";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!is_notable(diff, (double)parts[i].change))
            continue;
        say(diff, "%s%s %s", before, tm_words_change(parts[i].change).text, parts[i].name);
        before = ", ";
    }
    say(diff, ". ");
}

static void say_rss(struct tm_diff *diff)
{
    uint64_t before = diff->ledgers[0].rss_bytes;
    uint64_t after = diff->ledgers[1].rss_bytes;
    uint64_t first = diff->reports[0]->snapshot->process.since_start_ns;
    uint64_t second = diff->reports[1]->snapshot->process.since_start_ns;
    if (diff->rss == 0)
        say(diff, "RSS is the same, %s", tm_words_bytes(after).text);
    else
        say(diff, "RSS %s by %s, from %s to %s", diff->rss > 0 ? "grew" : "fell",
            tm_words_bytes((uint64_t)llabs(diff->rss)).text, tm_words_bytes(before).text,
            tm_words_bytes(after).text);
    if (diff->check->one_process && second > first)
        say(diff, ", in %s", tm_words_time(second - first).text);
    say_parts(diff);
}

static struct tm_label label_of(const struct tm_diff *diff, uint32_t site)
{
    uint32_t group;
    const struct tm_report *report = tm_diff_report_of(diff, site, &group);
    return tm_group_label(report, group);
}

/* The site that changed the most in the same direction as the whole; 0: none is sure to have. */
static uint32_t most_changed(const struct tm_diff *diff, enum tm_order by, bool up)
{
    uint32_t most = TM_MATCH_UNKNOWN;
    double change = 0;
    for (uint32_t i = TM_MATCH_UNKNOWN + 1; i < diff->site_count; i++) {
        const struct tm_diff_figure *figure = &diff->sites[i].figures[by];
        double size = up ? figure->change : -figure->change;
        if (figure->what == TM_DIFF_UNSURE || figure->what == TM_DIFF_SAME || size <= change)
            continue;
        most = i;
        change = size;
    }
    return most;
}

/* How the whole of a figure's change compares to the one site's. */
static void say_site(struct tm_diff *diff, enum tm_order by, int64_t whole)
{
    if (!is_notable(diff, (double)whole))
        return;
    bool held = by == TM_BY_HELD;
    uint32_t most = most_changed(diff, by, whole > 0);
    if (most == TM_MATCH_UNKNOWN) {
        say(diff, "No one site is sure to have %s the %s bytes. ", whole > 0 ? "raised" : "lowered",
            held ? "pinned" : "live");
        return;
    }
    const struct tm_diff_figure *figure = &diff->sites[most].figures[by];
    struct tm_label label = label_of(diff, most);
    struct tm_words size = tm_words_about(figure->change, figure->error);
    if (held && figure->what == TM_DIFF_APPEARED)
        say(diff, "Survivors of %s newly pin %s. ", label.text, size.text);
    else if (held && whole > 0)
        say(diff, "Survivors of %s pin %s more. ", label.text, size.text);
    else if (held)
        say(diff, "Survivors of %s pin %s less. ", label.text, size.text);
    else
        say(diff, "At %s %s %s is live%s. ", label.text, size.text, whole > 0 ? "more" : "less",
            /* Of estimates it is only sure that nothing of it was sampled. */
            !figure->before.exact || !figure->after.exact ? ""
            : figure->what == TM_DIFF_APPEARED            ? ", and there was nothing before"
            : figure->what == TM_DIFF_WENT                ? ", all that there was"
                                                          : "");
}

/* Within a block size pages do not change hands: what is no longer live there is pinned, cached or
 * gone. */
static void say_move(struct tm_diff *diff)
{
    const struct tm_diff_move *most = NULL;
    int64_t live = 0;
    int64_t pinned = 0;
    for (size_t i = 0; i < diff->move_count; i++) {
        const struct tm_diff_move *move = &diff->moves[i];
        if (move->live >= 0)
            continue;
        live -= move->live;
        if (move->pinned <= 0)
            continue;
        pinned += move->pinned;
        if (!most || move->pinned > most->pinned)
            most = move;
    }
    if (!most || !is_notable(diff, (double)pinned))
        return;
    say(diff,
        "In block sizes of which less is live (%s less), %s more is pinned now, the most in blocks "
        "of %u B (%s). ",
        tm_words_bytes((uint64_t)live).text, tm_words_bytes((uint64_t)pinned).text,
        most->block_bytes, tm_words_bytes((uint64_t)most->pinned).text);
}

void tm_diff_verdict(struct tm_diff *diff)
{
    diff->verdict[0] = '\0';
    say_rss(diff);
    if (!diff->check->heap)
        return;
    say_move(diff);
    if (diff->check->sites)
        say_site(diff, TM_BY_LIVE, diff->groups[TM_LEDGER_LIVE]);
    if (diff->check->held)
        say_site(diff, TM_BY_HELD, diff->pinned);
    size_t used = strlen(diff->verdict);
    if (used > 0 && diff->verdict[used - 1] == ' ')
        diff->verdict[used - 1] = '\0';
}
