/* test_ledger.c: every row of the ledger against figures computed by hand (see snapshot_fixture.c),
 * and sums that must hold whatever the file says.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "tests/report/snapshot_fixture.h"

#include <stdio.h>
#include <string.h>

static struct tm_snapshot_file file;
static struct tm_snapshot_error error;
static struct tm_report report;

static void load(struct fixture *fixture)
{
    if (!tm_snapshot_parse("F", fixture->bytes, fixture->size, 0, &file, &error))
        fail_msg("%s", error.text);
    assert_true(tm_report_make(&file, NULL, &report));
}

static void unload(struct fixture *fixture)
{
    tm_report_free(&report);
    tm_snapshot_free(&file);
    fixture_free(fixture);
}

static void assert_row(const char *name, int64_t bytes)
{
    for (size_t i = 0; i < report.ledger.count; i++) {
        if (strcmp(report.ledger.rows[i].name, name) != 0)
            continue;
        if (report.ledger.rows[i].bytes != bytes)
            fail_msg("%s: %lld, expected %lld", name, (long long)report.ledger.rows[i].bytes,
                     (long long)bytes);
        return;
    }
    fail_msg("there is no row '%s'", name);
}

static void assert_sum(void)
{
    int64_t sum = 0;
    for (size_t i = 0; i < report.ledger.count; i++)
        sum += report.ledger.rows[i].bytes;
    assert_int_equal(sum, report.ledger.rss_bytes);
    assert_string_equal(report.ledger.rows[report.ledger.count - 1].name, "residual");
}

static void test_hand_made(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    load(&fixture);
    assert_row("live in pools", 640 + 64512);
    assert_row("live in spans", 20480);
    assert_row("live mappings", 1 << 20);
    assert_row("pinned", 7552 + 1024);
    assert_row("cached in pools", 4096);
    assert_row("cached in arenas", 8192);
    assert_row("cached mappings", 49152);
    assert_row("metadata: chunk heads", 8192);
    assert_row("metadata: tables", 4096);
    assert_row("other anonymous memory", 65536 + 4096);
    assert_row("code made at run time", 16384);
    assert_row("brk heap", 12288);
    assert_row("stacks", 20480 + 12288);
    assert_row("program and library code", 8192 + 40960 + 4096);
    assert_row("program and library data", 4096 + 4096);
    assert_row("mapped files", 32768);
    assert_row("shared memory", 131072);
    assert_row("kernel pages", 4096);
    /* The rows above sum to 1,576,960 bytes; the fixture's RSS is 1,500,000. */
    assert_row("residual", 1500000 - 1576960);
    assert_sum();
    assert_int_equal(report.heap.contradictions, 0);
    assert_int_equal(report.maps.contradictions, 0);
    assert_int_equal(report.maps.overcount_bytes, 0);
    assert_int_equal(report.heap.floor_bytes, 18 * 4096);
    assert_int_equal(report.heap.pool_bytes, 19 * 4096);
    assert_int_equal(report.peak_moment, 1);
    unload(&fixture);
}

/* A mapping that was freed and is kept is held and can go back; it is no live block. */
static void test_cached_mapping(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    load(&fixture);
    const struct tm_span_use *spans = report.heap.spans;
    assert_int_equal(spans[TM_CENSUS_SPAN_CACHED].count, 1);
    assert_int_equal(spans[TM_CENSUS_SPAN_CACHED].bytes, 16 << 20);
    assert_int_equal(spans[TM_CENSUS_SPAN_CACHED].resident_bytes, 49152);
    assert_int_equal(spans[TM_CENSUS_SPAN_CACHED].largest_bytes, 16 << 20);
    assert_int_equal(spans[TM_CENSUS_SPAN_MAPPING].count, 1);
    assert_int_equal(spans[TM_CENSUS_SPAN_MAPPING].bytes, 1 << 20);
    assert_int_equal(tm_report_live(&report), 640 + 64512 + 20480 + (1 << 20));
    assert_int_equal(tm_report_held(&report), 7552 + 1024 + 4096 + 8192 + 49152);
    assert_int_equal(report.heap.cached_bytes, 4096 + 8192 + 49152);
    unload(&fixture);
}

