/* analyse_verdict.c: the sentences at the top of the report. They follow from the ledger by fixed
 * rules, so that the same figures always give the same words; every figure in them is in the tables
 * below them too.
 */
#include "profiler/report/analyse.h"
#include "profiler/report/report_format.h"
#include "profiler/report/who.h"

#include "allocator/census.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Held memory is what the report is about when it is at least this share of RSS. */
enum { NOTABLE_PERCENT = 15 };

static void __attribute__((format(printf, 3, 4)))
append(char *text, size_t size, const char *words, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, words);
    vsnprintf(text + used, size - used, words, arguments);
    va_end(arguments);
}

#define SAY(part, ...) append(report->verdict.part, sizeof report->verdict.part, __VA_ARGS__)

static bool is_notable(uint64_t part, uint64_t rss)
{
    return part > 0 && part >= rss / 100 * NOTABLE_PERCENT;
}

static uint64_t other_bytes(const struct tm_report *report)
{
    return (uint64_t)report->ledger.group_bytes[TM_LEDGER_PROGRAM];
}

static void say_summary(struct tm_report *report)
{
    uint64_t rss = report->ledger.rss_bytes;
    uint64_t live = tm_report_live(report);
    uint64_t held = tm_report_held(report);
    SAY(summary, "RSS is %s: %s live in the heap (%s), %s held free by the allocator (%s)",
        tm_words_bytes(rss).text, tm_words_bytes(live).text, tm_words_percent(live, rss).text,
        tm_words_bytes(held).text, tm_words_percent(held, rss).text);
    int64_t residual = report->ledger.group_bytes[TM_LEDGER_RESIDUAL];
    uint64_t own = (uint64_t)report->ledger.group_bytes[TM_LEDGER_METADATA];
    uint64_t other = other_bytes(report);
    SAY(summary, ", %s not the heap's (%s), %s Tidemark's own", tm_words_bytes(other).text,
        tm_words_percent(other, rss).text, tm_words_bytes(own).text);
    if (residual > 0 && is_notable((uint64_t)residual, rss))
        SAY(summary, ", %s unexplained (the residual)", tm_words_signed(residual).text);
    SAY(summary, ".");
}

static const struct tm_class_use *most_pinned(const struct tm_report *report)
{
    const struct tm_class_use *most = NULL;
    for (size_t i = 0; i < report->snapshot->class_count; i++) {
        const struct tm_class_use *class = &report->heap.classes[i];
        if (!most || class->pinned_bytes > most->pinned_bytes)
            most = class;
    }
    return most;
}

static void say_pinned(struct tm_report *report)
{
    const struct tm_heap *heap = &report->heap;
    const struct tm_class_use *class = most_pinned(report);
    SAY(why,
        "Sparse survivors pin %s: %s of the resident pool pages hold a live block, and live blocks "
        "fill only %s of those pages.",
        tm_words_bytes(heap->pinned_bytes).text,
        tm_words_percent(heap->floor_bytes, heap->pool_bytes).text,
        tm_words_percent(heap->live_pool_bytes, heap->floor_bytes).text);
    if (class)
        SAY(why, " Pools for blocks of %u B pin the most: %s, %s occupied.", class->block_bytes,
            tm_words_bytes(class->pinned_bytes).text,
            tm_words_percent(class->live_blocks, class->capacity).text);
    SAY(remedy,
        "Trimming (`tidemark trim %d`) would give back at most %s. The pinned %s comes back only "
        "when "
        "the survivors are freed, or when the program keeps long-lived objects apart from "
        "short-lived ones.",
        report->snapshot->process.pid, tm_words_bytes(heap->cached_bytes).text,
        tm_words_bytes(heap->pinned_bytes).text);
}

static struct tm_words words_of(const struct tm_estimate *estimate)
{
    return tm_words_error(estimate->value, estimate->error, estimate->few);
}

/* Names who is charged the most, and what the plan's first steps bring. */
static void say_who(struct tm_report *report)
{
    const struct tm_held *held = &report->held;
    const struct tm_plan *plan = &report->plan;
    uint32_t most = TM_GROUP_UNKNOWN;
    for (uint32_t i = 1; i < report->sites.count; i++)
        if (held->groups[i].share.value > held->groups[most].share.value ||
            most == TM_GROUP_UNKNOWN)
            most = i;
    if (!held->recorded || most == TM_GROUP_UNKNOWN || held->groups[most].share_bytes == 0)
        return;
    struct tm_label label = tm_group_label(report, most);
    const struct tm_estimate *share = &held->groups[most].share;
    if (share->few) {
        SAY(who,
            "%s seems to pin the most (about %s), but too few of the chosen pages hold its blocks "
            "to tell; `tidemark start --all %d` counts instead.",
            label.text, tm_words_bytes(held->groups[most].share_bytes).text,
            report->snapshot->process.pid);
        return;
    }
    struct tm_estimate alone = held->groups[most].sole_resident;
    SAY(who, "Of the pinned bytes %s (%s) are charged to blocks of %s; ", words_of(share).text,
        tm_words_percent(held->groups[most].share_bytes, held->pinned_bytes).text, label.text);
    if (alone.value > 0)
        SAY(who, "the pages that come back without these alone are %s.", words_of(&alone).text);
    else
        SAY(who, "without these alone no page would come back.");
    if (plan->count == 0)
        return;
    const struct tm_plan_step *first = &plan->steps[0];
    const struct tm_plan_step *last = &plan->steps[plan->count - 1];
    size_t groups = 0;
    for (size_t i = 0; i < plan->count; i++)
        groups += plan->steps[i].count;
    label = tm_group_label(report, first->groups[0]);
    SAY(who, " RSS would fall the most, by %s, ", words_of(&first->back).text);
    if (first->count == 1 && first->groups[0] == most)
        SAY(who, "without them");
    else if (first->count == 1)
        SAY(who, "without the blocks of %s", label.text);
    else
        SAY(who, "without the blocks of %zu sites together, the first of them %s", first->count,
            label.text);
    if (plan->count > 1)
        SAY(who, "; by %s without those of the %zu under What to fix first",
            words_of(&last->back).text, groups);
    SAY(who, ".");
}

