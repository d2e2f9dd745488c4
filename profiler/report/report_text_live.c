/* report_text_live.c: live blocks by site, with what the site allocated in all; see report_text.h.
 */
#include "profiler/report/report_format.h"
#include "profiler/report/report_text.h"
#include "profiler/report/who.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_INDENT = 10 };

/* The end of the step of lifetimes in which half of the freed blocks had ended. */
static struct tm_words half_life(const struct tm_snapshot_recording *recording,
                                 const struct tm_site_sums *sums)
{
    struct tm_words words = {.text = "-"};
    double all = 0;
    double sum = 0;
    for (int i = 0; i < TM_LIFETIMES; i++)
        all += (double)sums->ended_blocks[i];
    for (int i = 0; i < TM_LIFETIMES && all > 0; i++) {
        sum += (double)sums->ended_blocks[i];
        if (sum * 2 < all)
            continue;
        struct tm_words end =
            tm_words_time(recording->lifetime_ns[i == TM_LIFETIMES - 1 ? i - 1 : i]);
        snprintf(words.text, sizeof words.text, "%s%.30s", i == TM_LIFETIMES - 1 ? "> " : "< ",
                 end.text);
        break;
    }
    return words;
}

static void print_row(FILE *out, const struct tm_report *report, uint32_t index, size_t number,
                      const struct tm_text_options *options)
{
    const struct tm_group *group = &report->sites.groups[index];
    const struct tm_site_sums *sums = &group->sums;
    const struct tm_estimate *live = &group->live_bytes;
    fprintf(out, "  %3zu  %-22s %11s %8s %11s %11s %8s %11s\n       ", number,
            tm_words_error(live->value, live->error, live->few).text,
            tm_words_exact((int64_t)(group->live_blocks.value + 0.5)).text,
            sums->live_requested <= sums->live_bytes
                ? tm_words_percent(sums->live_bytes - sums->live_requested, sums->live_bytes).text
                : "-",
            tm_words_bytes(sums->peak_bytes).text, tm_words_bytes(sums->allocated_bytes).text,
            tm_words_percent(sums->temporary_blocks, sums->allocated_blocks).text,
            half_life(&report->snapshot->recording, sums).text);
    tm_text_label(out, report, index, 90, options->utf8);
    putc('\n', out);
    tm_print_stack(out, report, group->node, STACK_INDENT, options->utf8);
}

static void print_sum(FILE *out, const char *words, uint64_t live, uint64_t blocks, uint64_t peak,
                      uint64_t allocated)
{
    fprintf(out, "  %3s  %-22s %11s %8s %11s %11s   %s\n", "", tm_words_bytes(live).text,
            tm_words_exact((int64_t)(blocks / TM_BLOCK_UNITS)).text, "", tm_words_bytes(peak).text,
            tm_words_bytes(allocated).text, words);
}

static void print_head(FILE *out, const struct tm_report *report)
{
    const struct tm_snapshot_recording *recording = &report->snapshot->recording;
    char words[500];
    if (report->sites.sampled) {
        snprintf(
            words, sizeof words,
            "Estimated from %s sampled blocks that are live, of %s sampled; +- is one standard "
            "error. (too few): too few samples to tell; the figure may be off by a multiple.",
            tm_words_exact((int64_t)report->sites.total.live_samples).text,
            tm_words_exact((int64_t)report->sites.total.samples).text);
        fputs("  ", out);
        tm_text_wrap(out, 2, 2, words);
    } else {
        fputs("  Exact, of what was allocated since the recording began.\n", out);
    }
    if (recording->peak_ns)
        fprintf(out, "  The recorded sites had most live, %s, %s after the start (column peak).\n",
                tm_words_bytes(recording->peak_bytes).text, tm_words_time(recording->peak_ns).text);
    fputs(
        "  Rounding: of the live bytes, not requested. Temporary: freed by the same thread before "
        "it\n  recorded another. Half freed: half of the freed blocks lived so long.\n",
        out);
    fprintf(out, "  %3s  %-22s %11s %8s %11s %11s %8s %11s\n", "", "live", "blocks", "rounding",
            "peak", "allocated", "temp.", "half freed");
}

void tm_report_text_live(FILE *out, const struct tm_report *report,
                         const struct tm_text_options *options)
{
    static const char *const headings[TM_ORDERS] = {
        [TM_BY_HELD] = "Live blocks by who allocated them",
        [TM_BY_SOLE] = "Live blocks by who allocated them",
        [TM_BY_LIVE] = "Live blocks by who allocated them",
        [TM_BY_PEAK] = "Live blocks by who allocated them, most at the peak first",
        [TM_BY_ALLOCATED] = "Live blocks by who allocated them, most allocated ever first",
        [TM_BY_TEMPORARY] = "Live blocks by who allocated them, most temporary ones first",
    };
    enum tm_order by = report->view.by < TM_BY_LIVE ? TM_BY_LIVE : report->view.by;
    uint32_t *ranked = calloc(report->sites.count, sizeof *ranked);
    if (!ranked || !report->snapshot->has_recording) {
        free(ranked);
        return;
    }
    tm_text_heading(out, options, headings[by]);
    size_t count = tm_report_rank(report, by, ranked);
    const struct tm_site_sums *total = &report->sites.total;
    if (report->sites.total.samples == 0) {
        fputs("  Nothing was recorded yet.\n", out);
        free(ranked);
        return;
    }
    print_head(out, report);
    struct tm_site_sums rest = {0};
    for (size_t i = 0; i < count; i++) {
        const struct tm_site_sums *sums = &report->sites.groups[ranked[i]].sums;
        if (i < options->top) {
            print_row(out, report, ranked[i], i + 1, options);
            continue;
        }
        rest.live_bytes += sums->live_bytes;
        rest.live_blocks += sums->live_blocks;
        rest.peak_bytes += sums->peak_bytes;
        rest.allocated_bytes += sums->allocated_bytes;
    }
    if (count > options->top) {
        char words[40];
        snprintf(words, sizeof words, "%zu more", count - options->top);
        print_sum(out, words, rest.live_bytes, rest.live_blocks, rest.peak_bytes,
                  rest.allocated_bytes);
    }
    print_sum(out, "all that is recorded", total->live_bytes, total->live_blocks, total->peak_bytes,
              total->allocated_bytes);
    free(ranked);
}
