/* test_report_output.c: the printed report: width, safety of the terminal, the verdict's cases, the
 * plot. */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "profiler/report/report_json.h"
#include "profiler/report/report_text.h"
#include "profiler/report/timeline_plot.h"
#include "tests/report/snapshot_fixture.h"

#include <stdlib.h>
#include <string.h>

/* The report on a fixture, which is freed. The text is the caller's. */
static char *text_of(struct fixture *fixture, struct tm_text_options options)
{
    struct tm_snapshot_file file;
    struct tm_snapshot_error error;
    struct tm_report report;
    char *text = NULL;
    size_t size = 0;
    if (!tm_snapshot_parse("F", fixture->bytes, fixture->size, 0, &file, &error))
        fail_msg("%s", error.text);
    assert_true(tm_report_make(&file, NULL, &report));
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    tm_report_text(out, &report, &options);
    fclose(out);
    tm_report_free(&report);
    tm_snapshot_free(&file);
    fixture_free(fixture);
    return text;
}

static void assert_width(const char *text)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        size_t columns = 0;
        for (size_t i = 0; i < length; i++)
            columns += ((unsigned char)line[i] & 0xc0) != 0x80;
        if (columns > 100)
            fail_msg("%zu columns: %.*s", columns, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void assert_no_control(const char *text, bool utf8)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < ' ' && *at != '\n') || *at == 0x7f || (!utf8 && *at >= 0x80))
            fail_msg("byte %02x after '%.20s'", *at,
                     (const char *)at - (at - (const unsigned char *)text < 20 ? 0 : 20));
}

static void test_width_and_controls(void **state)
{
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        struct fixture fixture;
        bool utf8 = variant & 1;
        if (variant >> 1 == 0)
            fixture_hand_made(&fixture);
        else if (variant >> 1 == 1)
            fixture_hostile(&fixture);
        else
            fixture_random(&fixture, (uint64_t)variant, 300);
        char *text = text_of(&fixture, (struct tm_text_options){.top = 5, .utf8 = utf8});
        assert_width(text);
        assert_no_control(text, utf8);
        free(text);
    }
}

static void test_content(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    char *text = text_of(&fixture, (struct tm_text_options){.top = 10});
    assert_non_null(strstr(text, "Process 4242: /usr/bin/service --port 8080\n"));
    assert_non_null(strstr(text, "pinned                                8,576"));
    assert_non_null(strstr(text, "RSS                               1,500,000    100 %  VmRSS"));
    assert_non_null(strstr(text, "cached mappings                      49,152"));
    assert_non_null(strstr(text, "\n  Cached mappings, 48.0 KiB, go back whole"));
    assert_non_null(strstr(text, "\n  own mapping                 1      1.0 MiB      1.0 MiB"));
    assert_non_null(strstr(text, "\n  cached mapping              1     16.0 MiB     48.0 KiB"));
    assert_non_null(strstr(text, "v peak 8.0 MiB at 4.0 s"));
    assert_non_null(strstr(text, "Page floor: 72.0 KiB"));
    assert_null(strchr(text, '\033'));
    free(text);
    fixture_hand_made(&fixture);
    text = text_of(&fixture, (struct tm_text_options){.top = 10, .colour = true});
    assert_non_null(strstr(text, "\033[1mVerdict\033[0m"));
    free(text);
}

/* The verdict on a heap of one arena full of pools of which each page has `live` bytes in blocks,
 * and of a freed mapping of which `kept` bytes are resident.
 */