/* A span of a kind that the reader does not know: shown as live, and counted as odd. */
static void test_unknown_span(void **state)
{
    (void)state;
    static const struct tm_snapshot_span spans[] = {{0x30000000, 8192, 4096, TM_SPAN_KINDS, 0}};
    struct tm_snapshot_process process = fixture_process();
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_SPANS, spans);
    fixture_end(&fixture);
    load(&fixture);
    assert_row("live mappings", 4096);
    assert_row("cached mappings", 0);
    assert_int_equal(report.heap.contradictions, 1);
    unload(&fixture);
}

/* Pools of the smallest blocks, 4096 of 16 bytes: all live, one free, all free. */
static void test_smallest_blocks(void **state)
{
    (void)state;
    static const struct tm_snapshot_class classes[] = {{16, 65536, 4096, 0}};
    static const struct tm_snapshot_arena arenas[] = {
        {0x10000000, ~UINT64_C(0) << 48, 0, ~UINT64_C(0) >> 16, TM_CENSUS_ARENA_POOLS, 0}};
    static const struct tm_snapshot_pool pools[] = {
        {.base = 0x10000000, .pages = 16, .live = 4096, .first_page = TM_NO_PAGES},
        {.base = 0x10010000, .pages = 16, .live = 4095, .remote = 1, .first_page = 0},
        {.base = 0x10020000, .pages = 16, .binned = 4096, .first_page = TM_NO_PAGES},
    };
    struct tm_snapshot_page pages[16];
    for (int i = 0; i < 16; i++)
        pages[i] = (struct tm_snapshot_page){256, 4096};
    pages[9] = (struct tm_snapshot_page){255, 4080};
    struct tm_snapshot_process process = fixture_process();
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_CLASSES, classes);
    FIXTURE_ARRAY(&fixture, TM_TAG_ARENAS, arenas);
    FIXTURE_ARRAY(&fixture, TM_TAG_POOLS, pools);
    FIXTURE_ARRAY(&fixture, TM_TAG_PAGES, pages);
    fixture_end(&fixture);
    load(&fixture);
    assert_row("live in pools", 65536 + 65520);
    assert_row("pinned", 16);
    assert_row("cached in pools", 65536);
    assert_row("cached in arenas", 0);
    assert_int_equal(report.heap.classes[0].live_blocks, 4096 + 4095);
    assert_int_equal(report.heap.classes[0].capacity, 3 * 4096);
    assert_int_equal(report.heap.classes[0].binned, 4096);
    assert_int_equal(report.heap.classes[0].remote, 1);
    assert_int_equal(report.heap.floor_bytes, 32 * 4096);
    assert_int_equal(report.heap.units[1].return_bytes, 65536);
    assert_int_equal(report.heap.contradictions, 0);
    unload(&fixture);
}

static void test_classes_and_arenas(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_hand_made(&fixture);
    load(&fixture);
    const struct tm_class_use *class = report.heap.classes;
    assert_int_equal(class[0].live_blocks, 10);
    assert_int_equal(class[0].capacity, 256);
    assert_int_equal(class[0].binned, 100);
    assert_int_equal(class[0].remote, 3);
    assert_int_equal(class[0].pinned_bytes, 7552);
    assert_int_equal(class[0].cached_bytes, 4096);
    assert_int_equal(class[1].live_bytes, 64512);
    assert_int_equal(class[1].pinned_bytes, 1024);
    assert_int_equal(class[1].tail_bytes, 1024);
    /* Arena A: 65152 live of 21 resident pages is 75.7 %; arena B, of spans, is full. */
    assert_int_equal(report.heap.fullness[8].arenas, 1);
    assert_int_equal(report.heap.fullness[8].resident_bytes, 21 * 4096);
    assert_int_equal(report.heap.fullness[8].live_bytes, 65152);
    assert_int_equal(report.heap.fullness[10].arenas, 1);
    assert_int_equal(report.heap.fullness[10].resident_bytes, 5 * 4096);
    assert_int_equal(report.heap.units[0].return_bytes, 4096 + 8192);
    assert_int_equal(report.heap.units[1].return_bytes, 0);
    unload(&fixture);
}

