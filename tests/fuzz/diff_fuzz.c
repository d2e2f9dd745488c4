/* diff_fuzz.c: fuzz target: the input is two or more snapshots, one behind the other: each starts
 * at the magic number of the format. They are compared, by force if they are of different programs,
 * and three are searched for leaks; text, JSON and page are written. A single one is compared with
 * itself, and then nothing has changed. Names come from a table (fake_symbols.c).
 */
#include "profiler/report/diff_html.h"
#include "profiler/report/diff_print.h"
#include "profiler/report/html_page.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/output.h"

#include <math.h>
#include <string.h>

enum { MOST = 4 };

struct side {
    struct tm_snapshot_file file;
    struct tm_symbols *symbols;
    struct tm_report report;
};

static const char *const paths[MOST] = {"A", "B", "C", "D"};

/* Reads what starts at *input; false if that is no snapshot. */
static bool read_one(struct fuzz_input *input, struct side *side)
{
    static const char magic[] = TM_SNAPSHOT_MAGIC;
    size_t left = (size_t)(input->end - input->at);
    if (left < sizeof magic)
        return false;
    const uint8_t *stop = memmem(input->at + 1, left - 1, magic, sizeof magic - 1);
    size_t size = stop ? (size_t)(stop - input->at) : left;
    struct tm_snapshot_error error;
    bool good =
        tm_snapshot_parse("F", input->at, size, TM_SNAPSHOT_READ_ANY_CRC, &side->file, &error);
    input->at += size;
    return good;
}

static void check_figure(const struct tm_diff_figure *figure)
{
    fuzz_promise(isfinite(figure->change) && isfinite(figure->error) && figure->error >= 0,
                 "a change is a number");
    fuzz_promise(figure->what < TM_DIFF_WHATS, "a change is of a known kind");
}

static void check(const struct tm_diff *diff, bool same)
{
    int64_t before = 0;
    int64_t after = 0;
    for (size_t i = 0; i < diff->row_count; i++) {
        before += diff->rows[i].before;
        after += diff->rows[i].after;
    }
    fuzz_promise(after - before == diff->rss, "the rows' changes sum to RSS's");
    for (size_t i = 0; i < diff->site_count; i++)
        for (int k = 0; k < TM_DIFF_FIGURES; k++) {
            check_figure(&diff->sites[i].figures[k]);
            fuzz_promise(!same || diff->sites[i].figures[k].change == 0,
                         "a snapshot has not changed from itself");
        }
    fuzz_promise(!same || diff->rss == 0, "a snapshot has not grown from itself");
}

static void write_page(const struct tm_diff *diff, struct side *sides, size_t second)
{
    struct tm_report by_stack[2];
    for (int i = 0; i < 2; i++) {
        struct side *side = &sides[i == 0 ? 0 : second];
        const struct tm_view view = {.grouping = TM_GROUP_STACK, .symbols = side->symbols};
        fuzz_promise(tm_report_make(&side->file, &view, &by_stack[i]), "there is memory");
    }
    const struct tm_report *const pair[2] = {&by_stack[0], &by_stack[1]};
    struct fuzz_output output;
    fuzz_promise(tm_diff_html(fuzz_output_open(&output), diff, paths, pair),
                 "there is memory for a page");
    fuzz_output_is_page(&output, tm_html_diff_page.before, tm_html_diff_page.after);
    tm_report_free(&by_stack[0]);
    tm_report_free(&by_stack[1]);
}

static void compare(struct side *sides, size_t count, const struct tm_view *view)
{
    size_t second = count > 1 ? 1 : 0;
    const struct tm_snapshot_file *const files[2] = {&sides[0].file, &sides[second].file};
    const struct tm_report *const pair[2] = {&sides[0].report, &sides[second].report};
    struct tm_text_options text = {.top = 5, .utf8 = true};
    struct tm_diff_check good;
    struct tm_diff diff;
    struct fuzz_output output;
    tm_diff_check(files, paths, 2, view, true, &good);
    if (good.refusal[0] != '\0')
        return;
    fuzz_promise(tm_diff_make(pair, &good, &diff), "there is memory");
    check(&diff, second == 0);
    tm_diff_text(fuzz_output_open(&output), &diff, paths, &text);
    fuzz_output_is_text(&output, false);
    tm_diff_json(fuzz_output_open(&output), &diff, paths);
    fuzz_output_is_json(&output);
    write_page(&diff, sides, second);
    tm_diff_free(&diff);
}

static void search_leaks(struct side *sides, size_t count, const struct tm_view *view)
{
    const struct tm_snapshot_file *files[MOST];
    const struct tm_report *reports[MOST];
    struct tm_text_options text = {.top = 5, .utf8 = false};
    struct tm_diff_check good;
    struct tm_leaks leaks;
    struct fuzz_output output;
    for (size_t i = 0; i < count; i++) {
        files[i] = &sides[i].file;
        reports[i] = &sides[i].report;
        /* The command sorts by time, and takes none twice. */
        if (i > 0 && files[i]->process.since_start_ns <= files[i - 1]->process.since_start_ns)
            return;
    }
    tm_diff_check(files, paths, count, view, true, &good);
    if (good.refusal[0] != '\0' || !good.sites || !good.one_process)
        return;
    fuzz_promise(tm_leak_make(reports, count, &good, &leaks), "there is memory");
    for (size_t i = 0; i < leaks.count; i++)
        fuzz_promise(isfinite(leaks.list[i].per_hour) && isfinite(leaks.list[i].spread) &&
                         leaks.list[i].kind < TM_LEAK_KINDS,
                     "growth is a number");
    tm_leak_text(fuzz_output_open(&output), &leaks, paths, &text);
    fuzz_output_is_text(&output, true);
    tm_leak_json(fuzz_output_open(&output), &leaks, paths);
    fuzz_output_is_json(&output);
    tm_leak_free(&leaks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct side sides[MOST];
    struct fuzz_input input = {data, data + size};
    struct tm_view view = {.grouping = (enum tm_grouping)(size % TM_GROUPINGS), .depth = size % 3};
    size_t count = 0;
    while (count < MOST && read_one(&input, &sides[count])) {
        struct side *side = &sides[count++];
        struct tm_symbols_options options = {.root = NULL};
        side->symbols = tm_symbols_open(&side->file, &options);
        view.symbols = side->symbols;
        fuzz_promise(tm_report_make(&side->file, &view, &side->report), "there is memory");
    }
    if (count > 0) {
        fuzz_reached();
        compare(sides, count, &view);
    }
    if (count >= TM_LEAK_LEAST)
        search_leaks(sides, count, &view);
    for (size_t i = 0; i < count; i++) {
        tm_report_free(&sides[i].report);
        tm_symbols_close(sides[i].symbols);
        tm_snapshot_free(&sides[i].file);
    }
    return 0;
}
