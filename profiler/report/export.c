/* export.c: see export.h. */
#include "profiler/report/export.h"

#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The figures by which a stack may be large. */
static const enum tm_order orders[] = {TM_BY_HELD, TM_BY_SOLE,      TM_BY_LIVE,
                                       TM_BY_PEAK, TM_BY_ALLOCATED, TM_BY_TEMPORARY};
enum { FIGURES = sizeof orders / sizeof orders[0] };

struct candidate {
    uint32_t group;
    double part; /* the largest of its parts of the totals */
};

static int by_part_down(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    if (a->part != b->part)
        return a->part < b->part ? 1 : -1;
    return (a->group > b->group) - (a->group < b->group);
}

/* Groups that have any figure, the largest first. Returns how many. */
static size_t rank(const struct tm_report *report, struct candidate *candidates)
{
    double totals[FIGURES] = {0};
    size_t count = 0;
    for (uint32_t i = 0; i < report->sites.count; i++) {
        struct tm_stack_values values = tm_stack_values(report, i);
        for (int k = 0; k < FIGURES; k++)
            totals[k] += tm_stack_value(&values, orders[k]);
    }
    for (uint32_t i = 0; i < report->sites.count; i++) {
        struct tm_stack_values values = tm_stack_values(report, i);
        double part = 0;
        for (int k = 0; k < FIGURES; k++)
            if (totals[k] > 0)
                part = fmax(part, tm_stack_value(&values, orders[k]) / totals[k]);
        if (part > 0)
            candidates[count++] = (struct candidate){i, part};
    }
    qsort(candidates, count, sizeof *candidates, by_part_down);
    return count;
}

static void add(struct tm_stack_values *to, const struct tm_stack_values *from)
{
    to->live_bytes += from->live_bytes;
    to->held_bytes += from->held_bytes;
    to->sole_bytes += from->sole_bytes;
    to->sole_resident_bytes += from->sole_resident_bytes;
    to->peak_bytes += from->peak_bytes;
    to->allocated_bytes += from->allocated_bytes;
    to->live_blocks += from->live_blocks;
    to->peak_blocks += from->peak_blocks;
    to->allocated_blocks += from->allocated_blocks;
    to->temporary_blocks += from->temporary_blocks;
}

/* Collects the frames of a group; false when memory runs out. */
static bool collect(struct tm_export *export, uint32_t group, size_t *count)
{
    struct tm_stack_walk walk;
    struct tm_stack_frame frame;
    *count = 0;
    tm_stack_walk_start(&walk, export->report, group);
    while (tm_stack_walk_next(&walk, &frame)) {
        if (*count == export->frame_room) {
            size_t room = export->frame_room ? export->frame_room * 2 : 256;
            struct tm_stack_frame *frames = realloc(export->frames, room * sizeof *frames);
            if (!frames)
                return false;
            export->frames = frames;
            export->frame_room = room;
        }
        export->frames[(*count)++] = frame;
    }
    return true;
}

/* Takes candidates as long as there is room for them; what has none is summed up. */
static bool choose(struct tm_export *export, const struct candidate *candidates, size_t count)
{
    size_t frames = 0;
    size_t at = 0;
    for (; at < count && at < TM_EXPORT_STACKS; at++) {
        size_t deep;
        if (!collect(export, candidates[at].group, &deep))
            return false;
        frames += deep;
        if (frames > TM_EXPORT_FRAMES)
            break;
        export->groups[at] = candidates[at].group;
    }
    export->group_count = at;
    export->left_out = count - at;
    export->stack_count = at + (at < count);
    for (; at < count; at++) {
        struct tm_stack_values values = tm_stack_values(export->report, candidates[at].group);
        add(&export->other, &values);
    }
    return true;
}

bool tm_export_open(struct tm_export *export)
{
    size_t groups = export->report->sites.count;
    struct candidate *candidates = calloc(groups, sizeof *candidates);
    export->frames = calloc(256, sizeof *export->frames);
    export->frame_room = 256;
    export->groups = calloc(groups, sizeof *export->groups);
    export->other = (struct tm_stack_values){.live_bytes = 0};
    bool made = candidates && export->frames && export->groups &&
                choose(export, candidates, rank(export->report, candidates));
    free(candidates);
    if (!made)
        tm_export_close(export);
    return made;
}

