/* test_sites_output.c: what the printed report says of call sites: names, stacks, figures that are
 * exact and that are not, what it leaves unsaid, width and safety of the terminal.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"
#include "tests/report/sites_fixture.h"

#include <stdlib.h>
#include <string.h>

static char *text;

static void print(const struct sites_parts *parts, struct tm_view view, bool utf8, bool json)
{
    struct fixture fixture;
    struct tm_snapshot_file file;
    struct tm_snapshot_error error;
    struct tm_report report;
    struct tm_symbols_options nowhere = {.root = NULL};
    struct tm_text_options options = {.top = 10, .utf8 = utf8};
    size_t size = 0;
    free(text);
    fixture_sites(&fixture, parts);
    if (!tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error))
        fail_msg("%s", error.text);
    view.symbols = tm_symbols_open(&file, &nowhere);
    assert_true(tm_report_make(&file, &view, &report));
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (json)
        tm_report_json(out, &report);
    else
        tm_report_text(out, &report, &options);
    fclose(out);
    tm_report_free(&report);
    tm_symbols_close(view.symbols);
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

static void assert_says(const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in: %s", words, text);
}

static void assert_says_not(const char *words)
{
    if (strstr(text, words))
        fail_msg("'%s' is in: %s", words, text);
}

/* No byte that moves a cursor, and no line of more columns. */
static void assert_safe(bool utf8, size_t most)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        size_t columns = 0;
        for (size_t i = 0; i < length; i++) {
            unsigned char c = (unsigned char)line[i];
            columns += (c & 0xc0) != 0x80;
            if (c < ' ' || c == 0x7f || (!utf8 && c >= 0x80))
                fail_msg("byte %02x in: %.*s", c, (int)length, line);
        }
        if (columns > most)
            fail_msg("%zu columns: %.*s", columns, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

/* Held is most of RSS: the heap is all that there is. */
static struct sites_parts pinned(struct sites_parts parts)
{
    parts.process.rss_bytes = 80000;
    return parts;
}

static void test_exact(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_hand_made());
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("Of the pinned bytes 8.7 KiB (43 %) are charged to blocks of cache_insert "
                "(cache.c:120); the pages\n"
                "  that come back without these alone are 8.0 KiB. RSS would fall the most, by "
                "20.0 KiB, without the\n"
                "  blocks of log_line (log.c:5); by 36.0 KiB without those of the 3");
    assert_says("\n  Exact: the site of every block on these pages is looked at.\n");
    assert_says("\n    1  8.7 KiB                  43 %  7.8 KiB                 8.0 KiB");
    assert_says("\n       cache_insert (cache.c:120)\n");
    assert_says("5.0 s to 8.0 s old; 50 % born around the peak (18 % of the time)\n");
    /* The whole stack below it, wrappers included. */
    assert_says("\n          operator new(unsigned long)  [libstdc++.so.6]\n"
                "          void std::vector<int, std::allocator<int> >::_M_reall...  "
                "vector.tcc:440  [service]\n"
                "          cache_insert  cache.c:120  [service]\n"
                "          main  main.c:3  [service]\n");
    assert_says("\n           19,840  charged to those above\n"
                "            1,024  charged to blocks that are not recorded\n"
                "           20,864  pinned, as in the ledger\n");
    assert_says("\n    2  28.0 KiB");
    assert_says("       then cache_insert (cache.c:120)\n");
    assert_says("most live, 79.9 KiB, 4.0 s after the start");
    assert_says("'/usr/lib/libstripped.so' has no symbols");
    assert_says("call sites                               all; recorded for 10.0 s\n");
    assert_says_not("+-");
    assert_says_not("few)");
    assert_safe(false, 100);
    print(&parts, (struct tm_view){.by = TM_BY_SOLE}, false, false);
    assert_says("\n            4,864  charged to 1 more\n");
}