static char *verdict_of(uint16_t live, uint64_t kept, uint64_t rss)
{
    static const struct tm_snapshot_class classes[] = {{64, 65536, 1024, 0}};
    struct tm_snapshot_arena arena = {.base = 0x10000000, .resident_mask = ~UINT64_C(0), .kind = 1};
    struct tm_snapshot_pool pools[4] = {0};
    struct tm_snapshot_page pages[64];
    for (int i = 0; i < 4; i++)
        pools[i] = (struct tm_snapshot_pool){.base = 0x10000000 + (uint64_t)i * 65536,
                                             .pages = 16,
                                             .live = (uint16_t)(live / 64 * 16),
                                             .first_page = (uint32_t)i * 16};
    for (int i = 0; i < 64; i++)
        pages[i] = (struct tm_snapshot_page){(uint16_t)(live / 64), live};
    struct tm_snapshot_map map = {.start = 0x50000000, .end = 0x50000000 + rss, .permissions = 3};
    map.rss_bytes = rss > 262144 + kept ? rss - 262144 - kept : 0;
    struct tm_snapshot_span span = {0x40000000, 16 << 20, kept, TM_CENSUS_SPAN_CACHED, 0};
    struct tm_snapshot_process process = fixture_process();
    process.rss_bytes = rss;
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_CLASSES, classes);
    fixture_section(&fixture, TM_TAG_ARENAS, sizeof arena, &arena, sizeof arena);
    FIXTURE_ARRAY(&fixture, TM_TAG_POOLS, pools);
    FIXTURE_ARRAY(&fixture, TM_TAG_PAGES, pages);
    fixture_section(&fixture, TM_TAG_SPANS, sizeof span, &span, sizeof span);
    fixture_section(&fixture, TM_TAG_MAPS, sizeof map, &map, sizeof map);
    fixture_end(&fixture);
    return text_of(&fixture, (struct tm_text_options){.top = 10});
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        uint16_t live;
        uint64_t kept;
        uint64_t rss;
        const char *words;
    } cases[] = {
        {64, 0, 300000, "Sparse survivors pin 252.0 KiB: 100 % of the resident pool pages"},
        {0, 0, 300000, "256.0 KiB of it is free pages without any live block"},
        {4096, 0, 300000, "The heap is in use: 100 %"},
        {4096, 0, 10 << 20, "Most of RSS is not the heap's; the largest part is other anonymous"},
        {4096, 1 << 20, 2 << 20, "1.0 MiB of it is free pages without any live block"},
        {4096, 1 << 20, 2 << 20, "Trimming (`tidemark trim 4242`) would give back up to 1.0 MiB"},
        {64, 65536, 500000, "Trimming (`tidemark trim 4242`) would give back at most 64.0 KiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = verdict_of(cases[i].live, cases[i].kept, cases[i].rss);
        if (!strstr(text, cases[i].words))
            fail_msg("'%s' is not in: %.600s", cases[i].words, text);
        free(text);
    }
}

/* Both kinds of plot must hold the words, the one in ASCII also the drawing. */
static void assert_plot(const struct tm_snapshot_moment *moments, size_t count, const char *words,
                        const char *drawing)
{
    for (int utf8 = 0; utf8 < 2; utf8++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        tm_timeline_plot(out, moments, count, 0, utf8);
        fclose(out);
        assert_width(text);
        assert_non_null(strstr(text, words));
        assert_true(utf8 || strstr(text, drawing));
        free(text);
    }
}

static void test_plots(void **state)
{
    (void)state;
    struct tm_snapshot_moment moments[1000] = {0};
    assert_plot(moments, 1, "peak 0 B at 0 s", "|      ");
    for (unsigned i = 0; i < 1000; i++)
        moments[i] = (struct tm_snapshot_moment){.since_start_ns = i * UINT64_C(1000000000),
                                                 .pool_bytes = 1 << 20};
    moments[333].mapping_bytes = 1 << 30; /* one moment of a thousand */
    assert_plot(moments, 1000, "peak 1.0 GiB at 5 min 33 s",
                "1.0 GiB |                            #  ");
    moments[999].mapping_bytes = (uint64_t)3
                                 << 30; /* at the right edge the words stand on the left */
    assert_plot(moments, 1000, "peak 3.0 GiB at 16 min 39 s", " #\n");
    moments[998].since_start_ns = UINT64_MAX;
    moments[999].since_start_ns = UINT64_MAX;
    moments[999].cached_bytes = UINT64_MAX / 2;
    assert_plot(moments, 1000, "peak 8.0 EiB", " .\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width_and_controls),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_plots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
