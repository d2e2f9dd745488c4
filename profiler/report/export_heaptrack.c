/* export_heaptrack.c: the data file of heaptrack, version 3, which heaptrack_print and
 * heaptrack_gui read. It is a list of events, one for each allocation and each end of one, of which
 * the reader makes its figures. So a course of events is told that leads to what was recorded,
 * stack by stack:
 *   1. blocks that were neither live at the peak nor are now come and go one after the other; those
 *      that heaptrack calls temporary go before the next comes,
 *   2. the blocks of the peak come,
 *   3. those of them that are not live any more go, and what was allocated since then comes.
 * Bytes at the peak and now, and temporary blocks, are then as recorded. Blocks have their mean
 * size. Events are bounded: where more blocks were allocated, one stands for several, and
 * the command line that readers show says for how many.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCKS = 1000 * 1000, PAGE = 4096 };

/* So many blocks of so many bytes in all. They are of two sizes, the second one byte larger. */
struct lot {
    uint64_t blocks, bytes;
    uint64_t first_info; /* number of the allocation info of the first size; the other follows */
};

struct course {
    struct lot kept;      /* of the peak, and live now */
    struct lot gone;      /* of the peak, and not live now */
    struct lot since;     /* live now, and not of the peak */
    struct lot temporary; /* neither */
    struct lot passing;   /* neither, and not temporary */
};

struct writer {
    struct tm_export *export;
    struct tm_intern strings, places, traces;
    struct course *courses;
    uint64_t infos;
    uint64_t one_in; /* blocks that one event stands for */
    uint64_t pending;
    bool is_pending; /* the passing block `pending` has still to go */
};

/* heaptrack's strings count from 1; 0 is none. */
static uint32_t string_of(struct writer *to, const char *text)
{
    if (!text || *text == '\0')
        return 0;
    struct tm_export_text clean = tm_export_clean(text, "", '?');
    bool is_new;
    uint32_t number = tm_intern(&to->strings, clean.text, strlen(clean.text), &is_new) + 1;
    if (is_new)
        fprintf(to->export->out, "s %zx %s\n", strlen(clean.text), clean.text);
    return number;
}

/* The frames of one address, the outermost first. */
static uint32_t place_of(struct writer *to, const struct tm_stack_frame *frames, size_t count)
{
    uint64_t key[2] = {frames->instruction, frames->kind};
    bool is_new;
    uint32_t number = tm_intern(&to->places, key, sizeof key, &is_new) + 1;
    if (!is_new)
        return number;
    uint32_t module = string_of(to, frames->symbol->module);
    for (size_t i = count; i-- > 0;) { /* strings come before the line that names them */
        string_of(to, tm_export_name(&frames[i], "", '?').text);
        string_of(to, frames[i].symbol->file);
    }
    fprintf(to->export->out, "i %" PRIx64 " %" PRIx32, frames->instruction, module);
    for (size_t i = count; i-- > 0;) { /* the innermost first */
        if (frames[i].kind == TM_STACK_CODE && !frames[i].symbol->function)
            continue;
        uint32_t name = string_of(to, tm_export_name(&frames[i], "", '?').text);
        uint32_t file = string_of(to, frames[i].symbol->file);
        fprintf(to->export->out, " %" PRIx32 " %" PRIx32 " %" PRIx32, name, file,
                frames[i].symbol->line);
    }
    fputc('\n', to->export->out);
    return number;
}

