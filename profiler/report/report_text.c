/* report_text.c: see report_text.h. The tables of the heap are in report_text_heap.c,
 * those of call sites in report_text_held.c and report_text_live.c. */
#include "profiler/report/report_text.h"

#include "profiler/report/report_format.h"
#include "profiler/report/timeline_plot.h"

#include "allocator/census.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    COLUMNS = 100,
    LEDGER_NAME = 28,
    LEDGER_MEANING = 56, /* column at which the meaning of a ledger row starts */
    ESCAPED_COLUMNS = 1000,
};

void tm_text_heading(FILE *out, const struct tm_text_options *options, const char *words)
{
    fprintf(out, options->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", words);
}

void tm_text_wrap(FILE *out, size_t indent, size_t at, const char *words)
{
    bool line_started = false;
    while (*words) {
        size_t length = strcspn(words, " ");
        if (line_started && at + 1 + length > COLUMNS) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
            line_started = false;
        }
        if (line_started)
            at += (size_t)fprintf(out, " ");
        at += (size_t)fprintf(out, "%.*s", (int)length, words);
        line_started = true;
        words += length;
        words += strspn(words, " ");
    }
    putc('\n', out);
}

static void print_paragraph(FILE *out, const char *words)
{
    if (*words) {
        fputs("  ", out);
        tm_text_wrap(out, 2, 2, words);
    }
}

void tm_text_escaped_paragraph(FILE *out, const char *words, size_t columns, bool utf8)
{
    char *text = NULL;
    size_t size = 0;
    FILE *escaped = open_memstream(&text, &size);
    if (!escaped)
        return;
    tm_print_escaped(escaped, words, strlen(words), columns, utf8);
    fclose(escaped);
    print_paragraph(out, text);
    free(text);
}

/* The command line, its arguments parted by spaces. */
static void print_command(FILE *out, const struct tm_snapshot_file *snapshot, size_t columns,
                          bool utf8)
{
    struct tm_text command = snapshot->command;
    if (command.length == 0)
        command = snapshot->exe;
    while (command.length > 0 && command.bytes[command.length - 1] == '\0')
        command.length--;
    size_t used = 0;
    for (size_t at = 0; at < command.length && columns - used > 4;) {
        size_t length = strnlen(command.bytes + at, command.length - at);
        if (at > 0) {
            putc(' ', out);
            used++;
        }
        used += tm_print_escaped(out, command.bytes + at, length, columns - used - 4, utf8);
        at += length + 1;
        if (at < command.length && columns - used <= 4)
            fputs(" ...", out);
    }
    putc('\n', out);
}

static void print_head(FILE *out, const struct tm_report *report,
                       const struct tm_text_options *options)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    const struct tm_snapshot_process *process = &snapshot->process;
    int used = fprintf(out, "Process %d: ", process->pid);
    print_command(out, snapshot, COLUMNS - (size_t)used, options->utf8);
    char when[40] = "at an unknown time";
    time_t seconds = (time_t)(process->realtime_ns / 1000000000);
    struct tm calendar;
    if (localtime_r(&seconds, &calendar))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &calendar);
    fprintf(out, "Snapshot %" PRIu64 ", taken %s, %s after the start; %u thread%s", process->number,
            when, tm_words_time(process->since_start_ns).text, process->threads,
            process->threads == 1 ? "" : "s");
    if (process->peak_rss_bytes)
        fprintf(out, "; peak RSS %s", tm_words_bytes(process->peak_rss_bytes).text);
    putc('\n', out);
}

static void print_verdict(FILE *out, const struct tm_report *report,
                          const struct tm_text_options *options)
{
    tm_text_heading(out, options, "Verdict");
    print_paragraph(out, report->verdict.summary);
    print_paragraph(out, report->verdict.why);
    tm_text_escaped_paragraph(out, report->verdict.who, ESCAPED_COLUMNS, options->utf8);
    print_paragraph(out, report->verdict.remedy);
    print_paragraph(out, report->verdict.python);
}

static void print_ledger_row(FILE *out, const struct tm_report *report,
                             const struct tm_ledger_row *row, bool utf8)
{
    int64_t rss = (int64_t)report->ledger.rss_bytes;
    fputs("  ", out);
    size_t used = tm_print_escaped(out, row->name, strlen(row->name), LEDGER_NAME, utf8);
    char percent[16] = "";
    if (rss > 0)
        snprintf(percent, sizeof percent, "%.1f %%", 100.0 * (double)row->bytes / (double)rss);
    int rest = fprintf(out, "%*s%15s %8s  ", (int)(LEDGER_NAME - used), "",
                       tm_words_exact(row->bytes).text, percent);
    tm_text_wrap(out, LEDGER_MEANING, 2 + used + (size_t)rest, row->meaning);
}

static void print_ledger(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    const struct tm_ledger *ledger = &report->ledger;
    tm_text_heading(out, options, "Ledger: where every resident byte is");
    for (size_t i = 0; i < ledger->count; i++) {
        const struct tm_ledger_row *row = &ledger->rows[i];
        /* Rows of nothing say nothing, except where a reader looks for them. */
        if (row->bytes != 0 || row->group == TM_LEDGER_HELD || row->group == TM_LEDGER_RESIDUAL)
            print_ledger_row(out, report, row, options->utf8);
    }
    fprintf(out, "  %*s%15s\n  %-*s%15s %8s  %s\n", LEDGER_NAME, "", "---------------", LEDGER_NAME,
            "RSS", tm_words_exact((int64_t)ledger->rss_bytes).text, "100 %", ledger->rss_source);
    if (ledger->is_split)
        fprintf(out, "  Live by place: %s in pools, %s in spans, %s in mappings of their own.\n",
                tm_words_bytes(report->heap.live_pool_bytes).text,
                tm_words_bytes(report->heap.spans[TM_CENSUS_SPAN_PAGES].resident_bytes +
                               report->heap.spans[TM_CENSUS_SPAN_ARENAS].resident_bytes)
                    .text,
                tm_words_bytes(report->heap.spans[TM_CENSUS_SPAN_MAPPING].resident_bytes).text);
    if (report->maps.swap_bytes)
        fprintf(out, "  Swapped out, in no row above: %s\n",
                tm_words_bytes(report->maps.swap_bytes).text);
}

