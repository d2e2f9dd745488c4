/* export_pprof.c: profile.proto of pprof, which Pyroscope, Parca and speedscope read as well. Its
 * field numbers are those of google/pprof, proto/profile.proto. A location is an address with all
 * functions inlined there; addresses are of the call, as pprof wants them, not of the instruction
 * behind it. Mappings carry build ids, so that code without a name here can be given one elsewhere.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"
#include "profiler/report/export_proto.h"

#include <stdlib.h>
#include <string.h>

enum profile {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_TIME = 9,
    PROFILE_DURATION = 10,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_TYPE = 14,
};

/* In the order in which samples have their values; the first four are those that other profilers of
 * the heap write, in their order. */
static const struct {
    const char *type, *unit;
} types[] = {
    {"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"},
    {"inuse_space", "bytes"},   {"held_space", "bytes"},  {"sole_pin_space", "bytes"},
};
enum { TYPES = sizeof types / sizeof types[0] };

/* What is known of the code in a mapping. */
struct mapping {
    uint32_t id; /* 0: not used */
    bool functions, files, lines, inlined;
};

/* A location as a key. */
struct place {
    uint64_t address;
    uint64_t kind; /* enum tm_stack_frame_kind */
};

struct profile_out {
    struct tm_export *export;
    const struct tm_snapshot_file *snapshot;
    struct tm_proto top, message, inner;
    struct tm_intern strings, functions, places;
    struct mapping *mappings; /* by index in the snapshot's maps */
    uint32_t *mapping_order;  /* their indexes by id, less 1 */
    uint32_t mapping_count;
};

static uint32_t use_mapping(struct profile_out *to, size_t index)
{
    struct mapping *mapping = &to->mappings[index];
    if (mapping->id == 0) {
        to->mapping_order[to->mapping_count] = (uint32_t)index;
        mapping->id = ++to->mapping_count;
    }
    return mapping->id;
}

/* The mapping that an address lies in; NULL: none, or memory without a file. */
static struct mapping *mapping_of(struct profile_out *to, uint64_t address)
{
    const struct tm_snapshot_map *maps = to->snapshot->maps;
    size_t low = 0;
    size_t high = to->snapshot->map_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == to->snapshot->map_count || address < maps[low].start ||
        *tm_snapshot_string(to->snapshot, maps[low].path) == '\0')
        return NULL;
    use_mapping(to, low);
    return &to->mappings[low];
}

/* The program's own code is the first mapping. */
static void use_program(struct profile_out *to)
{
    enum { EXECUTABLE = 4 };
    struct tm_text exe = to->snapshot->exe;
    for (size_t i = 0; i < to->snapshot->map_count; i++) {
        const char *path = tm_snapshot_string(to->snapshot, to->snapshot->maps[i].path);
        if (to->snapshot->maps[i].permissions & EXECUTABLE && strlen(path) == exe.length &&
            memcmp(path, exe.bytes, exe.length) == 0) {
            use_mapping(to, i);
            return;
        }
    }
}

static uint32_t string_of(struct profile_out *to, const char *text)
{
    struct tm_export_text clean = tm_export_clean(text, "", '?');
    return tm_intern_text(&to->strings, clean.text);
}

static uint32_t function_of(struct profile_out *to, const struct tm_stack_frame *frame)
{
    struct tm_export_text name = tm_export_name(frame, "", '?');
    uint32_t key[2] = {tm_intern_text(&to->strings, name.text),
                       string_of(to, frame->symbol->file ? frame->symbol->file : "")};
    bool is_new;
    uint32_t number = tm_intern(&to->functions, key, sizeof key, &is_new) + 1;
    if (is_new) {
        tm_proto_number(&to->message, 1, number);
        tm_proto_number(&to->message, 2, key[0]);
        tm_proto_number(&to->message, 3, key[0]);
        tm_proto_number(&to->message, 4, key[1]);
        tm_proto_message(&to->top, PROFILE_FUNCTION, &to->message);
    }
    return number;
}

