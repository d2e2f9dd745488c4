/* test_read_sites.c: what the reader takes and refuses of call sites. Each case spoils one field of
 * a file that is sound.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/snapshot_read.h"
#include "profiler/report/snapshot_read_sites.h"
#include "tests/report/sites_fixture.h"

#include <math.h>
#include <string.h>

static struct tm_snapshot_file file;
static struct tm_snapshot_error error;

static void assert_refused(const struct sites_parts *parts, const char *words)
{
    struct fixture fixture;
    fixture_sites(&fixture, parts);
    bool taken = tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error);
    if (taken)
        fail_msg("taken, and should be refused with '%s'", words);
    if (!strstr(error.text, words) || !strstr(error.text, "is damaged: "))
        fail_msg("'%s' is not in '%s'", words, error.text);
    fixture_free(&fixture);
}

static void test_takes_what_is_sound(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sites_parts parts = sites_hand_made();
    size_t index;
    fixture_sites(&fixture, &parts);
    if (!tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error))
        fail_msg("%s", error.text);
    assert_true(file.has_recording);
    assert_int_equal(file.recording.sites, TM_SITES_ALL);
    assert_int_equal(file.frame_count, 11);
    assert_int_equal(file.frames[5].address, 0x2003);
    assert_int_equal(file.site_count, 4);
    assert_int_equal(file.sites[2].span_resident_bytes, 12288);
    assert_int_equal(file.held_count, 6);
    assert_int_equal(file.set_count, 6);
    assert_int_equal(file.member_count, 10);
    assert_int_equal(file.members[2], 4);
    assert_true(tm_snapshot_site_known(&file, 3, &index));
    assert_int_equal(index, 2);
    assert_false(tm_snapshot_site_known(&file, 5, &index));
    assert_false(tm_snapshot_site_known(&file, 0, &index));
    tm_snapshot_free(&file);
    fixture_free(&fixture);
}

static void test_recording(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.has_recording = false;
    assert_refused(&parts, "has call sites and no section RECO");
    parts = sites_hand_made();
    parts.recording.sites = 3;
    assert_refused(&parts, "in mode 3");
    parts = sites_hand_made();
    parts.recording.identity_groups = 5000;
    assert_refused(&parts, "in 5000 groups");
    parts = sites_hand_made();
    parts.recording.peak_bytes = UINT64_MAX;
    assert_refused(&parts, "a peak of 18446744073709551615");
    parts = sites_hand_made();
    parts.pools[1].chosen_page = 4;
    assert_refused(&parts, "page 4 of pool 1 is chosen, which has 4");
    parts = sites_hand_made();
    parts.recording.lifetime_ns[3] = 0;
    assert_refused(&parts, "step 3 of lifetimes ends before step 2");
}

static void test_sites(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.frames[5].parent = 5;
    assert_refused(&parts, "frame 5 was called by frame 5");
    parts = sites_hand_made();
    parts.sites[0].number = 0;
    assert_refused(&parts, "has the number 0");
    parts = sites_hand_made();
    parts.sites[3].number = 3;
    assert_refused(&parts, "site 3 comes after site 3");
    parts = sites_hand_made();
    parts.sites[1].frame = 11;
    assert_refused(&parts, "site 2 names frame 11 of 11");
    parts = sites_hand_made();
    parts.sites[1].live_bytes = UINT64_C(1) << 57;
    assert_refused(&parts, "site 2 has a figure of");
    parts = sites_hand_made();
    parts.sites[1].ended_blocks[7] = UINT64_MAX;
    assert_refused(&parts, "site 2 has a count of");
    parts = sites_hand_made();
    parts.sites[1].born_blocks[15] = UINT64_MAX;
    assert_refused(&parts, "site 2 has a count of");
    static const double bad[] = {-1, NAN, INFINITY, 1e40};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        parts = sites_hand_made();
        parts.sites[1].live_bytes_variance = bad[i];
        assert_refused(&parts, "site 2 has a variance that is none");
        parts = sites_hand_made();
        parts.sites[1].live_blocks_variance = bad[i];
        assert_refused(&parts, "site 2 has a variance that is none");
        parts = sites_hand_made();
        parts.sites[1].allocated_bytes_variance = bad[i];
        assert_refused(&parts, "site 2 has a variance that is none");
    }
}

static void test_charges(void **state)
{
    (void)state;
    struct sites_parts parts = sites_hand_made();
    parts.held[1].size_class = 3;
    assert_refused(&parts, "HELD record 1 names size class 3 of 3");
    parts = sites_hand_made();
    parts.held[1].group = 1;
    assert_refused(&parts, "HELD record 1 names group 1 of 1");
    parts = sites_hand_made();
    parts.held[1].site = 9;
    assert_refused(&parts, "HELD record 1 names site 9, which is not there");
    parts = sites_hand_made();
    parts.held[1].share_bytes = UINT64_MAX;
    assert_refused(&parts, "HELD record 1 charges");
    parts = sites_hand_made();
    parts.sets[2].size_class = 3;
    assert_refused(&parts, "SETS record 2 names size class 3 of 3");
    parts = sites_hand_made();
    parts.sets[2].group = 1;
    assert_refused(&parts, "SETS record 2 names group 1 of 1");
    parts = sites_hand_made();
    parts.sets[5].first_member = 9;
    assert_refused(&parts, "SETS record 5 has 2 members from 9 of 10");
    parts = sites_hand_made();
    parts.sets[5].first_member = UINT32_MAX;
    assert_refused(&parts, "SETS record 5 has 2 members");
    parts = sites_hand_made();
    parts.sets[5].members = 0;
    assert_refused(&parts, "SETS record 5 has 0 members");
    parts = sites_hand_made();
    parts.sets[5].members = 65;
    assert_refused(&parts, "SETS record 5 has 65 members");
    parts = sites_hand_made();
    parts.sets[5].held_bytes = 4097;
    assert_refused(&parts, "SETS record 5 holds 4097 of 4096");
    parts = sites_hand_made();
    parts.members[9] = 8;
    assert_refused(&parts, "MEMBERS record 9 names site 8");
}

/* One chain of frames and so many sites at its end, each of whose stacks is all of it. */
static bool is_taken(size_t depth, size_t sites)
{
    char words[256] = "";
    struct tm_snapshot_frame *frames = test_calloc(depth + 1, sizeof *frames);
    struct tm_snapshot_site *of_end = test_calloc(sites, sizeof *of_end);
    for (uint32_t i = 1; i <= depth; i++)
        frames[i].parent = i - 1;
    for (uint32_t i = 0; i < sites; i++) {
        of_end[i].number = i + 1;
        of_end[i].frame = (uint32_t)depth;
    }
    const struct tm_snapshot_file chain = {.has_recording = true,
                                           .frames = frames,
                                           .frame_count = depth + 1,
                                           .sites = of_end,
                                           .site_count = sites};
    bool taken = tm_snapshot_sites_sound(&chain, words, sizeof words);
    if (!taken)
        assert_non_null(strstr(words, "more than are ever recorded"));
    test_free(frames);
    test_free(of_end);
    return taken;
}

/* What every format would write out. */
static void test_stacks_together(void **state)
{
    (void)state;
    assert_true(is_taken(64, 131072));
    assert_true(is_taken(100000, 100));
    assert_false(is_taken(5000, 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_is_sound),
        cmocka_unit_test(test_recording),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_charges),
        cmocka_unit_test(test_stacks_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
