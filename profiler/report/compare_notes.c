/* compare_notes.c: the sentences around the figures of a comparison: how memory was measured, what
 * came out, and what a reader must know about a row before trusting it. Shared by the text and the
 * HTML. See compare_output.h.
 */
#include "profiler/report/compare_output.h"

#include <math.h>
#include <string.h>

void tm_compare_method(const struct tm_comparison *all, char text[TM_NOTE_TEXT])
{
    bool proportional = true;
    size_t samples = 0;
    double seconds = 0, cost = 0;
    for (unsigned row = 0; row < all->set.count; row++)
        for (unsigned n = 0; n < all->done; n++) {
            const struct tm_compare_run *run = tm_run_of(all, row, n);
            proportional = proportional && run->proportional;
            samples += run->count;
            seconds += run->wall;
            cost += run->sampling_cost;
        }
    snprintf(
        text, TM_NOTE_TEXT,
        "Resident memory of the whole process tree, %s; a sample every %.0f ms on average, "
        "taken with %.1f%% of one CPU. %s; ratios to %s.",
        proportional ? "pages shared inside it counted once (PSS)"
                     : "as RSS (PSS is not readable): shared pages count in each process",
        samples ? 1000 * seconds / (double)samples : 0.0, seconds > 0 ? 100 * cost / seconds : 0.0,
        all->done > 1 ? "Medians of interleaved runs, \302\261 half the range" : "One run each",
        all->set.all[tm_reference_row(all)].name);
}

void tm_compare_verdict(const struct tm_comparison *all, char text[TM_NOTE_TEXT])
{
    unsigned reference = tm_reference_row(all);
    double base = tm_summary_of(all, reference, TM_FIGURE_AFTER).median;
    char held[TM_FIGURE_TEXT], own_held[TM_FIGURE_TEXT];
    text[0] = '\0';
    for (unsigned row = 0; row < all->set.count; row++) {
        double own = tm_summary_of(all, row, TM_FIGURE_AFTER).median;
        if (!all->set.all[row].tidemark || row == reference || isnan(own) || isnan(base))
            continue;
        double time = tm_ratio_of(all, row, TM_FIGURE_WALL);
        snprintf(text, TM_NOTE_TEXT,
                 "After its peak the program kept %s resident under %s and %s (%.2fx) under %s, "
                 "in %.2fx the time.",
                 tm_figure_text(TM_UNIT_BYTES, base, held), all->set.all[reference].name,
                 tm_figure_text(TM_UNIT_BYTES, own, own_held), own / base, all->set.all[row].name,
                 time);
    }
}

/* The notes of one row, by kind; false: this kind has nothing to say here. */
static bool note_of(const struct tm_comparison *all, unsigned row, unsigned kind,
                    char text[TM_NOTE_TEXT])
{
    const struct tm_allocator *allocator = &all->set.all[row];
    const struct tm_compare_run *first = tm_run_of(all, row, 0);
    switch (kind) {
    case 0:
        if (!allocator->library || first->loaded != TM_LOADED_NO)
            return false;
        snprintf(text, TM_NOTE_TEXT,
                 "%s was not loaded: the process with the most memory did not map %s (statically "
                 "linked, setuid, or its environment was cleared), so this row shows the "
                 "program's own allocator.",
                 allocator->name, allocator->library);
        return true;
    case 1:
        if (allocator->library || !first->brought[0])
            return false;
        snprintf(text, TM_NOTE_TEXT,
                 "the program links %s by itself: the row '%s' runs on that allocator.",
                 first->brought, allocator->name);
        return true;
    case 2:
        if (!allocator->own_pools)
            return false;
        snprintf(
            text, TM_NOTE_TEXT,
            "%s is the program as its user runs it; the other rows have PYTHONMALLOC=malloc, so "
            "that every object reaches the allocator.",
            allocator->name);
        return true;
    case 3:
        if (first->outlived == 0)
            return false;
        snprintf(
            text, TM_NOTE_TEXT,
            "%u process%s of %s outlived the command and %s ended; --duration SECONDS measures "
            "a program that goes on in the background.",
            first->outlived, first->outlived == 1 ? "" : "es", allocator->name,
            first->outlived == 1 ? "was" : "were");
        return true;
    case 4:
        if (first->count > 1 || first->failed)
            return false;
        snprintf(text, TM_NOTE_TEXT,
                 "%s was over after %.3f s, too soon to sample; only its peak is known.",
                 allocator->name, first->wall);
        return true;
    default:
        return false;
    }
}

enum { NOTE_KINDS = 5 };

bool tm_compare_note(const struct tm_comparison *all, unsigned index, char text[TM_NOTE_TEXT])
{
    for (unsigned row = 0; row < all->set.count && all->done > 0; row++)
        for (unsigned kind = 0; kind < NOTE_KINDS; kind++)
            if (note_of(all, row, kind, text) && index-- == 0)
                return true;
    return false;
}