/* The frames of one address, the outermost first; where nothing is known of it, it has no line. */
static uint32_t location_of(struct profile_out *to, const struct tm_stack_frame *frames,
                            size_t count)
{
    struct place place = {frames->instruction, frames->kind};
    bool is_new;
    uint32_t number = tm_intern(&to->places, &place, sizeof place, &is_new) + 1;
    if (!is_new)
        return number;
    struct mapping *mapping = frames->kind == TM_STACK_CODE ? mapping_of(to, place.address) : NULL;
    struct tm_proto location = {.bytes = NULL};
    tm_proto_number(&location, 1, number);
    if (mapping)
        tm_proto_number(&location, 2, mapping->id);
    if (frames->kind == TM_STACK_CODE)
        tm_proto_number(&location, 3, place.address);
    for (size_t i = count; i-- > 0;) {
        const struct tm_symbol *symbol = frames[i].symbol;
        if (frames[i].kind == TM_STACK_CODE && !symbol->function)
            continue;
        uint32_t function = function_of(to, &frames[i]);
        tm_proto_number(&to->inner, 1, function);
        tm_proto_number(&to->inner, 2, symbol->line);
        tm_proto_message(&location, 4, &to->inner);
        if (mapping) {
            mapping->functions = true;
            mapping->files |= symbol->file != NULL;
            mapping->lines |= symbol->line != 0;
            mapping->inlined |= symbol->inlined;
        }
    }
    tm_proto_message(&to->top, PROFILE_LOCATION, &location);
    tm_proto_free(&location);
    return number;
}

static void write_label(struct profile_out *to, struct tm_proto *sample, const char *key,
                        uint64_t value, const char *unit)
{
    tm_proto_number(&to->inner, 1, string_of(to, key));
    tm_proto_number(&to->inner, 3, value);
    tm_proto_number(&to->inner, 4, string_of(to, unit));
    tm_proto_message(sample, 3, &to->inner);
}

/* Mean size of a stack's blocks. */
static uint64_t block_bytes(const struct tm_stack_values *values)
{
    if (values->allocated_blocks > 0)
        return tm_whole((double)values->allocated_bytes / values->allocated_blocks);
    return values->live_blocks > 0 ? tm_whole((double)values->live_bytes / values->live_blocks) : 0;
}

static void write_sample(struct profile_out *to, const struct tm_export_stack *stack,
                         uint64_t *locations)
{
    const struct tm_stack_values *values = &stack->values;
    size_t count = 0;
    for (size_t end = stack->count; end > 0;) {
        size_t start = end - 1;
        while (start > 0 && stack->frames[start - 1].node == stack->frames[start].node &&
               stack->frames[start].kind == TM_STACK_CODE)
            start--;
        locations[count++] = location_of(to, &stack->frames[start], end - start);
        end = start;
    }
    const uint64_t figures[TYPES] = {
        tm_export_blocks(values->allocated_blocks, values->allocated_bytes),
        values->allocated_bytes,
        tm_export_blocks(values->live_blocks, values->live_bytes),
        values->live_bytes,
        values->held_bytes,
        values->sole_bytes,
    };
    struct tm_proto sample = {.bytes = NULL};
    tm_proto_numbers(&sample, 1, locations, count);
    tm_proto_numbers(&sample, 2, figures, TYPES);
    if (block_bytes(values) > 0)
        write_label(to, &sample, "bytes", block_bytes(values), "bytes");
    tm_proto_message(&to->top, PROFILE_SAMPLE, &sample);
    tm_proto_free(&sample);
}

/* The build id is with the first mapping of a file. */
static const char *build_id_of(const struct tm_snapshot_file *snapshot, uint32_t index)
{
    const char *path = tm_snapshot_string(snapshot, snapshot->maps[index].path);
    for (uint32_t i = index + 1; i-- > 0;) {
        const char *id = tm_snapshot_string(snapshot, snapshot->maps[i].build_id);
        if (*id && strcmp(tm_snapshot_string(snapshot, snapshot->maps[i].path), path) == 0)
            return id;
    }
    return "";
}

static void write_mappings(struct profile_out *to)
{
    for (uint32_t i = 0; i < to->mapping_count; i++) {
        uint32_t index = to->mapping_order[i];
        const struct tm_snapshot_map *map = &to->snapshot->maps[index];
        const struct mapping *mapping = &to->mappings[index];
        tm_proto_number(&to->message, 1, mapping->id);
        tm_proto_number(&to->message, 2, map->start);
        tm_proto_number(&to->message, 3, map->end);
        tm_proto_number(&to->message, 4, map->offset);
        tm_proto_number(&to->message, 5,
                        string_of(to, tm_snapshot_string(to->snapshot, map->path)));
        tm_proto_number(&to->message, 6, string_of(to, build_id_of(to->snapshot, index)));
        tm_proto_number(&to->message, 7, mapping->functions);
        tm_proto_number(&to->message, 8, mapping->files);
        tm_proto_number(&to->message, 9, mapping->lines);
        tm_proto_number(&to->message, 10, mapping->inlined);
        tm_proto_message(&to->top, PROFILE_MAPPING, &to->message);
    }
}

