/* test_sites.c: who pins memory, against figures computed by hand (see sites_fixture.c): shares and
 * their exact sum, pages of one's own, merged stacks, groupings, the split ledger, contradictions.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "profiler/report/who.h"
#include "profiler/report/wrappers.h"
#include "tests/report/sites_fixture.h"

#include <math.h>
#include <string.h>

static struct fixture fixture;
static struct tm_snapshot_file file;
static struct tm_report report;

static void load(const struct sites_parts *parts, struct tm_view view)
{
    struct tm_snapshot_error error;
    fixture_sites(&fixture, parts);
    if (!tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error))
        fail_msg("%s", error.text);
    struct tm_symbols_options options = {.root = NULL};
    view.symbols = tm_symbols_open(&file, &options);
    assert_true(tm_report_make(&file, &view, &report));
}

static void unload(void)
{
    tm_symbols_close(report.view.symbols);
    tm_report_free(&report);
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

/* The group whose label is this. */
static uint32_t group_of(const char *label)
{
    for (uint32_t i = 0; i < report.sites.count; i++)
        if (strcmp(tm_group_label(&report, i).text, label) == 0)
            return i;
    for (uint32_t i = 0; i < report.sites.count; i++)
        print_message("there is '%s'\n", tm_group_label(&report, i).text);
    fail_msg("there is no '%s'", label);
    return 0;
}

static const struct tm_group_held *held_of(const char *label)
{
    return &report.held.groups[group_of(label)];
}

static const char A[] = "cache_insert (cache.c:120)";
static const char B[] = "parse_request (parse.c:10)";
static const char C[] = "log_line (log.c:5)";

/* Shares and the rows beside them are the pinned bytes. */
static void assert_sum(void)
{
    int64_t sum = (int64_t)(report.held.older_bytes + report.held.unchosen_bytes) +
                  report.held.inconsistent_bytes;
    for (size_t i = 0; i < report.sites.count; i++)
        sum += (int64_t)report.held.groups[i].share_bytes;
    assert_int_equal(sum, report.heap.pinned_bytes);
    assert_int_equal(report.held.pinned_bytes, report.heap.pinned_bytes);
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-6 * (1 + fabs(expected)))
        fail_msg("%.9g is not %.9g", value, expected);
}

static void test_shares(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    load(&parts, (struct tm_view){0});
    assert_int_equal(report.heap.pinned_bytes, 20864);
    assert_int_equal(report.sites.count, 4); /* A, B, C, and what is not recorded */
    assert_int_equal(held_of(A)->share_bytes, 8896);
    assert_int_equal(held_of(B)->share_bytes, 4864);
    assert_int_equal(held_of(C)->share_bytes, 6080);
    assert_int_equal(report.held.groups[TM_GROUP_UNKNOWN].share_bytes, 1024);
    assert_true(held_of(A)->share.exact);
    assert_near(held_of(A)->sole.value, 7936);
    assert_near(held_of(A)->sole_resident.value, 8192);
    assert_near(held_of(B)->sole.value, 0);
    assert_near(held_of(C)->sole.value, 3072);
    assert_near(held_of(C)->sole_resident.value, 8192);
    assert_int_equal(report.held.inconsistent_bytes, 0);
    assert_int_equal(report.heap.contradictions, 0);
    assert_sum();
    const struct tm_group *a = &report.sites.groups[group_of(A)];
    assert_int_equal(a->stacks, 1); /* two numbers, one stack */
    assert_int_equal(a->sums.live_bytes, 320);
    assert_true(a->live_bytes.exact);
    assert_int_equal(a->sums.peak_bytes, 960);
    unload();
}

/* Where one pool in one is chosen, all are, even if they do not say so. */
static void test_every_pool(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.pools[0].identity = TM_IDENTITY_NONE;
    parts.pools[1].identity = TM_IDENTITY_PASSED;
    load(&parts, (struct tm_view){0});
    assert_int_equal(held_of(A)->share_bytes, 8896);
    assert_near(held_of(C)->sole_resident.value, 8192);
    assert_true(held_of(A)->share.exact);
    assert_sum();
    unload();
}

static void test_peak_births(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    unsigned births = 0;
    unsigned time = 0;
    load(&parts, (struct tm_view){0});
    const struct tm_group *groups = report.sites.groups;
    assert_true(tm_group_peak_births(&file, &report.sites, &groups[group_of(A)], &births, &time));
    assert_int_equal(births, 50);
    assert_int_equal(time, 18); /* parts 5, 6 and 7 of 16 */
    assert_true(tm_group_peak_births(&file, &report.sites, &groups[group_of(B)], &births, &time));
    assert_int_equal(births, 100);
    assert_false(tm_group_peak_births(&file, &report.sites, &groups[group_of(C)], &births, &time));
    unload();
}

