/* test_plan.c: what to fix first, by hand (see sites_fixture.c), against every order of every
 * choice on small random heaps, in coalitions, and fast on large ones.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "tests/report/sites_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct fixture fixture;
static struct tm_snapshot_file file;
static struct tm_report report;

static void load_fixture(void)
{
    struct tm_snapshot_error error;
    if (!tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error))
        fail_msg("%s", error.text);
    assert_true(tm_report_make(&file, NULL, &report));
}

static void load(const struct sites_parts *parts)
{
    fixture_sites(&fixture, parts);
    load_fixture();
}

static void unload(void)
{
    tm_report_free(&report);
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

static uint32_t group_of(uint32_t number)
{
    return tm_sites_group(&file, &report.sites, number);
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-6 * (1 + fabs(expected)))
        fail_msg("%.9g is not %.9g", value, expected);
}

static void test_by_hand(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    load(&parts);
    static const uint32_t order[] = {3, 1, 2};
    static const double back[] = {20480, 28672, 36864};
    static const double held[] = {3072, 11008, 18816};
    assert_int_equal(report.plan.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(report.plan.steps[i].count, 1);
        assert_int_equal(report.plan.steps[i].groups[0], group_of(order[i]));
        assert_near(report.plan.steps[i].back.value, back[i]);
        assert_near(report.plan.steps[i].held.value, held[i]);
        assert_near(report.plan.steps[i].spans.value, 12288);
        assert_true(report.plan.steps[i].back.exact);
    }
    unload();
}

static void test_sampled(void **state)
{
    (void)state;
    struct sites_parts parts = sites_sampled();
    load(&parts);
    assert_int_equal(report.plan.count, 2);
    assert_near(report.plan.steps[0].back.value, 24576);
    assert_int_equal(report.plan.steps[1].count, 2);
    const struct tm_plan_step *last = &report.plan.steps[1];
    assert_near(last->pages.value, 9 * 4096);
    assert_near(last->back.value, 9 * 4096 + 12288);
    assert_near(last->held.value, 6.2 * 3840 + 5120);
    assert_false(last->back.exact);
    assert_true(last->back.low < last->back.value && last->back.high > last->back.value);
    unload();
}

static void add_set(struct sites_parts *parts, uint32_t pages, uint32_t count,
                    const uint32_t *sites)
{
    struct tm_snapshot_set *set = &parts->sets[parts->set_count++];
    *set = (struct tm_snapshot_set){.first_member = (uint32_t)parts->member_count,
                                    .members = count,
                                    .pages = pages,
                                    .resident_bytes = pages * 4096ULL,
                                    .held_bytes = pages * 4000ULL};
    memcpy(parts->members + parts->member_count, sites, count * sizeof *sites);
    parts->member_count += count;
}

/* Three sites on stacks of their own, sets as the test wants, no large blocks. */
static struct sites_parts coalition_parts(void)
{
    struct sites_parts parts = sites_hand_made();
    parts.frames[10].address = 0x2004;
    parts.set_count = 0;
    parts.member_count = 0;
    parts.sites[2].span_resident_bytes = 0;
    return parts;
}

static void test_coalitions(void **state)
{
    (void)state;
    /* 1 alone frees nothing, 1 and 2 together 1000 pages, 3 alone 10. */
    struct sites_parts parts = coalition_parts();
    add_set(&parts, 1000, 2, (const uint32_t[]){1, 2});
    add_set(&parts, 10, 1, (const uint32_t[]){3});
    load(&parts);
    assert_int_equal(report.plan.count, 2);
    assert_int_equal(report.plan.steps[0].count, 2);
    assert_near(report.plan.steps[0].back.value, 1000 * 4096.0);
    assert_int_equal(report.plan.steps[1].groups[0], group_of(3));
    assert_near(report.plan.steps[1].back.value, 1010 * 4096.0);
    unload();
    /* Three together bring more for each than two, with the pages of each two counted in. */
    parts = coalition_parts();
    add_set(&parts, 50, 2, (const uint32_t[]){1, 2});
    add_set(&parts, 60, 2, (const uint32_t[]){2, 3});
    add_set(&parts, 45, 3, (const uint32_t[]){1, 2, 3});
    add_set(&parts, 40, 1, (const uint32_t[]){4});
    load(&parts);
    assert_int_equal(report.plan.steps[0].count, 3);
    assert_near(report.plan.steps[0].back.value, 155 * 4096.0);
    assert_int_equal(report.plan.count, 2);
    unload();
    /* Large blocks of those who hold pages together count, too: 1 and 2 bring 50 for each. */
    parts = coalition_parts();
    add_set(&parts, 40, 2, (const uint32_t[]){1, 2});
    add_set(&parts, 45, 1, (const uint32_t[]){3});
    parts.sites[0].span_resident_bytes = parts.sites[1].span_resident_bytes = 30 * 4096;
    load(&parts);
    assert_int_equal(report.plan.steps[0].count, 2);
    assert_near(report.plan.steps[0].back.value, 100 * 4096.0);
    unload();
    /* A step that adds next to nothing is none. */
    parts = coalition_parts();
    add_set(&parts, 1000, 1, (const uint32_t[]){1});
    add_set(&parts, 9, 1, (const uint32_t[]){3});
    load(&parts);
    assert_int_equal(report.plan.count, 1);
    unload();
    /* What is not recorded cannot be fixed. */
    parts = coalition_parts();
    add_set(&parts, 1000, 2, (const uint32_t[]){0, 1});
    add_set(&parts, 1000, 1, (const uint32_t[]){0});
    load(&parts);
    assert_int_equal(report.plan.count, 0);
    unload();
    /* Nor what is not listed. */
    parts = coalition_parts();
    add_set(&parts, 1000, 1, (const uint32_t[]){1});
    parts.sets[0].members = TM_SET_MANY;
    load(&parts);
    assert_int_equal(report.plan.count, 0);
    assert_near(report.held.crowded.value, 1000 * 4000);
    unload();
}