static void print_others(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    const struct tm_maps *maps = &report->maps;
    size_t shown = maps->other_count < options->top ? maps->other_count : options->top;
    if (shown == 0)
        return;
    tm_text_heading(out, options, "Largest mappings that are not the heap's");
    uint64_t rest = 0;
    for (size_t i = 0; i < maps->other_count; i++) {
        const struct tm_other_map *other = &maps->others[i];
        if (i >= shown) {
            rest += other->rss_bytes;
            continue;
        }
        const char *path = tm_snapshot_string(report->snapshot, other->map->path);
        uint32_t may = other->map->permissions;
        fprintf(out, "  %10s  %c%c%c%c  %12" PRIx64 "  ", tm_words_bytes(other->rss_bytes).text,
                may & 1 ? 'r' : '-', may & 2 ? 'w' : '-', may & 4 ? 'x' : '-', may & 8 ? 's' : 'p',
                other->map->start);
        if (*path)
            tm_print_escaped(out, path, strlen(path), 60, options->utf8);
        else
            fputs(other->kind == TM_MAP_STACK  ? "(stack of a thread, by its shape)"
                  : other->kind == TM_MAP_DATA ? "(.bss, by its place)"
                                               : "(anonymous)",
                  out);
        putc('\n', out);
    }
    if (maps->other_count > shown)
        fprintf(out, "  %10s  in %zu more\n", tm_words_bytes(rest).text, maps->other_count - shown);
}

static void print_timeline(FILE *out, const struct tm_report *report,
                           const struct tm_text_options *options)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    tm_text_heading(out, options,
                    "Timeline: memory taken, by the allocator's own counters (not RSS)");
    if (snapshot->moment_count == 0) {
        fputs("  The snapshot has no timeline.\n", out);
        return;
    }
    tm_timeline_plot(out, snapshot->moments, snapshot->moment_count,
                     snapshot->process.since_start_ns, options->utf8);
}

static void print_exactness(FILE *out, const struct tm_report *report,
                            const struct tm_text_options *options)
{
    const struct tm_snapshot_file *snapshot = report->snapshot;
    char words[400];
    tm_text_heading(out, options, "How exact this is");
    if (snapshot->header.flags & TM_SNAPSHOT_NO_HEAP)
        print_paragraph(
            out,
            "The heap could not be walked: every figure of pools, arenas and spans is missing.");
    else if (snapshot->header.flags & TM_SNAPSHOT_IN_PROCESS)
        print_paragraph(
            out, "The heap was counted in the running process, because no frozen copy could be "
                 "made: figures "
                 "of pools, arenas and spans may be off by what other threads did meanwhile.");
    else
        print_paragraph(out, "Exact, from a frozen copy of the process: live, pinned and cached "
                             "bytes, occupancy, what "
                             "would go back. Live bytes include the rounding up to a size class. "
                             "What is an estimate says so.");
    print_paragraph(out, "Read from the kernel one after the other: RSS and the mappings. What is "
                         "a stack or .bss is told by "
                         "the shape of the mappings. The residual holds what these leave.");
    if (snapshot->process.inconsistencies) {
        snprintf(words, sizeof words,
                 "%" PRIu64
                 " operation(s) had been cut in half by the snapshot and were stepped over: so "
                 "many pools or spans may be missing or out by a block.",
                 snapshot->process.inconsistencies);
        print_paragraph(out, words);
    }
    if (report->heap.contradictions + report->maps.contradictions) {
        snprintf(words, sizeof words,
                 "%" PRIu64
                 " record(s) of the file contradict others and were left out or cut to size.",
                 report->heap.contradictions + report->maps.contradictions);
        print_paragraph(out, words);
    }
    for (size_t i = 0; report->view.symbols; i++) {
        const char *note = tm_symbols_note(report->view.symbols, i);
        if (!note)
            break;
        tm_text_escaped_paragraph(out, note, ESCAPED_COLUMNS, options->utf8);
    }
    /* A handful of pages is normal between two readings; more means that residency was assumed. */
    if (report->maps.overcount_bytes > report->ledger.rss_bytes / 100) {
        snprintf(words, sizeof words,
                 "The allocator's figures exceed the Rss of the mappings that they lie in by %s: "
                 "cached bytes are "
                 "too high by up to that, and the residual is negative for it.",
                 tm_words_bytes(report->maps.overcount_bytes).text);
        print_paragraph(out, words);
    }
}

void tm_report_text(FILE *out, const struct tm_report *report,
                    const struct tm_text_options *options)
{
    print_head(out, report, options);
    print_verdict(out, report, options);
    print_ledger(out, report, options);
    if (!(report->snapshot->header.flags & TM_SNAPSHOT_NO_HEAP)) {
        tm_report_text_held(out, report, options);
        tm_report_text_heap(out, report, options);
    }
    tm_report_text_live(out, report, options);
    print_timeline(out, report, options);
    print_others(out, report, options);
    tm_report_text_cost(out, report, options);
    print_exactness(out, report, options);
}