static void test_sampled(void **state)
{
    (void)state;
    struct sites_parts parts = sites_sampled();
    load(&parts, (struct tm_view){0});
    assert_int_equal(report.heap.pinned_bytes, 34048);
    assert_near(held_of(A)->share.value, 5952);
    assert_near(held_of(B)->share.value, 17856);
    assert_near(held_of(C)->share.value, 5120);
    assert_near(held_of(A)->sole.value, 0);
    assert_near(held_of(C)->sole.value, 5120);
    assert_near(held_of(C)->sole_resident.value, 12288);
    assert_int_equal(report.held.older_bytes, 3072);
    assert_int_equal(report.held.unchosen_bytes, 2048);
    assert_int_equal(report.held.inconsistent_bytes, 0);
    assert_false(held_of(A)->share.exact);
    assert_true(held_of(A)->share.few); /* one page of its size */
    assert_true(held_of(A)->share.error > 0);
    assert_int_equal(report.held.all_pages, 9);
    assert_int_equal(report.held.chosen_pages, 2);
    assert_sum();
    const struct tm_group *c = &report.sites.groups[group_of(C)];
    assert_false(c->live_bytes.exact);
    assert_near(c->live_bytes.error, sqrt(26688.0 * 1000));
    unload();
}

static void test_sums_where_sections_contradict(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 5; wrong++) {
        struct sites_parts parts = wrong < 3 ? sites_hand_made() : sites_sampled();
        if (wrong % 3 == 0)
            parts.held[0].share_bytes += 1000;
        else if (wrong % 3 == 1)
            parts.held[0].share_bytes = 0;
        else
            parts.held_count = 0;
        load(&parts, (struct tm_view){0});
        assert_sum();
        assert_true(report.held.inconsistent_bytes != 0);
        if (wrong == 0)
            assert_int_equal(report.held.inconsistent_bytes, -1000);
        unload();
    }
    /* A charge in a class that has no chosen pool goes nowhere. */
    struct sites_parts parts = sites_sampled();
    parts.held[0].size_class = 2;
    parts.sets[0].size_class = 2;
    parts.pools[1].identity = 7;
    load(&parts, (struct tm_view){0});
    assert_true(held_of(A)->share.error >= 0 && held_of(A)->share.high < 1e9);
    assert_true(held_of(A)->sole_resident.error >= 0 && held_of(A)->sole_resident.high < 1e9);
    assert_sum();
    assert_int_equal(report.heap.contradictions, 1);
    assert_int_equal(report.held.older_bytes, 3072 + 5120); /* what it says is not known */
    unload();
}

/* As many groups as there are different stacks, however the frames are numbered. */
static void test_merged_stacks(void **state)
{
    (void)state;
    enum { SITES = 300, DEEPEST = SITES + 1 };
    struct tm_snapshot_error error;
    for (uint64_t seed = 1; seed < 6; seed++) {
        static uint64_t stacks[SITES][DEEPEST];
        memset(stacks, 0, sizeof stacks);
        fixture_random_sites(&fixture, seed, SITES, 10, 3);
        assert_true(tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error));
        assert_true(tm_report_make(&file, NULL, &report));
        size_t different = 0;
        for (size_t i = 0; i < file.site_count; i++) {
            size_t depth = 0;
            for (uint32_t at = file.sites[i].frame; at != 0; at = file.frames[at].parent)
                stacks[i][depth++] = file.frames[at].address;
            bool known = false;
            for (size_t k = 0; k < i && !known; k++)
                known = memcmp(stacks[i], stacks[k], sizeof stacks[i]) == 0;
            different += !known;
        }
        assert_true(different < SITES);
        assert_int_equal(report.sites.count, different + 1);
        tm_report_free(&report);
        tm_snapshot_free(&file);
        fixture_free(&fixture);
    }
}

/* Of a function with two stacks, which of them stands for it: one has the most live bytes, the
 * other is charged the most. */
static void test_stacks_that_stand_for_a_group(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.frames[5].address = 0x2002;
    parts.sites[1].live_bytes = 640;
    load(&parts, (struct tm_view){.grouping = TM_GROUP_FUNCTION});
    const struct tm_group *group = &report.sites.groups[group_of("cache_insert (cache.c)")];
    assert_int_equal(report.sites.stacks.nodes[group->node].address, 0x2002);
    assert_int_equal(report.sites.stacks.nodes[group->held_node].address, 0x1001);
    unload();
}

