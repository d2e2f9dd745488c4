/* diff_words.c: see diff_words.h. */
#include "profiler/report/diff_words.h"

#include "profiler/report/report_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 100 };

static struct tm_words with_sign(int64_t number, struct tm_words size)
{
    struct tm_words words;
    snprintf(words.text, sizeof words.text, "%s%.38s", number > 0 ? "+" : "", size.text);
    return words;
}

struct tm_words tm_words_change(int64_t bytes)
{
    return with_sign(bytes, tm_words_signed(bytes));
}

struct tm_words tm_words_exact_change(int64_t number)
{
    return with_sign(number, tm_words_exact(number));
}

struct tm_words tm_words_estimate(const struct tm_estimate *estimate)
{
    return tm_words_error(estimate->value, estimate->error, estimate->few);
}

struct tm_words tm_words_about(double bytes, double error)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = fabs(bytes);
    double most = fmax(size, error);
    size_t unit = 0;
    struct tm_words words;
    if (!(error > 0))
        return tm_words_bytes(tm_whole(size));
    for (; most >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]; unit++) {
        most /= 1024;
        size /= 1024;
        error /= 1024;
    }
    snprintf(words.text, sizeof words.text, "%.1f %s +- %.1f", size, units[unit], error);
    return words;
}

struct tm_words tm_words_growth(double bytes, double error)
{
    struct tm_words size = tm_words_about(bytes, error);
    struct tm_words words;
    snprintf(words.text, sizeof words.text, "%s%.38s",
             bytes > 0   ? "+"
             : bytes < 0 ? "-"
                         : "",
             size.text);
    return words;
}

struct tm_words tm_words_range(struct tm_range range)
{
    struct tm_words words;
    if (range.high - range.low <= 0.015)
        snprintf(words.text, sizeof words.text, "%.0f %%", 50 * (range.low + range.high));
    else
        snprintf(words.text, sizeof words.text, "%.0f to %.0f %%", 100 * range.low,
                 100 * range.high);
    return words;
}

struct tm_words tm_words_figure(const struct tm_diff_figure *figure)
{
    struct tm_words size = tm_words_growth(figure->change, figure->error);
    struct tm_words words;
    snprintf(words.text, sizeof words.text, "%.37s%s", size.text,
             figure->what == TM_DIFF_UNSURE ? " ?" : "");
    return words;
}

void tm_diff_paragraph(FILE *out, const char *words, bool utf8)
{
    enum { ESCAPED_COLUMNS = 4000 };
    tm_text_escaped_paragraph(out, words, ESCAPED_COLUMNS, utf8);
}

void tm_diff_origin(FILE *out, const char *path, const struct tm_snapshot_file *snapshot, bool utf8)
{
    const struct tm_snapshot_process *process = &snapshot->process;
    char when[40] = "at an unknown time";
    time_t seconds = (time_t)(process->realtime_ns / 1000000000);
    struct tm calendar;
    if (localtime_r(&seconds, &calendar))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &calendar);
    tm_print_escaped(out, path, strlen(path), COLUMNS - 10, utf8);
    int used =
        fprintf(out, "\n          snapshot %" PRIu64 " of process %d, %s, %s after the start, ",
                process->number, process->pid, when, tm_words_time(process->since_start_ns).text);
    const char *name = memrchr(snapshot->exe.bytes, '/', snapshot->exe.length);
    name = name ? name + 1 : snapshot->exe.bytes;
    tm_print_escaped(out, name, (size_t)(snapshot->exe.bytes + snapshot->exe.length - name),
                     used < COLUMNS ? COLUMNS - (size_t)used : 0, utf8);
    putc('\n', out);
}