/* The trace of a whole stack. */
static uint32_t trace_of(struct writer *to, const struct tm_export_stack *stack)
{
    uint32_t trace = 0;
    for (size_t start = 0; start < stack->count;) {
        size_t end = start + 1;
        while (end < stack->count && stack->frames[start].kind == TM_STACK_CODE &&
               stack->frames[end].node == stack->frames[start].node)
            end++;
        uint32_t key[2] = {place_of(to, &stack->frames[start], end - start), trace};
        bool is_new;
        trace = tm_intern(&to->traces, key, sizeof key, &is_new) + 1;
        if (is_new)
            fprintf(to->export->out, "t %" PRIx32 " %" PRIx32 "\n", key[0], key[1]);
        start = end;
    }
    return trace;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* A lot has a block if it has a byte. */
static struct lot lot_of(uint64_t blocks, uint64_t bytes)
{
    return (struct lot){bytes > 0 && blocks == 0 ? 1 : blocks, bytes, 0};
}

static struct course course_of(const struct writer *to, const struct tm_stack_values *values)
{
    uint64_t live = tm_export_blocks(values->live_blocks / (double)to->one_in, values->live_bytes);
    uint64_t peak = tm_export_blocks(values->peak_blocks / (double)to->one_in, values->peak_bytes);
    uint64_t all = tm_whole(values->allocated_blocks / (double)to->one_in);
    struct course course;
    course.kept = lot_of(less(live, peak), less(values->live_bytes, values->peak_bytes));
    course.gone =
        lot_of(above(peak, course.kept.blocks), above(values->peak_bytes, values->live_bytes));
    course.since =
        lot_of(above(live, course.kept.blocks), above(values->live_bytes, values->peak_bytes));
    uint64_t rest = above(all, course.kept.blocks + course.gone.blocks + course.since.blocks);
    uint64_t bytes =
        above(values->allocated_bytes, course.kept.bytes + course.gone.bytes + course.since.bytes);
    uint64_t temporary = less(tm_whole(values->temporary_blocks / (double)to->one_in), rest);
    uint64_t size = rest > 0 ? bytes / rest / to->one_in : 0; /* of one block as it was */
    course.temporary = (struct lot){temporary, temporary * size, 0};
    course.passing = (struct lot){rest - temporary, (rest - temporary) * size, 0};
    return course;
}

static void define(struct writer *to, struct lot *lot, uint32_t trace)
{
    if (lot->blocks == 0)
        return;
    uint64_t size = lot->bytes / lot->blocks;
    lot->first_info = to->infos;
    for (int i = 0; i < 2; i++)
        fprintf(to->export->out, "a %" PRIx64 " %" PRIx32 "\n", size + (uint64_t)i, trace);
    to->infos += 2;
}

static void event(struct writer *to, char sign, uint64_t info)
{
    fprintf(to->export->out, "%c %" PRIx64 "\n", sign, info);
}

static void all_of(struct writer *to, char sign, const struct lot *lot)
{
    uint64_t larger = lot->blocks ? lot->bytes % lot->blocks : 0;
    for (uint64_t i = 0; i < lot->blocks; i++) {
        event(to, sign, lot->first_info + (i < larger));
        if (to->is_pending)
            event(to, '-', to->pending);
        to->is_pending = false;
    }
}

/* Blocks that come and go. What goes right after it came is temporary, so the others wait for the
 * next, and two that follow each other are of two infos, though of one size. */
static void pass(struct writer *to, const struct course *course)
{
    for (uint64_t i = 0; i < course->temporary.blocks; i++) {
        event(to, '+', course->temporary.first_info);
        event(to, '-', course->temporary.first_info);
    }
    for (uint64_t i = 0; i < course->passing.blocks; i++) {
        uint64_t info = course->passing.first_info + i % 2;
        event(to, '+', info);
        if (to->is_pending)
            event(to, '-', to->pending);
        to->pending = info;
        to->is_pending = true;
    }
}

static void write_stacks(struct writer *to)
{
    for (size_t i = 0; i < to->export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(to->export, i);
        struct course *course = &to->courses[i];
        *course = course_of(to, &stack.values);
        uint32_t trace = trace_of(to, &stack);
        if (i == 0) {
            /* The reader takes 0 for "nothing came before", so no block is of the info 0. */
            fprintf(to->export->out, "a 0 %" PRIx32 "\n", trace);
            to->infos = 1;
        }
        define(to, &course->kept, trace);
        define(to, &course->gone, trace);
        define(to, &course->since, trace);
        define(to, &course->temporary, trace);
        if (course->passing.blocks > 0) {
            uint64_t size = course->passing.bytes / course->passing.blocks;
            course->passing.first_info = to->infos;
            fprintf(to->export->out, "a %" PRIx64 " %" PRIx32 "\na %" PRIx64 " %" PRIx32 "\n", size,
                    trace, size, trace);
            to->infos += 2;
        }
    }
}

static void write_events(struct writer *to)
{
    const struct tm_snapshot_file *snapshot = to->export->report->snapshot;
    uint64_t peak = to->export->report->sites.peak_ns / 1000000;
    uint64_t end = snapshot->process.since_start_ns / 1000000;
    FILE *out = to->export->out;
    fputs("c 0\n", out);
    for (size_t i = 0; i < to->export->stack_count; i++)
        pass(to, &to->courses[i]);
    fprintf(out, "c %" PRIx64 "\nR %" PRIx64 "\n", less(peak, end),
            snapshot->process.peak_rss_bytes / PAGE);
    for (size_t i = 0; i < to->export->stack_count; i++) {
        all_of(to, '+', &to->courses[i].kept);
        all_of(to, '+', &to->courses[i].gone);
    }
    if (to->is_pending)
        event(to, '-', to->pending);
    fprintf(out, "c %" PRIx64 "\n", end);
    for (size_t i = 0; i < to->export->stack_count; i++)
        all_of(to, '-', &to->courses[i].gone);
    for (size_t i = 0; i < to->export->stack_count; i++)
        all_of(to, '+', &to->courses[i].since);
    fprintf(out, "R %" PRIx64 "\n", to->export->report->ledger.rss_bytes / PAGE);
}

/* Blocks that all events would be about. */
static double blocks_of(struct tm_export *export)
{
    double blocks = 0;
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_stack_values values = tm_export_stack(export, i).values;
        blocks += values.allocated_blocks + values.live_blocks + values.peak_blocks;
    }
    return blocks;
}

bool tm_export_heaptrack(struct tm_export *export)
{
    FILE *out = export->out;
    struct writer to = {.export = export};
    struct tm_export_text command = tm_export_command(export->report->snapshot);
    to.courses = calloc(export->stack_count + 1, sizeof *to.courses);
    if (!to.courses)
        return false;
    to.one_in = 1 + tm_whole(blocks_of(export)) / MOST_BLOCKS;
    fprintf(out, "v 10400 3\nX %s", command.text);
    if (to.one_in > 1)
        fprintf(out, " (tidemark: one call stands for %" PRIu64 " of a stack's)", to.one_in);
    fprintf(out, "\nI %x 0\n", PAGE);
    write_stacks(&to);
    write_events(&to);
    bool made = !to.strings.failed && !to.places.failed && !to.traces.failed;
    free(to.courses);
    tm_intern_free(&to.strings);
    tm_intern_free(&to.places);
    tm_intern_free(&to.traces);
    return made;
}