static void test_groupings(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    /* B is cache_insert at another line, C stays; a thread stands below B and C. */
    parts.frames[5].address = 0x2002;
    parts.frames[11] = (struct tm_snapshot_frame){77, 0, TM_FRAME_THREAD};
    parts.frame_count = 12;
    parts.frames[5].parent = 0;
    load(&parts, (struct tm_view){.grouping = TM_GROUP_FUNCTION});
    assert_int_equal(report.sites.count, 3);
    assert_int_equal(held_of("cache_insert (cache.c)")->share_bytes, 8896 + 4864);
    /* With both fixed page 2 of pool 0 is their own. */
    assert_near(held_of("cache_insert (cache.c)")->sole_resident.value, 3 * 4096);
    assert_int_equal(report.sites.groups[group_of("cache_insert (cache.c)")].stacks, 2);
    assert_sum();
    unload();
    load(&parts, (struct tm_view){.grouping = TM_GROUP_LINE});
    assert_int_equal(report.sites.count, 4);
    assert_int_equal(held_of("cache_insert (cache.c:130)")->share_bytes, 4864);
    unload();
    load(&parts, (struct tm_view){.grouping = TM_GROUP_FILE});
    assert_int_equal(held_of("/path/to/cache.c")->share_bytes, 8896 + 4864);
    unload();
    load(&parts, (struct tm_view){.grouping = TM_GROUP_LIBRARY});
    assert_int_equal(report.sites.count, 3);
    assert_int_equal(held_of("/usr/lib/liblog.so.1")->share_bytes, 6080);
    assert_int_equal(held_of("/usr/bin/service")->share_bytes, 8896 + 4864);
    unload();
    load(&parts, (struct tm_view){.depth = 1});
    assert_int_equal(held_of("operator new(unsigned long) (libstdc++.so.6)")->share_bytes, 8896);
    assert_int_equal(report.sites.count, 4);
    unload();
    /* Cut to one frame, B is no other than A, which now is called without wrappers. */
    parts.frames[5] = parts.frames[4] = parts.frames[10] = (struct tm_snapshot_frame){0x2001, 1, 0};
    parts.frames[5].parent = 3;
    load(&parts, (struct tm_view){.depth = 1});
    assert_int_equal(report.sites.count, 3);
    assert_int_equal(held_of(A)->share_bytes, 8896 + 4864);
    assert_int_equal(report.sites.groups[group_of(A)].stacks, 1);
    unload();
    parts.sites[2].frame = 11;
    load(&parts, (struct tm_view){.grouping = TM_GROUP_THREAD});
    assert_int_equal(held_of("thread 77")->share_bytes, 6080);
    assert_int_equal(held_of("threads that are not known")->share_bytes, 8896 + 4864);
    unload();
}

/* A stack that is not known is nobody's who could be told. */
static void test_unknown_stacks(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.sites[1].frame = 0;
    load(&parts, (struct tm_view){0});
    assert_int_equal(report.sites.count, 3);
    assert_int_equal(report.held.groups[TM_GROUP_UNKNOWN].share_bytes, 1024 + 4864);
    assert_sum();
    unload();
}

static void test_who(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.frames[6].address = 0x2005; /* an inlined std:: function in make_name */
    parts.frames[5].address = 0x5abc; /* nothing is known of it */
    load(&parts, (struct tm_view){0});
    group_of("make_name(int) (name.cc:7)");
    group_of("libstripped.so+0x5abc");
    unload();
    /* Of a Python process the innermost Python function. */
    parts.frames[5] = (struct tm_snapshot_frame){0x4001, 2, 0};
    parts.frames[2].address = 0x4002;
    load(&parts, (struct tm_view){0});
    group_of("PyDict_New (python3.12)");
    assert_true(tm_report_has_python_frames(&report)); /* A's own caller is one */
    unload();
    parts.exe = "/usr/bin/python3.12";
    load(&parts, (struct tm_view){.grouping = TM_GROUP_FUNCTION});
    assert_int_equal(report.sites.groups[group_of("handler (app.py)")].stacks, 2); /* A and B */
    assert_int_equal(report.sites.count, 4);
    unload();
}

