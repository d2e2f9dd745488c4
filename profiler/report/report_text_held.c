/* report_text_held.c: "Who pins it" and "What to fix first"; see report_text.h. */
#include "profiler/report/report_format.h"
#include "profiler/report/report_text.h"
#include "profiler/report/who.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where little is pinned, few rows tell enough. */
enum { FEW_ROWS = 3, NAME_INDENT = 7, STACK_INDENT = 10 };

void tm_text_label(FILE *out, const struct tm_report *report, uint32_t group, size_t columns,
                   bool utf8)
{
    struct tm_label label = tm_group_label(report, group);
    tm_print_escaped(out, label.text, strlen(label.text), columns, utf8);
}

static struct tm_words words_of(const struct tm_estimate *estimate)
{
    return tm_words_error(estimate->value, estimate->error, estimate->few);
}

static void print_survivors(FILE *out, const struct tm_report *report, const struct tm_group *group)
{
    uint64_t now = report->snapshot->process.since_start_ns;
    char words[200];
    unsigned births;
    unsigned time;
    if (group->sums.live_samples == 0 || group->sums.oldest_ns > now ||
        group->sums.youngest_ns > now)
        return;
    snprintf(words, sizeof words, "survivors: %s%s live blocks, %s to %s old",
             report->sites.sampled ? "about " : "",
             tm_words_exact((int64_t)(group->live_blocks.value + 0.5)).text,
             tm_words_time(now - group->sums.youngest_ns).text,
             tm_words_time(now - group->sums.oldest_ns).text);
    if (tm_group_peak_births(report->snapshot, &report->sites, group, &births, &time)) {
        size_t used = strlen(words);
        snprintf(words + used, sizeof words - used,
                 "; %u %% born around the peak (%u %% of the time)", births, time);
    }
    fprintf(out, "%*s", NAME_INDENT, "");
    tm_text_wrap(out, NAME_INDENT, NAME_INDENT, words);
}

static void print_held_row(FILE *out, const struct tm_report *report, uint32_t index, size_t number,
                           bool stack, const struct tm_text_options *options)
{
    const struct tm_group *group = &report->sites.groups[index];
    const struct tm_group_held *held = &report->held.groups[index];
    fprintf(out, "  %3zu  %-22s %6s  %-22s  %s\n       ", number, words_of(&held->share).text,
            tm_words_percent(held->share_bytes, report->held.pinned_bytes).text,
            words_of(&held->sole).text, words_of(&held->sole_resident).text);
    tm_text_label(out, report, index, 90, options->utf8);
    putc('\n', out);
    print_survivors(out, report, group);
    if (!stack)
        return;
    tm_print_stack(out, report, group->held_node, STACK_INDENT, options->utf8);
    if (group->stacks > 1)
        fprintf(out, "%*s(of %u stacks the one that is charged the most)\n", STACK_INDENT, "",
                group->stacks);
}

static void print_rest(FILE *out, int64_t bytes, const char *words)
{
    if (bytes != 0)
        fprintf(out, "  %15s  %s\n", tm_words_exact(bytes).text, words);
}

/* Rows that sum to the ledger's pinned bytes. ranked: the groups that are listed above. */
static void print_sum(FILE *out, const struct tm_report *report, const uint32_t *ranked,
                      size_t shown)
{
    const struct tm_held *held = &report->held;
    uint64_t listed = 0;
    uint64_t rest = 0;
    size_t others = 0;
    char words[64];
    for (size_t i = 0; i < shown; i++)
        listed += held->groups[ranked[i]].share_bytes;
    for (size_t i = 0; i < report->sites.count; i++) {
        rest += i == TM_GROUP_UNKNOWN ? 0 : held->groups[i].share_bytes;
        others += i != TM_GROUP_UNKNOWN && held->groups[i].share_bytes > 0;
    }
    for (size_t i = 0; i < shown; i++)
        others -= held->groups[ranked[i]].share_bytes > 0;
    rest -= listed;
    fputs("  Together:\n", out);
    print_rest(out, (int64_t)listed, "charged to those above");
    snprintf(words, sizeof words, "charged to %zu more", others);
    print_rest(out, (int64_t)rest, words);
    print_rest(out, (int64_t)held->groups[TM_GROUP_UNKNOWN].share_bytes,
               "charged to blocks that are not recorded");
    print_rest(out, (int64_t)held->older_bytes,
               "in pools that are older than the recording, or were taken while it was off");
    print_rest(out, (int64_t)held->unchosen_bytes,
               "in pools of block sizes none of which was chosen");
    print_rest(out, held->inconsistent_bytes,
               "by which the snapshot's count of pages and its charges contradict each other");
    fprintf(out, "  %15s  pinned, as in the ledger\n",
            tm_words_exact((int64_t)held->pinned_bytes).text);
}