/* Records that lie about each other: counted, never counted twice. */
static void test_contradictions(void **state)
{
    (void)state;
    static const struct tm_snapshot_class classes[] = {{64, 16384, 256, 0}};
    static const struct tm_snapshot_arena arenas[] = {
        {0x10000000, ~UINT64_C(0), 0, ~UINT64_C(0), 1, 0}, /* says that the pool's pages are free */
        {0x10000000, ~UINT64_C(0), 0, ~UINT64_C(0), 1, 0}, /* twice */
    };
    static const struct tm_snapshot_pool pools[] = {
        {.base = 0x10000000, .pages = 4, .live = 256, .first_page = TM_NO_PAGES},
        {.base = 0x10001000, .pages = 4, .live = 256, .first_page = TM_NO_PAGES}, /* overlaps */
        {.base = 0x1003f000,
         .pages = 4,
         .live = 256,
         .first_page = TM_NO_PAGES}, /* leaves the arena */
        {.base = 0x20000000, .pages = 4, .live = 256, .first_page = TM_NO_PAGES}, /* in no arena */
    };
    static const struct tm_snapshot_span spans[] = {
        {0x30000000, 8192, 99999, TM_CENSUS_SPAN_MAPPING, 0}, /* more resident than it has */
        {0x30001000, 8192, 8192, TM_CENSUS_SPAN_MAPPING, 0},  /* overlaps */
    };
    static const struct tm_snapshot_map maps[] = {
        {.start = 0x10000000, .end = 0x10040000, .rss_bytes = 0x40000, .permissions = 3},
        {.start = 0x30000000, .end = 0x30002000, .rss_bytes = 4096, .permissions = 3},
        {.start = 0x30001000,
         .end = 0x30002000,
         .rss_bytes = 4096,
         .permissions = 3}, /* overlaps */
        {.start = 0x40000000,
         .end = 0x40001000,
         .rss_bytes = 8192,
         .permissions = 3}, /* too full */
    };
    struct tm_snapshot_process process = fixture_process();
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_CLASSES, classes);
    FIXTURE_ARRAY(&fixture, TM_TAG_ARENAS, arenas);
    FIXTURE_ARRAY(&fixture, TM_TAG_POOLS, pools);
    FIXTURE_ARRAY(&fixture, TM_TAG_SPANS, spans);
    FIXTURE_ARRAY(&fixture, TM_TAG_MAPS, maps);
    fixture_end(&fixture);
    load(&fixture);
    assert_row("live in pools", 16384);
    assert_row("pinned", 0);
    assert_row("cached in arenas", 60 * 4096);
    assert_row("live mappings", 8192);
    assert_row("other anonymous memory", 4096);
    assert_int_equal(report.heap.contradictions, 7);
    assert_int_equal(report.maps.contradictions, 2);
    assert_int_equal(report.maps.overcount_bytes, 4096);
    assert_sum();
    unload(&fixture);
}

/* Memory resident in the allocator's own territory that none of its figures explain is nobody
 * else's: it stays in the residual. */
static void test_unexplained_territory(void **state)
{
    (void)state;
    static const struct tm_snapshot_arena arenas[] = {{0x10000000, ~UINT64_C(0), 0, 1, 0, 0}};
    static const struct tm_snapshot_map maps[] = {
        {.start = 0x10000000, .end = 0x10041000, .rss_bytes = 10 * 4096, .permissions = 3}};
    struct tm_snapshot_process process = fixture_process();
    process.rss_bytes = 10 * 4096;
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_ARENAS, arenas);
    FIXTURE_ARRAY(&fixture, TM_TAG_MAPS, maps);
    fixture_end(&fixture);
    load(&fixture);
    assert_row("cached in arenas", 4096);
    assert_row("other anonymous memory", 4096); /* the one page outside the arena, at most */
    assert_row("residual", 8 * 4096);
    assert_sum();
    unload(&fixture);
}

