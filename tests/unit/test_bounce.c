/* What is purged and taken again soon earns a bonus, and a bonus that is not used goes (bounce.h).
 * The clock is the test's own. */
#include "tests/unit/unit.h"

#include "allocator/bounce.h"
#include "tests/unit/fake_clock.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static void nothing_is_earned_by_what_was_never_purged(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_back(&bounce, 10 * MIB);
    assert_int_equal(bounce.bonus, 0);
    tm_bounce_look(&bounce, 10 * MIB);
    assert_int_equal(bounce.bonus, 0);
}

static void what_comes_back_within_a_second_is_earned_once(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, MIB);
    fake_clock_pass(999);
    tm_bounce_back(&bounce, 400 * KIB);
    assert_int_equal(bounce.bonus, 400 * KIB);
    assert_int_equal(bounce.gone, 624 * KIB);
    /* More than went: the rest is memory that the program never had. */
    tm_bounce_back(&bounce, 10 * MIB);
    assert_int_equal(bounce.bonus, MIB);
    tm_bounce_back(&bounce, 10 * MIB);
    assert_int_equal(bounce.bonus, MIB);
}

static void purges_of_one_second_add_up(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    for (int i = 0; i < 10; i++) {
        tm_bounce_gone(&bounce, MIB);
        fake_clock_pass(100);
    }
    tm_bounce_back(&bounce, 20 * MIB);
    assert_int_equal(bounce.bonus, 10 * MIB);
}

/* The window of a purge is that of the second it falls into: one to two seconds. */
static void a_purge_late_in_its_second_still_has_a_second(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, MIB);
    fake_clock_pass(1000);
    tm_bounce_gone(&bounce, MIB);
    fake_clock_pass(1000);
    tm_bounce_back(&bounce, 5 * MIB);
    assert_int_equal(bounce.bonus, 2 * MIB);
}

static void nothing_is_earned_after_two_seconds(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, MIB);
    fake_clock_pass(2001);
    tm_bounce_back(&bounce, MIB);
    assert_int_equal(bounce.bonus, 0);
    /* And it is forgotten, not put off. */
    tm_bounce_back(&bounce, MIB);
    assert_int_equal(bounce.bonus, 0);
}

static void a_later_purge_opens_a_window_of_its_own(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, 50 * MIB);
    fake_clock_pass(1500);
    tm_bounce_gone(&bounce, MIB);
    fake_clock_pass(900);
    tm_bounce_back(&bounce, 50 * MIB);
    assert_int_equal(bounce.bonus, MIB);
}

/* With 8 MiB earned, at the end of a second of which the held bytes went from `least` to `most`. */
static size_t bonus_after_a_second(size_t least, size_t most)
{
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, 8 * MIB);
    tm_bounce_back(&bounce, 8 * MIB);
    fake_clock_pass(1001);
    tm_bounce_look(&bounce, least); /* the second with the purge ends; what follows is looked at */
    bounce.bonus = 8 * MIB;
    bounce.gone = MIB;
    tm_bounce_look(&bounce, most);
    fake_clock_pass(1000);
    tm_bounce_look(&bounce, least);
    assert_int_equal(bounce.bonus, 8 * MIB); /* not before the second is over */
    assert_int_equal(bounce.gone, MIB);
    fake_clock_pass(1);
    tm_bounce_look(&bounce, least);
    assert_int_equal(bounce.gone, 0); /* what went in that second is past */
    return bounce.bonus;
}

static void a_bonus_that_is_used_stays(void **state)
{
    (void)state;
    assert_int_equal(bonus_after_a_second(0, 8 * MIB), 8 * MIB);
    assert_int_equal(bonus_after_a_second(4 * MIB, 8 * MIB), 8 * MIB);
}

static void a_bonus_that_is_used_in_part_shrinks(void **state)
{
    (void)state;
    assert_int_equal(bonus_after_a_second(0, MIB), 2 * MIB);
    assert_int_equal(bonus_after_a_second(6 * MIB, 8 * MIB), 4 * MIB);
}

static void a_bonus_of_which_three_quarters_lie_idle_goes(void **state)
{
    (void)state;
    assert_int_equal(bonus_after_a_second(8 * MIB, 8 * MIB), 0);
    assert_int_equal(bonus_after_a_second(0, 0), 0);
    assert_int_equal(bonus_after_a_second(6 * MIB + 1, 8 * MIB), 0);
}

static void idleness_ends_a_bonus(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    tm_bounce_gone(&bounce, MIB);
    tm_bounce_back(&bounce, MIB);
    tm_bounce_look(&bounce, 0);
    tm_bounce_look(&bounce, MIB); /* used as far as that goes */
    fake_clock_pass(2001);
    tm_bounce_look(&bounce, 0);
    assert_int_equal(bounce.bonus, 0);
}

/* A program that fills and empties `top` bytes every `period_ms`, and a cache with a budget of 1
 * MiB that purges what exceeds it. Returns the bytes purged in the last of some rounds. */
static size_t purged_in_the_end(struct tm_bounce *bounce, size_t top, uint64_t period_ms)
{
    enum { ROUNDS = 20 };
    size_t cached = 0, purged = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t fresh = top > cached ? top - cached : 0;
        cached -= top - fresh;
        tm_bounce_back(bounce, fresh);
        tm_bounce_look(bounce, cached);
        fake_clock_pass(period_ms / 2);
        cached += top;
        tm_bounce_look(bounce, cached);
        size_t may = MIB + bounce->bonus;
        purged = cached > may ? cached - may : 0;
        if (purged != 0)
            tm_bounce_gone(bounce, purged);
        cached -= purged;
        fake_clock_pass(period_ms / 2);
    }
    return purged;
}

static void a_fast_cycle_comes_to_purge_nothing(void **state)
{
    (void)state;
    const uint64_t periods[] = {10, 100, 300, 600};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        struct tm_bounce bounce = {0};
        assert_int_equal(purged_in_the_end(&bounce, 10 * MIB, periods[i]), 0);
    }
}

static void a_slow_cycle_purges_each_time(void **state)
{
    (void)state;
    struct tm_bounce bounce = {0};
    assert_int_equal(purged_in_the_end(&bounce, 10 * MIB, 6000), 9 * MIB);
    assert_int_equal(bounce.bonus, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_earned_by_what_was_never_purged),
        cmocka_unit_test(what_comes_back_within_a_second_is_earned_once),
        cmocka_unit_test(purges_of_one_second_add_up),
        cmocka_unit_test(a_purge_late_in_its_second_still_has_a_second),
        cmocka_unit_test(nothing_is_earned_after_two_seconds),
        cmocka_unit_test(a_later_purge_opens_a_window_of_its_own),
        cmocka_unit_test(a_bonus_that_is_used_stays),
        cmocka_unit_test(a_bonus_that_is_used_in_part_shrinks),
        cmocka_unit_test(a_bonus_of_which_three_quarters_lie_idle_goes),
        cmocka_unit_test(idleness_ends_a_bonus),
        cmocka_unit_test(a_fast_cycle_comes_to_purge_nothing),
        cmocka_unit_test(a_slow_cycle_purges_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
