/* test_config.c: TIDEMARK's keys: what is taken, what is refused, and that a refusal leaves the
 * default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct tm_config config;

static unsigned complaints(const char *value)
{
    return tm_config_read(value, true, &config);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(complaints(NULL), 0);
    assert_int_equal(config.record.signal, SIGUSR2);
    assert_int_equal(config.record.exit_kind, TM_EXIT_NONE);
    assert_int_equal(config.record.timeline_ns, 100000000);
    assert_string_equal(config.record.out, "/tmp/tidemark.%e.%p.%n.heap");
    assert_false(config.retain_set);
    assert_int_equal(complaints(""), 0);
    assert_int_equal(complaints(",,"), 0);
}

static void set_id_process(void **state)
{
    (void)state;
    assert_int_equal(tm_config_read("out=/etc/x,exit=snapshot,nonsense", false, &config), 0);
    assert_int_equal(config.record.signal, 0);
    assert_int_equal(config.record.exit_kind, TM_EXIT_NONE);
    assert_string_equal(config.record.out, "/tmp/tidemark.%e.%p.%n.heap");
}

static void signals(void **state)
{
    static const struct {
        const char *value;
        int number; /* -1: refused */
    } cases[] = {
        {"USR1", SIGUSR1},
        {"SIGUSR1", SIGUSR1},
        {"none", 0},
        {"0", 0},
        {"12", 12},
        {"RTMIN", -2},
        {"RTMIN+3", -2},
        {"SIGRTMAX-1", -2},
        {"WINCH", SIGWINCH},
        {"64", 64},
        {"RTMIN+31", -1},
        {"RTMAX-31", -1},
        {"65", -1},
        {"32", -1},
        {"33", -1},
        {"KILL", -1},
        {"9", -1},
        {"SIGSTOP", -1},
        {"SEGV", -1},
        {"CHLD", -1},
        {"usr2", -1},
        {"", -1},
        {"RTMIN+", -1},
        {"RTMIN+x", -1},
        {"USR2 ", -1},
        {"-1", -1},
        {"4294967308", -1},
        {"RTMIN3", -1},
        {"SIG", -1},
        {"RTMIN+4294967296", -1},
        {"18446744073709551628", -1},
    };
    char value[128];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(value, sizeof value, "signal=%s", cases[i].value);
        unsigned wrong = complaints(value);
        if (cases[i].number == -1) {
            assert_int_equal(wrong, 1);
            assert_int_equal(config.record.signal, SIGUSR2);
        } else {
            assert_int_equal(wrong, 0);
            if (cases[i].number >= 0)
                assert_int_equal(config.record.signal, cases[i].number);
        }
    }
    complaints("signal=RTMIN+3");
    assert_int_equal(config.record.signal, SIGRTMIN + 3);
    complaints("signal=RTMAX-1");
    assert_int_equal(config.record.signal, SIGRTMAX - 1);
}

static void out_patterns(void **state)
{
    char value[1200] = "out=/";
    (void)state;
    assert_int_equal(complaints("out=/a/%p.%n.%e%%x"), 0);
    assert_string_equal(config.record.out, "/a/%p.%n.%e%%x");
    assert_int_equal(complaints("out=relative"), 0);
    assert_int_equal(complaints("out="), 1);
    assert_int_equal(complaints("out=/dir/"), 1);
    assert_int_equal(complaints("out=/x%q"), 1);
    assert_int_equal(complaints("out=/x%"), 1);
    assert_string_equal(config.record.out, "/tmp/tidemark.%e.%p.%n.heap");
    memset(value + 5, 'a', TM_OUT_BYTES - 2);
    assert_int_equal(complaints(value), 0); /* 511 bytes: the longest */
    assert_int_equal(strlen(config.record.out), TM_OUT_BYTES - 1);
    value[5 + TM_OUT_BYTES - 2] = 'a';
    assert_int_equal(complaints(value), 1);
}

static void intervals(void **state)
{
    (void)state;
    assert_int_equal(complaints("timeline=250ms"), 0);
    assert_int_equal(config.record.timeline_ns, 250000000);
    assert_int_equal(complaints("timeline=2s"), 0);
    assert_int_equal(config.record.timeline_ns, 2000000000);
    assert_int_equal(complaints("timeline=off"), 0);
    assert_int_equal(config.record.timeline_ns, 0);
    assert_int_equal(complaints("timeline=0"), 0);
    assert_int_equal(config.record.timeline_ns, 0);
    assert_int_equal(complaints("timeline=100"), 1);
    assert_int_equal(complaints("timeline=0ms"), 1);
    assert_int_equal(complaints("timeline=3601s"), 1);
    assert_int_equal(complaints("timeline=18446744073709551615s"), 1);
    assert_int_equal(complaints("timeline=ms"), 1);
    assert_int_equal(config.record.timeline_ns, 100000000);
}

static void retain(void **state)
{
    (void)state;
    assert_int_equal(complaints("retain=64K"), 0);
    assert_true(config.retain_set && config.retain_bytes == 65536 && config.retain_percent == 0);
    assert_int_equal(complaints("retain=10%"), 0);
    assert_true(config.retain_set && config.retain_bytes == 0 && config.retain_percent == 10);
    assert_int_equal(complaints("retain=0"), 0);
    assert_true(config.retain_set && config.retain_bytes == 0 && config.retain_percent == 0);
    assert_int_equal(complaints("retain=2G"), 0);
    assert_true(config.retain_bytes == (size_t)2 << 30);
    assert_int_equal(complaints("retain=1001%"), 1);
    assert_int_equal(complaints("retain=9999999999G"), 1);
    assert_int_equal(complaints("retain=5KB"), 1);
    assert_int_equal(complaints("retain="), 1);
    assert_false(config.retain_set);
}

static void one_complaint_for_each(void **state)
{
    (void)state;
    assert_int_equal(complaints("foo=1,exit=maybe,bar,exit=summary,=,signal"), 5);
    assert_int_equal(config.record.exit_kind, TM_EXIT_SUMMARY);
    assert_int_equal(complaints("EXIT=none"), 1);
}

static void lines_in_force(void **state)
{
    (void)state;
    complaints("signal=none,out=/x.%n,exit=snapshot,timeline=1s,retain=10%");
    assert_string_equal(config.record.lines,
                        "signal=none\nout=/x.%n\nexit=snapshot\ntimeline=1000ms\nretain=10%\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(set_id_process),
        cmocka_unit_test(signals),
        cmocka_unit_test(out_patterns),
        cmocka_unit_test(intervals),
        cmocka_unit_test(retain),
        cmocka_unit_test(one_complaint_for_each),
        cmocka_unit_test(lines_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