static void test_wrappers(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "malloc",
        "operator new(unsigned long)",
        "operator new[](unsigned long, std::align_val_t)",
        "std::allocator<char>::allocate(unsigned long)",
        "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const&)",
        "std::__cxx11::basic_string<char>& std::operator+<char>(char const*)",
        "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
        "PyObject_Malloc",
        "PyMem_RawMalloc",
        "zmalloc",
        "g_malloc0",
        "CRYPTO_malloc",
        "<alloc::vec::Vec<T,A> as core::clone::Clone>::clone",
        "alloc::raw_vec::finish_grow",
        "malloc@plt",
        "strdup",
        "__GI___strdup"};
    static const char *const no[] = {
        "cache_insert",
        "my_malloc",
        "stdlib_init(std::string const&)",
        "app::operator()(std::vector<int>)",
        "(anonymous namespace)::std_like(int)",
        "mallocx",
        "PyList_New",
        "Foo::operator new_thing(int)",
        "std",
        "unsigned long app::grow<std::string>(std::string)",
        "std::function<void (int)> app::make(int)",
        "",
    };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!tm_is_wrapper(yes[i]))
            fail_msg("'%s' is a wrapper", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (tm_is_wrapper(no[i]))
            fail_msg("'%s' is no wrapper", no[i]);
    assert_false(tm_is_wrapper(NULL));
}

static int64_t row_of(const char *name)
{
    for (size_t i = 0; i < report.ledger.count; i++)
        if (strcmp(report.ledger.rows[i].name, name) == 0)
            return report.ledger.rows[i].bytes;
    return -1;
}

static void assert_ledger_sums(void)
{
    int64_t sum = 0;
    for (size_t i = 0; i < report.ledger.count; i++)
        sum += report.ledger.rows[i].bytes;
    assert_int_equal(sum, report.ledger.rss_bytes);
}

static void test_ledger_split(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    /* More than a tenth of 28288 bytes is not recorded: too much to tell what was requested. */
    parts.sites[2].live_bytes -= 2000;
    parts.sites[2].live_requested -= 2000;
    load(&parts, (struct tm_view){0});
    assert_false(report.ledger.is_split);
    assert_int_equal(row_of("live in pools"), 640 + 7 * 1024);
    assert_ledger_sums();
    unload();
    parts.sites[2].live_bytes += 3000;
    parts.sites[2].live_requested += 2900;
    load(&parts, (struct tm_view){0});
    assert_true(report.ledger.is_split);
    assert_int_equal(row_of("live in pools"), -1);
    assert_int_equal(row_of("rounding"), 28264 - 27400);
    assert_int_equal(row_of("live, not recorded"), 24);
    /* 640 + 7168 in pools and 12288 of the span are resident. */
    assert_int_equal(row_of("requested"), 640 + 7168 + 12288 - 864 - 24);
    assert_ledger_sums();
    assert_int_equal(row_of("metadata: sites"), 20480);
    for (size_t i = 0; i < report.ledger.count; i++)
        if (report.ledger.rows[i].group == TM_LEDGER_METADATA)
            assert_int_equal(strstr(report.ledger.rows[i].meaning, "profiler") != NULL,
                             strcmp(report.ledger.rows[i].name, "metadata: chunk heads") != 0);
    unload();
    parts.recording.ever |= 1U << TM_SITES_SAMPLE;
    load(&parts, (struct tm_view){0});
    assert_false(report.ledger.is_split);
    unload();
}

static void test_ranks(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    uint32_t ranked[8];
    load(&parts, (struct tm_view){0});
    assert_int_equal(tm_report_rank(&report, TM_BY_HELD, ranked), 3);
    assert_int_equal(ranked[0], group_of(A));
    assert_int_equal(ranked[1], group_of(C));
    assert_int_equal(tm_report_rank(&report, TM_BY_SOLE, ranked), 2);
    assert_int_equal(tm_report_rank(&report, TM_BY_LIVE, ranked), 3);
    assert_int_equal(ranked[0], group_of(C));
    assert_int_equal(tm_report_rank(&report, TM_BY_TEMPORARY, ranked), 1);
    assert_int_equal(ranked[0], group_of(A));
    unload();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_every_pool),
        cmocka_unit_test(test_peak_births),
        cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_sums_where_sections_contradict),
        cmocka_unit_test(test_merged_stacks),
        cmocka_unit_test(test_stacks_that_stand_for_a_group),
        cmocka_unit_test(test_groupings),
        cmocka_unit_test(test_unknown_stacks),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_wrappers),
        cmocka_unit_test(test_ledger_split),
        cmocka_unit_test(test_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