void tm_export_close(struct tm_export *export)
{
    free(export->groups);
    free(export->frames);
    export->groups = NULL;
    export->frames = NULL;
}

struct tm_export_stack tm_export_stack(struct tm_export *export, size_t index)
{
    static const struct tm_symbol nobody = {.module = ""};
    struct tm_export_stack stack = {.frames = export->frames};
    if (index < export->group_count) {
        stack.group = export->groups[index];
        stack.values = tm_stack_values(export->report, stack.group);
        /* There is room: every chosen stack was collected before. */
        collect(export, stack.group, &stack.count);
        return stack;
    }
    stack.group = TM_GROUP_UNKNOWN;
    stack.values = export->other;
    stack.count = 1;
    export->frames[0] = (struct tm_stack_frame){.kind = TM_STACK_OTHERS, .symbol = &nobody};
    return stack;
}

struct tm_export_text tm_export_clean(const char *text, const char *separators, char instead)
{
    struct tm_export_text clean;
    size_t used = 0;
    enum { DOTS = 3 };
    while (*text) {
        size_t length = tm_plain_character(text, strnlen(text, 4));
        size_t bytes = length ? length : 1;
        if (used + bytes > TM_EXPORT_NAME - DOTS) {
            memcpy(clean.text + used, "...", DOTS);
            used += DOTS;
            break;
        }
        if (length == 0)
            clean.text[used] = '?';
        else if (length == 1 && strchr(separators, *text))
            clean.text[used] = instead;
        else
            memcpy(clean.text + used, text, length);
        used += bytes;
        text += bytes;
    }
    clean.text[used] = '\0';
    return clean;
}

struct tm_export_text tm_export_name(const struct tm_stack_frame *frame, const char *separators,
                                     char instead)
{
    char buffer[256];
    return tm_export_clean(tm_stack_frame_name(frame, buffer, sizeof buffer), separators, instead);
}

struct tm_export_label tm_export_label(const struct tm_stack_frame *frame, const char *separators,
                                       char instead, const char *nowhere)
{
    struct tm_export_label label;
    const struct tm_symbol *symbol = frame->symbol;
    struct tm_export_text name = tm_export_name(frame, separators, instead);
    const char *place = symbol->file ? symbol->file : symbol->module ? symbol->module : "";
    struct tm_export_text file = tm_export_clean(place, separators, instead);
    const char *where = *place ? file.text : nowhere;
    if (frame->kind != TM_STACK_CODE)
        snprintf(label.text, sizeof label.text, "%s", name.text);
    else if (symbol->file && symbol->line)
        snprintf(label.text, sizeof label.text, "0x%" PRIX64 ": %s (%s:%" PRIu32 ")",
                 frame->instruction, name.text, file.text, symbol->line);
    else if (where)
        snprintf(label.text, sizeof label.text, "0x%" PRIX64 ": %s (in %s)", frame->instruction,
                 name.text, where);
    else
        snprintf(label.text, sizeof label.text, "0x%" PRIX64 ": %s", frame->instruction, name.text);
    return label;
}

struct tm_export_text tm_export_command(const struct tm_snapshot_file *snapshot)
{
    char line[TM_EXPORT_NAME + 8];
    size_t length = snapshot->command.length;
    while (length > 0 && snapshot->command.bytes[length - 1] == '\0')
        length--;
    if (length >= sizeof line)
        length = sizeof line - 1;
    for (size_t i = 0; i < length; i++)
        line[i] = snapshot->command.bytes[i] ? snapshot->command.bytes[i] : ' ';
    line[length] = '\0';
    return tm_export_clean(line, "", '?');
}

uint64_t tm_export_blocks(double blocks, uint64_t bytes)
{
    uint64_t whole = tm_whole(blocks);
    return whole == 0 && bytes > 0 ? 1 : whole;
}