static void print_method(FILE *out, const struct tm_report *report, const uint32_t *ranked,
                         size_t shown)
{
    const struct tm_held *held = &report->held;
    char words[500];
    bool few = false;
    if (held->chosen_pages == 0) {
        fputs("  No page whose blocks are known by site holds free memory.\n", out);
        return;
    }
    if (held->pinned.exact) {
        fputs("  Exact: the site of every block on these pages is looked at.\n", out);
        return;
    }
    for (size_t i = 0; i < shown && !few; i++)
        few = held->groups[ranked[i]].share.few || held->groups[ranked[i]].sole_resident.few;
    for (size_t i = 0; i < report->plan.count && !few; i++)
        few = report->plan.steps[i].back.few;
    snprintf(words, sizeof words,
             "Estimated from %" PRIu64 " pages chosen at random of %" PRIu64
             " with pinned bytes; +- is one standard error.%s "
             "`sites=all` (`tidemark start --all PID`) counts instead.",
             held->chosen_pages, held->all_pages,
             few ? " (too few): too few of the chosen pages hold it to tell; the figure may be off "
                   "by a multiple."
                 : "");
    fputs("  ", out);
    tm_text_wrap(out, 2, 2, words);
}

static void print_plan_names(FILE *out, const struct tm_report *report,
                             const struct tm_plan_step *step, bool first, bool utf8)
{
    for (size_t i = 0; i < step->count; i++) {
        fputs(i > 0 ? "       and " : first ? "       " : "       then ", out);
        tm_text_label(out, report, step->groups[i], 84, utf8);
        putc('\n', out);
    }
}

static void print_plan(FILE *out, const struct tm_report *report,
                       const struct tm_text_options *options)
{
    const struct tm_plan *plan = &report->plan;
    tm_text_heading(out, options,
                    "What to fix first: whose live blocks, gone, let the most memory go back");
    if (plan->count == 0) {
        fputs(
            "  No eight of them have a page to themselves: on every page with survivors there are "
            "more,\n  or blocks that are not recorded.\n",
            out);
        return;
    }
    fprintf(out, "  %3s  %-22s  %-22s  %s\n", "", "RSS falls by, in all", "free bytes in it",
            "large blocks in it");
    for (size_t i = 0; i < plan->count && i < options->top; i++) {
        const struct tm_plan_step *step = &plan->steps[i];
        fprintf(out, "  %3zu  %-22s  %-22s  %s\n", i + 1, words_of(&step->back).text,
                words_of(&step->held).text, words_of(&step->spans).text);
        print_plan_names(out, report, step, i == 0, options->utf8);
    }
}

void tm_report_text_held(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    const struct tm_held *held = &report->held;
    enum tm_order by = report->view.by == TM_BY_SOLE ? TM_BY_SOLE : TM_BY_HELD;
    uint32_t *ranked = calloc(report->sites.count, sizeof *ranked);
    if (!ranked)
        return;
    tm_text_heading(out, options,
                    "Who pins it: free bytes on pages with live blocks, charged to these in equal "
                    "parts");
    if (!held->recorded) {
        fputs("  ", out);
        tm_text_wrap(out, 2, 2, report->verdict.sites);
        free(ranked);
        return;
    }
    bool little = !report->verdict.pinned;
    size_t count = tm_report_rank(report, by, ranked);
    size_t shown = little && options->top > FEW_ROWS ? FEW_ROWS : options->top;
    shown = shown < count ? shown : count;
    if (little)
        fprintf(out, "  Little is pinned: %s, %s of RSS.\n",
                tm_words_bytes(held->pinned_bytes).text,
                tm_words_percent(held->pinned_bytes, report->ledger.rss_bytes).text);
    print_method(out, report, ranked, shown);
    if (shown > 0)
        fprintf(out, "  %3s  %-22s %6s  %-22s  %s\n", "", "charged", "part", "on pages of its own",
                "these pages in RSS");
    for (size_t i = 0; i < shown; i++)
        print_held_row(out, report, ranked[i], i + 1, !little, options);
    print_sum(out, report, ranked, shown);
    if (*report->verdict.sites) {
        fputs("  ", out);
        tm_text_wrap(out, 2, 2, report->verdict.sites);
    }
    if (held->crowded.value > 0)
        fprintf(out, "  On pages with blocks of more than %d sites: %s of it.\n", TM_SET_MEMBERS,
                words_of(&held->crowded).text);
    free(ranked);
    if (!little)
        print_plan(out, report, options);
}