static void write_type(struct profile_out *to, uint32_t field, const char *type, const char *unit)
{
    tm_proto_number(&to->message, 1, string_of(to, type));
    tm_proto_number(&to->message, 2, string_of(to, unit));
    tm_proto_message(&to->top, field, &to->message);
}

/* What holds for the whole profile. */
static void write_head(struct profile_out *to)
{
    const struct tm_snapshot_file *snapshot = to->snapshot;
    const struct tm_snapshot_recording *recording = &snapshot->recording;
    bool sampled = to->export->report->sites.sampled;
    string_of(to, ""); /* has the number 0 */
    for (int i = 0; i < TYPES; i++)
        write_type(to, PROFILE_SAMPLE_TYPE, types[i].type, types[i].unit);
    write_type(to, PROFILE_PERIOD_TYPE, "space", "bytes");
    tm_proto_number(&to->top, PROFILE_PERIOD, sampled ? recording->rate_bytes : 1);
    tm_proto_number(&to->top, PROFILE_DEFAULT_TYPE, string_of(to, "inuse_space"));
    tm_proto_number(&to->top, PROFILE_TIME, snapshot->process.realtime_ns);
    if (snapshot->process.since_start_ns > recording->since_ns)
        tm_proto_number(&to->top, PROFILE_DURATION,
                        snapshot->process.since_start_ns - recording->since_ns);
    struct tm_export_text command = tm_export_command(snapshot);
    tm_proto_number(&to->top, PROFILE_COMMENT, string_of(to, command.text));
    tm_proto_number(&to->top, PROFILE_COMMENT,
                    string_of(to, sampled ? "Tidemark: estimated from samples, unsampled here"
                                          : "Tidemark: every allocation was recorded"));
}

static void write_strings(struct profile_out *to)
{
    for (uint32_t i = 0; i < to->strings.count && !to->strings.failed; i++)
        tm_proto_text(&to->top, PROFILE_STRING, tm_intern_bytes(&to->strings, i));
}

static bool write_profile(struct profile_out *to, struct tm_gzip *gzip)
{
    uint64_t *locations = NULL;
    size_t room = 0;
    write_head(to);
    use_program(to);
    bool written = tm_gzip_write(gzip, &to->top);
    for (size_t i = 0; i < to->export->stack_count && written; i++) {
        struct tm_export_stack stack = tm_export_stack(to->export, i);
        if (stack.count > room) {
            free(locations);
            room = stack.count * 2;
            locations = calloc(room, sizeof *locations);
        }
        if (!locations)
            return false;
        write_sample(to, &stack, locations);
        written = tm_gzip_write(gzip, &to->top);
    }
    free(locations);
    write_mappings(to);
    write_strings(to);
    written = tm_gzip_write(gzip, &to->top) && written;
    return written && !to->strings.failed && !to->functions.failed && !to->places.failed;
}

bool tm_export_pprof(struct tm_export *export)
{
    const struct tm_snapshot_file *snapshot = export->report->snapshot;
    struct profile_out to = {.export = export, .snapshot = snapshot};
    struct tm_gzip *gzip = tm_gzip_open(export->out);
    to.mappings = calloc(snapshot->map_count + 1, sizeof *to.mappings);
    to.mapping_order = calloc(snapshot->map_count + 1, sizeof *to.mapping_order);
    bool written = gzip && to.mappings && to.mapping_order && write_profile(&to, gzip);
    if (gzip)
        written = tm_gzip_close(gzip) && written;
    free(to.mappings);
    free(to.mapping_order);
    tm_proto_free(&to.top);
    tm_proto_free(&to.message);
    tm_proto_free(&to.inner);
    tm_intern_free(&to.strings);
    tm_intern_free(&to.functions);
    tm_intern_free(&to.places);
    return written;
}
