/* report_text_cost.c: what Tidemark itself costs, the recording of call sites above all, and where
 * that met its limits; see report_text.h. */
#include "profiler/report/report_format.h"
#include "profiler/report/report_text.h"

#include <inttypes.h>

static void print_counter(FILE *out, const struct tm_report *report, const char *name,
                          const char *words)
{
    uint64_t value;
    if (tm_snapshot_counter_value(report->snapshot, name, &value))
        fprintf(out, "  %-40s %s\n", words, tm_words_bytes(value).text);
}

static void print_mode(FILE *out, const struct tm_report *report)
{
    const struct tm_snapshot_recording *recording = &report->snapshot->recording;
    uint64_t end =
        recording->until_ns ? recording->until_ns : report->snapshot->process.since_start_ns;
    uint64_t length = end > recording->since_ns ? end - recording->since_ns : 0;
    static const char *const modes[] = {"off", "sample", "all"};
    fprintf(out, "  %-40s %s; %s for %s\n", "call sites", modes[recording->sites],
            recording->until_ns ? "were recorded" : "recorded", tm_words_time(length).text);
    if (recording->sites == TM_SITES_SAMPLE)
        fprintf(out, "  %-40s one for each %s allocated\n", "samples",
                tm_words_bytes(recording->rate_bytes).text);
    if ((recording->ever & 1U << TM_SITES_SAMPLE) && (recording->ever & 1U << TM_SITES_ALL))
        fprintf(out, "  %-40s %s\n", "", "both modes were on: estimates lean to the later one");
    fprintf(out, "  %-40s %s resident\n", "tables of sites (part of the metadata)",
            tm_words_bytes(recording->memory_bytes).text);
}

/* A line for each thing that the recording left out. */
static void print_limits(FILE *out, const struct tm_snapshot_recording *recording)
{
    if (recording->truncated)
        fprintf(out, "  %-40s %s, which have more than %u frames\n", "stacks cut off",
                tm_words_exact((int64_t)recording->truncated).text, recording->depth_limit);
    if (recording->shortened)
        fprintf(out, "  %-40s %s, as the table of frames was full\n", "stacks with the caller only",
                tm_words_exact((int64_t)recording->shortened).text);
    if (recording->missed)
        fprintf(out, "  %-40s %s\n", "allocations missed by the recording",
                tm_words_exact((int64_t)recording->missed).text);
}

static void print_recording(FILE *out, const struct tm_report *report)
{
    const struct tm_snapshot_recording *recording = &report->snapshot->recording;
    print_mode(out, report);
    fprintf(out, "  %-40s %u of at most %u; frames %u of at most %u%s\n", "sites in the table",
            recording->site_count, recording->site_limit, recording->frame_count,
            recording->frame_limit,
            (recording->site_limit && recording->site_count >= recording->site_limit) ||
                    (recording->frame_limit && recording->frame_count >= recording->frame_limit)
                ? " (full)"
                : "");
    if (recording->identity_one_in > 1)
        fprintf(out,
                "  %-40s in one pool of %u; of those with pinned bytes %" PRIu64 " of %" PRIu64
                "\n",
                "pages chosen to know all their sites", recording->identity_one_in,
                report->held.chosen_pages, report->held.all_pages);
    print_limits(out, recording);
}

void tm_report_text_cost(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    const struct tm_snapshot_process *process = &report->snapshot->process;
    tm_text_heading(out, options, "Cost of Tidemark itself");
    fprintf(out, "  %-40s %s resident\n", "metadata (as in the ledger)",
            tm_words_bytes((uint64_t)report->ledger.group_bytes[TM_LEDGER_METADATA]).text);
    fprintf(out, "  %-40s %s resident\n", "code and data of libtidemark.so",
            tm_words_bytes(report->maps.library_bytes).text);
    print_counter(out, report, "recorder_timeline_bytes", "timeline, address space");
    fprintf(out, "  %-40s %s\n", "pause of the program for this snapshot",
            tm_words_time(process->pause_ns).text);
    fprintf(out, "  %-40s %s\n", "walk of the heap, beside the program",
            tm_words_time(process->walk_ns).text);
    fprintf(out, "  %-40s %s\n", "size of the file",
            tm_words_bytes(report->snapshot->file_bytes).text);
    if (report->snapshot->has_recording)
        print_recording(out, report);
}