static void test_sums_on_random_heaps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct fixture fixture;
        fixture_random(&fixture, seed, 1 + seed % 40);
        load(&fixture);
        assert_sum();
        const struct tm_heap *heap = &report.heap;
        assert_int_equal(heap->live_pool_bytes + heap->pinned_bytes + heap->cached_pool_bytes,
                         heap->pool_bytes);
        assert_int_equal(heap->live_pool_bytes + heap->pinned_bytes, heap->floor_bytes);
        uint64_t resident = 0;
        for (int i = 0; i < TM_FULLNESS_STEPS; i++)
            resident += heap->fullness[i].resident_bytes;
        assert_int_equal(resident, heap->pool_bytes + heap->cached_arena_bytes);
        assert_int_equal(heap->contradictions, 0);
        unload(&fixture);
    }
}

/* Without VmRSS the mappings' sum stands in, and the words say so. */
static void test_rss_unknown(void **state)
{
    (void)state;
    static const struct tm_snapshot_map maps[] = {
        {.start = 0x10000000, .end = 0x10040000, .rss_bytes = 0x20000, .permissions = 3}};
    struct tm_snapshot_process process = fixture_process();
    struct fixture fixture;
    process.rss_bytes = 0;
    fixture_start(&fixture, TM_SNAPSHOT_NO_HEAP);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_ARRAY(&fixture, TM_TAG_MAPS, maps);
    fixture_end(&fixture);
    load(&fixture);
    assert_int_equal(report.ledger.rss_bytes, 0x20000);
    assert_non_null(strstr(report.ledger.rss_source, "mappings"));
    assert_row("other anonymous memory", 0x20000);
    assert_row("residual", 0);
    assert_non_null(strstr(report.verdict.why, "could not be walked"));
    unload(&fixture);
}

static enum tm_python python_of(const char *exe, const char *command, const char *environment)
{
    struct tm_snapshot_process process = fixture_process();
    struct fixture fixture;
    fixture_start(&fixture, 0);
    fixture_section(&fixture, TM_TAG_PROCESS, sizeof process, &process, sizeof process);
    FIXTURE_TEXT(&fixture, TM_TAG_EXE, exe);
    fixture_section(&fixture, TM_TAG_COMMAND, 1, command, strlen(command) + 1);
    FIXTURE_TEXT(&fixture, TM_TAG_ENVIRON, environment);
    fixture_end(&fixture);
    load(&fixture);
    enum tm_python python = report.python;
    assert_int_equal(report.verdict.python[0] != '\0', python == TM_PYTHON_POOLS);
    unload(&fixture);
    return python;
}

static void test_python(void **state)
{
    (void)state;
    assert_int_equal(python_of("/usr/bin/redis", "redis", ""), TM_PYTHON_NONE);
    assert_int_equal(python_of("/usr/bin/python3.11", "x", ""), TM_PYTHON_POOLS);
    assert_int_equal(python_of("/opt/app", "/usr/bin/python3", ""), TM_PYTHON_POOLS);
    assert_int_equal(python_of("/usr/bin/python3.11", "x", "A=b\nPYTHONMALLOC=malloc\n"),
                     TM_PYTHON_DIRECT);
    assert_int_equal(python_of("/usr/bin/python3.11", "x", "PYTHONMALLOC=malloc_debug"),
                     TM_PYTHON_DIRECT);
    assert_int_equal(python_of("/usr/bin/python3.11", "x", "PYTHONMALLOC=pymalloc\n"),
                     TM_PYTHON_POOLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made),
        cmocka_unit_test(test_cached_mapping),
        cmocka_unit_test(test_unknown_span),
        cmocka_unit_test(test_smallest_blocks),
        cmocka_unit_test(test_classes_and_arenas),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_sums_on_random_heaps),
        cmocka_unit_test(test_rss_unknown),
        cmocka_unit_test(test_python),
        cmocka_unit_test(test_unexplained_territory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
