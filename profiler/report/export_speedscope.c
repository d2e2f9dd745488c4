/* export_speedscope.c: the JSON of speedscope (file-format-schema.json of jlfwong/speedscope): a
 * table of frames that several profiles share, here one for each figure that a stack has.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"
#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    enum tm_order by;
    const char *name, *unit;
} profiles[] = {
    {TM_BY_LIVE, "live", "bytes"},
    {TM_BY_HELD, "held: free bytes on pages with live blocks, charged to these", "bytes"},
    {TM_BY_SOLE, "sole: held bytes on pages of one stack only", "bytes"},
    {TM_BY_PEAK, "live at the peak", "bytes"},
    {TM_BY_ALLOCATED, "allocated since recording began", "bytes"},
    {TM_BY_TEMPORARY, "temporary blocks", "none"},
};
enum { PROFILES = sizeof profiles / sizeof profiles[0] };

static void write_text(FILE *out, const char *text)
{
    tm_print_json_string(out, text, strlen(text));
}

/* A frame is its name, file and line. */
static uint32_t number_of(struct tm_intern *frames, const struct tm_stack_frame *frame)
{
    char key[2 * TM_EXPORT_NAME + 32];
    struct tm_export_text name = tm_export_name(frame, "", '?');
    struct tm_export_text file =
        tm_export_clean(frame->symbol->file ? frame->symbol->file : "", "", '?');
    int length =
        snprintf(key, sizeof key, "%s%c%s%c%u", name.text, 0, file.text, 0, frame->symbol->line);
    return tm_intern(frames, key, (size_t)length, NULL);
}

static void write_profile(struct tm_export *export, struct tm_intern *frames, int index)
{
    FILE *out = export->out;
    uint64_t total = 0;
    const char *comma = "";
    fprintf(out, "{\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"startValue\":0,\n",
            profiles[index].name, profiles[index].unit);
    fputs("\"samples\":[", out);
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        uint64_t value = tm_whole(tm_stack_value(&stack.values, profiles[index].by));
        if (value == 0)
            continue;
        total += value;
        fprintf(out, "%s\n", comma);
        for (size_t k = 0; k < stack.count; k++)
            fprintf(out, "%c%" PRIu32, k == 0 ? '[' : ',', number_of(frames, &stack.frames[k]));
        fputc(']', out);
        comma = ",";
    }
    fputs("],\n\"weights\":[", out);
    comma = "";
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        uint64_t value = tm_whole(tm_stack_value(&stack.values, profiles[index].by));
        if (value == 0)
            continue;
        fprintf(out, "%s%" PRIu64, comma, value);
        comma = ",";
    }
    fprintf(out, "],\"endValue\":%" PRIu64 "}", total);
}

static void write_frames(FILE *out, const struct tm_intern *frames)
{
    fputs("\"shared\":{\"frames\":[", out);
    for (uint32_t i = 0; i < frames->count && !frames->failed; i++) {
        const char *name = tm_intern_bytes(frames, i);
        const char *file = name + strlen(name) + 1;
        const char *line = file + strlen(file) + 1;
        fprintf(out, "%s\n{\"name\":", i > 0 ? "," : "");
        write_text(out, name);
        if (*file) {
            fputs(",\"file\":", out);
            write_text(out, file);
        }
        if (strcmp(line, "0") != 0)
            fprintf(out, ",\"line\":%s", line);
        fputc('}', out);
    }
    fputs("]}", out);
}

bool tm_export_speedscope(struct tm_export *export)
{
    FILE *out = export->out;
    struct tm_intern frames = {.bytes = NULL};
    struct tm_export_text command = tm_export_command(export->report->snapshot);
    fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
          "\"exporter\":\"tidemark@" TIDEMARK_VERSION "\",\n\"name\":",
          out);
    write_text(out, command.text);
    fputs(",\n\"activeProfileIndex\":0,\n\"profiles\":[", out);
    for (int i = 0; i < PROFILES; i++) {
        if (i > 0)
            fputs(",\n", out);
        write_profile(export, &frames, i);
    }
    fputs("],\n", out);
    write_frames(out, &frames);
    fputs("}\n", out);
    bool made = !frames.failed;
    tm_intern_free(&frames);
    return made;
}