static void test_estimates(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_sampled());
    parts.process.rss_bytes = 120000;
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("parse_request (parse.c:10) seems to pin the most (about 17.4 KiB), but too few");
    assert_says("~17.4 KiB (too few)");
    assert_says("Estimated from 2 pages chosen at random of 9 with pinned bytes");
    assert_says("in pools that are older than the recording");
    assert_says("in pools of block sizes none of which was chosen");
    assert_says("26.1 KiB +- 5.0"); /* live bytes of C */
    assert_says("in one pool of 2; of those with pinned bytes 2 of 9\n");
    assert_safe(false, 100);
    parts.recording.ever |= 1U << TM_SITES_ALL;
    parts.recording.truncated = 3;
    parts.recording.frame_limit = 1 << 20;
    parts.recording.shortened = 1234;
    parts.recording.missed = 5;
    parts.recording.site_limit = 4;
    parts.recording.until_ns = 7000000000;
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("both modes were on: estimates lean to the later one");
    assert_says("3, which have more than 64 frames\n");
    assert_says("1,234, as the table of frames was full\n");
    assert_says("allocations missed by the recording      5\n");
    assert_says("4 of at most 4; frames 11 of at most 1048576 (full)");
    assert_says("sample; were recorded for 7.0 s\n");
    assert_safe(false, 100);
}

static void test_without_recording(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_hand_made());
    parts.has_recording = false;
    parts.frame_count = parts.site_count = parts.held_count = parts.set_count = 0;
    parts.member_count = 0;
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("Call sites are not recorded: `tidemark start 4242` turns it on");
    assert_says_not("What to fix first");
    assert_says_not("Live blocks by who");
    assert_safe(false, 100);
    print(&parts, (struct tm_view){0}, false, true);
    assert_says("\"recorded\": false");
}

/* Little is pinned: no verdict on it, no stacks, no plan. */
static void test_little(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.process.rss_bytes = 100 << 20;
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("Little is pinned: 20.4 KiB, 0.0 % of RSS.");
    assert_says_not("are charged to blocks of");
    assert_says_not("What to fix first");
}

static void test_python(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_hand_made());
    parts.exe = "/usr/bin/python3.12";
    print(&parts, (struct tm_view){0}, false, false);
    assert_says("PYTHONPERFSUPPORT=1");
    parts.frames[1].address = parts.frames[7].address = 0x4002; /* the outermost of all */
    print(&parts, (struct tm_view){0}, false, false);
    assert_says_not("PYTHONPERFSUPPORT=1");
    assert_says("handler (app.py)");
}

static void test_hostile_names(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_hand_made());
    parts.frames[2].address = parts.frames[8].address = 0x2006;
    for (enum tm_grouping grouping = 0; grouping < TM_GROUPINGS; grouping++)
        for (int utf8 = 0; utf8 < 2; utf8++) {
            print(&parts, (struct tm_view){.grouping = grouping}, utf8, false);
            assert_safe(utf8, 100);
            print(&parts, (struct tm_view){.grouping = grouping}, utf8, true);
            assert_safe(true, SIZE_MAX);
        }
}

static void test_orders(void **state)
{
    (void)state;
    struct sites_parts parts = pinned(sites_hand_made());
    parts.sites[1].temporary_blocks = 8 * TM_BLOCK_UNITS;
    print(&parts, (struct tm_view){.by = TM_BY_TEMPORARY}, false, false);
    const char *section = strstr(text, "most temporary ones first");
    assert_non_null(section);
    const char *b = strstr(section, "parse_request");
    const char *a = strstr(section, "cache_insert");
    assert_true(a && b && b < a);
    assert_says(" 100 %     < 1.0 s\n       parse_request");
    print(&parts, (struct tm_view){.by = TM_BY_LIVE}, false, false);
    section = strstr(text, "Live blocks by who allocated them\n");
    assert_non_null(section);
    assert_non_null(strstr(section, "\n    1  26.1 KiB                         8"));
}

static int free_text(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_without_recording),
        cmocka_unit_test(test_little),
        cmocka_unit_test(test_python),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_orders),
    };
    return cmocka_run_group_tests(tests, NULL, free_text);
}