/* How to get call sites, or Python's functions in them. */
static void say_sites(struct tm_report *report)
{
    if (!report->snapshot->has_recording)
        SAY(sites,
            "Call sites are not recorded: `tidemark start %d` turns it on in the running process "
            "(`tidemark run` has it on), for what is allocated from then on.",
            report->snapshot->process.pid);
    else if (report->snapshot->held_count == 0)
        SAY(sites, "No page whose blocks are known by site holds free memory so far.");
    else if (report->python != TM_PYTHON_NONE && !tm_report_has_python_frames(report))
        SAY(sites, "The stacks show CPython's own functions. For Python's, start the program with "
                   "PYTHONPERFSUPPORT=1 (or python3 -X perf); Python 3.12 or later has it.");
}

static void say_cached(struct tm_report *report)
{
    uint64_t cached = report->heap.cached_bytes;
    SAY(why, "%s of it is free pages without any live block, kept for reuse.",
        tm_words_bytes(cached).text);
    SAY(remedy, "Trimming (`tidemark trim %d`) would give back up to %s.",
        report->snapshot->process.pid, tm_words_bytes(cached).text);
}

static const struct tm_ledger_row *largest_row(const struct tm_report *report,
                                               enum tm_ledger_group group)
{
    const struct tm_ledger_row *largest = NULL;
    for (size_t i = 0; i < report->ledger.count; i++) {
        const struct tm_ledger_row *row = &report->ledger.rows[i];
        if (row->group == group && (!largest || row->bytes > largest->bytes))
            largest = row;
    }
    return largest;
}

static void say_other(struct tm_report *report)
{
    const struct tm_ledger_row *largest = largest_row(report, TM_LEDGER_PROGRAM);
    SAY(why, "Most of RSS is not the heap's; the largest part is %s with %s.", largest->name,
        tm_words_signed(largest->bytes).text);
    /* Where CPython's pools are the cause, the sentence about them says what to do. */
    if (report->python != TM_PYTHON_POOLS)
        SAY(remedy,
            "No heap allocator can bring that down; the largest mappings are listed below.");
}

/* libc itself allocates a little in every program that gets its malloc from Tidemark. */
static void say_unused(struct tm_report *report)
{
    SAY(why,
        "Tidemark serves not one block here: the program has an allocator of its own, which no "
        "preloaded library replaces, or never allocates.");
    SAY(remedy,
        "To see its heap, build or start it with the C library's malloc. The largest mappings "
        "are listed below.");
}

static void say_live(struct tm_report *report)
{
    const struct tm_ledger_row *largest = largest_row(report, TM_LEDGER_LIVE);
    uint64_t live = tm_report_live(report);
    uint64_t held = tm_report_held(report);
    SAY(why, "The heap is in use: %s of what it has resident is live, most of it %s (%s).",
        tm_words_percent(live, live + held).text, largest->name,
        tm_words_signed(largest->bytes).text);
    SAY(remedy, "RSS comes down only when the program itself keeps less.");
}

static void say_python(struct tm_report *report)
{
    if (report->python != TM_PYTHON_POOLS)
        return;
    SAY(python, "This is a Python process whose objects live in CPython's own pools and arenas, "
                "which the allocator "
                "sees at most as a few large pieces (other anonymous memory in the ledger, or live "
                "spans): free "
                "space inside them counts as in use here. To see it, start the program with "
                "PYTHONMALLOC=malloc "
                "(`tidemark run` sets it).");
}

void tm_verdict_make(struct tm_report *report)
{
    uint64_t rss = report->ledger.rss_bytes;
    uint64_t cached = report->heap.cached_bytes;
    memset(&report->verdict, 0, sizeof report->verdict);
    say_summary(report);
    say_python(report);
    say_sites(report);
    if (report->snapshot->header.flags & TM_SNAPSHOT_NO_HEAP) {
        SAY(why, "The heap could not be walked, so live and held bytes are unknown.");
        SAY(remedy, "Take another snapshot; the timeline and the mappings below are valid.");
    } else if (tm_report_live(report) + tm_report_held(report) == 0) {
        say_unused(report);
    } else if (is_notable(report->heap.pinned_bytes, rss) && report->heap.pinned_bytes >= cached) {
        report->verdict.pinned = true;
        say_pinned(report);
        say_who(report);
    } else if (is_notable(cached, rss)) {
        say_cached(report);
    } else if (other_bytes(report) > rss / 2) {
        say_other(report);
    } else {
        say_live(report);
    }
}
