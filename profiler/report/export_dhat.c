/* export_dhat.c: the JSON of valgrind's DHAT, version 2, which dh_view.html and Firefox's profiler
 * read. Its unit of time is set to microseconds. Two of its figures are not recorded and follow
 * from what is: the most that a stack ever had at once is the larger of what it had at the peak of
 * all and has now; lifetimes are known by steps, of which the geometric mean is taken for ended
 * blocks (a millisecond for the first step, which begins at 0), while the age of live blocks is
 * known by sixteenths of the time of recording.
 */
#include "profiler/report/export.h"
#include "profiler/report/export_intern.h"
#include "profiler/report/report_format.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const double us = 1e3; /* nanoseconds of a microsecond */

/* Time that all blocks of a group lived, in microseconds. */
static uint64_t lifetimes(const struct tm_snapshot_file *snapshot, const struct tm_site_sums *sums)
{
    const struct tm_snapshot_recording *recording = &snapshot->recording;
    double recorded = (double)snapshot->process.since_start_ns - (double)recording->since_ns;
    double sum = 0;
    double low = 1e6; /* a millisecond */
    for (int i = 0; i < TM_LIFETIMES; i++) {
        double high = fmin((double)recording->lifetime_ns[i], fmax(recorded, low));
        sum += (double)sums->ended_blocks[i] * (i == 0 ? low : sqrt(low * fmax(high, low)));
        low = fmax(high, low);
    }
    for (int i = 0; i < TM_BIRTHS; i++)
        sum += (double)sums->born_blocks[i] * fmax(recorded, 0) * (TM_BIRTHS - i - 0.5) / TM_BIRTHS;
    return tm_whole(sum / TM_BLOCK_UNITS / us);
}

static uint32_t number_of(struct tm_intern *frames, const struct tm_stack_frame *frame)
{
    return tm_intern_text(frames, tm_export_label(frame, "", '?', NULL).text);
}

static void write_point(struct tm_export *export, const struct tm_export_stack *stack,
                        struct tm_intern *frames)
{
    FILE *out = export->out;
    const struct tm_stack_values *values = &stack->values;
    uint64_t live = tm_export_blocks(values->live_blocks, values->live_bytes);
    uint64_t peak = tm_export_blocks(values->peak_blocks, values->peak_bytes);
    bool more_now = values->live_bytes > values->peak_bytes;
    const struct tm_site_sums *sums = &export->report->sites.groups[stack->group].sums;
    fprintf(out, "{\"tb\":%" PRIu64 ",\"tbk\":%" PRIu64 ",\"tl\":%" PRIu64, values->allocated_bytes,
            tm_export_blocks(values->allocated_blocks, values->allocated_bytes),
            stack->frames[0].kind == TM_STACK_OTHERS ? 0
                                                     : lifetimes(export->report->snapshot, sums));
    fprintf(out, ",\"mb\":%" PRIu64 ",\"mbk\":%" PRIu64,
            more_now ? values->live_bytes : values->peak_bytes, more_now ? live : peak);
    fprintf(out, ",\"gb\":%" PRIu64 ",\"gbk\":%" PRIu64, values->peak_bytes, peak);
    fprintf(out, ",\"eb\":%" PRIu64 ",\"ebk\":%" PRIu64 ",\"fs\":[", values->live_bytes, live);
    for (size_t i = 0; i < stack->count; i++) /* 0 is the root */
        fprintf(out, "%s%" PRIu32, i > 0 ? "," : "", number_of(frames, &stack->frames[i]));
    fputs("]}", out);
}

bool tm_export_dhat(struct tm_export *export)
{
    FILE *out = export->out;
    const struct tm_snapshot_file *snapshot = export->report->snapshot;
    struct tm_intern frames = {.bytes = NULL};
    struct tm_export_text command = tm_export_command(snapshot);
    const char *comma = "";
    fputs("{\"dhatFileVersion\":2,\"mode\":\"tidemark\",\"verb\":\"Allocated\",\n"
          "\"bklt\":true,\"bkacc\":false,\"tu\":\"µs\",\"Mtu\":\"s\",\n",
          out);
    fprintf(out, "\"tuth\":%" PRIu64 ",\"cmd\":",
            tm_whole((double)snapshot->recording.lifetime_ns[0] / us));
    tm_print_json_string(out, command.text, strlen(command.text));
    fprintf(out, ",\"pid\":%d,\"te\":%" PRIu64 ",\"tg\":%" PRIu64 ",\n\"pps\":[",
            snapshot->process.pid, tm_whole((double)snapshot->process.since_start_ns / us),
            tm_whole((double)export->report->sites.peak_ns / us));
    tm_intern_text(&frames, "[root]");
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        const struct tm_stack_values *values = &stack.values;
        if (values->allocated_bytes == 0 && values->live_bytes == 0 && values->peak_bytes == 0)
            continue;
        fprintf(out, "%s\n", comma);
        write_point(export, &stack, &frames);
        comma = ",";
    }
    fputs("],\n\"ftbl\":[", out);
    for (uint32_t i = 0; i < frames.count && !frames.failed; i++) {
        const char *name = tm_intern_bytes(&frames, i);
        fputs(i > 0 ? ",\n" : "", out);
        tm_print_json_string(out, name, strlen(name));
    }
    fputs("]}\n", out);
    bool made = !frames.failed;
    tm_intern_free(&frames);
    return made;
}