/* Bytes that come back when exactly the groups in the mask are fixed. */
static double brute_force(uint32_t fixed)
{
    double bytes = 0;
    for (size_t i = 0; i < file.set_count; i++) {
        bool covered = true;
        for (uint32_t k = 0; k < report.held.sets[i].count; k++) {
            uint32_t group = report.held.members[report.held.sets[i].first + k];
            covered = covered && group != TM_GROUP_UNKNOWN && (fixed >> group & 1);
        }
        if (covered && report.held.sets[i].count > 0)
            bytes += (double)file.sets[i].resident_bytes *
                     tm_ratio_factor(&report.held.resident, file.sets[i].size_class);
    }
    return bytes;
}

/* The most that any choice brings for each group added: one group, or those that a set of pages
 * still misses, up to `room`. */
static double best_choice(uint32_t fixed, size_t room)
{
    double before = brute_force(fixed);
    double best = 0;
    for (uint32_t i = 1; i < report.sites.count; i++)
        if (!(fixed >> i & 1))
            best = fmax(best, brute_force(fixed | 1U << i) - before);
    for (size_t i = 0; i < file.set_count; i++) {
        uint32_t missing = 0;
        for (uint32_t k = 0; k < report.held.sets[i].count; k++)
            missing |= 1U << report.held.members[report.held.sets[i].first + k];
        missing &= ~fixed;
        unsigned count = (unsigned)__builtin_popcount(missing);
        if (count > 0 && count <= room && !(missing & 1U << TM_GROUP_UNKNOWN))
            best = fmax(best, (brute_force(fixed | missing) - before) / count);
    }
    return best;
}

/* Each step is the best that its rule allows, and its figures are those of the groups fixed so far.
 */
static void test_random_against_brute_force(void **state)
{
    (void)state;
    unsigned together = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        fixture_random_sites(&fixture, seed, 9, 40, 2 + (uint32_t)(seed % 5));
        load_fixture();
        assert_true(report.sites.count <= 10);
        uint32_t fixed = 0;
        size_t room = TM_PLAN_GROUPS;
        for (size_t i = 0; i < report.plan.count; i++) {
            const struct tm_plan_step *step = &report.plan.steps[i];
            double before = brute_force(fixed);
            double best = best_choice(fixed, room);
            for (size_t k = 0; k < step->count; k++)
                fixed |= 1U << step->groups[k];
            assert_near(step->pages.value, brute_force(fixed));
            assert_near((brute_force(fixed) - before) / (double)step->count, best);
            room -= step->count;
            together += step->count > 1;
        }
        if (room > 0) /* the plan ended because next to nothing was left to bring */
            assert_true(best_choice(fixed, room) * (double)room <
                        fmax(4096, brute_force(fixed) * 0.01 * TM_PLAN_GROUPS));
        unload();
    }
    assert_true(together > 20);
}

static void test_large(void **state)
{
    (void)state;
    struct timespec start;
    struct timespec end;
    fixture_random_sites(&fixture, 5, 10000, 300000, 8);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    load_fixture();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    print_message("300,000 sets of up to 8 of 10,000 sites: %.1f s\n", seconds);
    assert_true(report.plan.count > 0);
    assert_true(seconds < 60);
    unload();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),    cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_coalitions), cmocka_unit_test(test_random_against_brute_force),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
