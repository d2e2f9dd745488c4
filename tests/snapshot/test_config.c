/* test_config.c: TIDEMARK's keys: what is taken, what is refused, and that a refusal leaves the
 * default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/config.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/memory_limit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct tm_config config;

static uint64_t memory_limit;
static unsigned limit_reads;

uint64_t tm_memory_limit(void)
{
    limit_reads++;
    return memory_limit;
}

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
    assert_int_equal(config.record.sites, TM_SITES_OFF);
    assert_int_equal(config.record.rate_bytes, 512 * 1024);
    assert_false(config.record.by_thread);
    assert_int_equal(config.record.seed, 0);
    assert_true(config.record.children);
    assert_int_equal(config.record.at_bytes, 0);
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
    assert_int_equal(complaints("out=/x\nsites=all"), 1); /* a line of the snapshot's each */
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

static void check(void **state)
{
    (void)state;
    assert_int_equal(complaints(""), 0);
    assert_false(config.check_full);
    assert_int_equal(complaints("check=full"), 0);
    assert_true(config.check_full);
    assert_int_equal(complaints("check=full,check=fast"), 0);
    assert_false(config.check_full);
    assert_int_equal(complaints("check=slow"), 1);
    assert_false(config.check_full);
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

static void call_sites(void **state)
{
    (void)state;
    assert_int_equal(complaints("sites=sample"), 0);
    assert_int_equal(config.record.sites, TM_SITES_SAMPLE);
    assert_int_equal(complaints("sites=all"), 0);
    assert_int_equal(config.record.sites, TM_SITES_ALL);
    assert_int_equal(complaints("sites=all,sites=off"), 0);
    assert_int_equal(config.record.sites, TM_SITES_OFF);
    static const char *const bad[] = {"sites=", "sites=on", "sites=ALL", "sites=sampled",
                                      "sites=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(complaints(bad[i]), 1);
        assert_int_equal(config.record.sites, TM_SITES_OFF);
    }
}

static void rates(void **state)
{
    static const struct {
        const char *value;
        uint64_t bytes; /* 0: refused */
    } cases[] = {
        {"rate=1", 1},
        {"rate=65536", 65536},
        {"rate=64K", 65536},
        {"rate=2M", 2 << 20},
        {"rate=3G", UINT64_C(3) << 30},
        {"rate=0", 0},
        {"rate=0K", 0},
        {"rate=", 0},
        {"rate=K", 0},
        {"rate=64k", 0},
        {"rate=64KB", 0},
        {"rate=-1", 0},
        {"rate=10%", 0},
        {"rate=18446744073709551616", 0},
        {"rate=17179869184G", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(complaints(cases[i].value), cases[i].bytes == 0);
        assert_int_equal(config.record.rate_bytes, cases[i].bytes == 0 ? 524288 : cases[i].bytes);
    }
}

static void threads_seed_children(void **state)
{
    (void)state;
    assert_int_equal(complaints("threads=yes,seed=18446744073709551615,children=no"), 0);
    assert_true(config.record.by_thread);
    assert_true(config.record.seed == UINT64_MAX);
    assert_false(config.record.children);
    assert_int_equal(complaints("threads=yes,threads=no,children=no,children=yes,seed=0"), 0);
    assert_false(config.record.by_thread);
    assert_true(config.record.children);
    assert_int_equal(complaints("threads=1,children=0,seed=12x"), 3);
    assert_int_equal(complaints("threads=,children=,seed="), 3);
    assert_int_equal(complaints("threads=Yes,children=off,seed=18446744073709551616"), 3);
    assert_false(config.record.by_thread);
    assert_true(config.record.children);
    assert_int_equal(config.record.seed, 0);
}

static void live_or_not(void **state)
{
    (void)state;
    complaints("");
    assert_true(config.record.live);
    assert_int_equal(complaints("live=no"), 0);
    assert_false(config.record.live);
    assert_int_equal(complaints("live=no,live=yes"), 0);
    assert_true(config.record.live);
    assert_int_equal(complaints("live=1,live=,live=off"), 3);
    assert_true(config.record.live);
    /* Nobody else may read what a set-id process does. */
    assert_int_equal(tm_config_read("live=yes", false, &config), 0);
    assert_false(config.record.live);
}

static void thresholds(void **state)
{
    (void)state;
    memory_limit = 1000000;
    limit_reads = 0;
    assert_int_equal(complaints("at=500M"), 0);
    assert_int_equal(config.record.at_bytes, 500 << 20);
    assert_int_equal(complaints("at=500M,at=off"), 0);
    assert_int_equal(config.record.at_bytes, 0);
    assert_int_equal(limit_reads, 0); /* no file is opened that nobody asked about */
    assert_int_equal(complaints("at=80%"), 0);
    assert_int_equal(config.record.at_bytes, 800000);
    assert_int_equal(complaints("at=100%"), 0);
    assert_int_equal(config.record.at_bytes, 1000000);
    assert_int_equal(complaints("at=1%"), 0);
    assert_int_equal(config.record.at_bytes, 10000);
    static const char *const bad[] = {"at=",    "at=101%", "at=0%", "at=%",  "at=5%%",
                                      "at=-1%", "at=5KB",  "at=5k", "at=on", "at=9999999999G"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(complaints(bad[i]), 1);
        assert_int_equal(config.record.at_bytes, 0);
    }
    memory_limit = UINT64_MAX; /* no overflow */
    assert_int_equal(complaints("at=50%"), 0);
    assert_true(config.record.at_bytes > UINT64_MAX / 2 - 100);
    memory_limit = 0; /* not known */
    assert_int_equal(complaints("at=50%"), 1);
    assert_int_equal(config.record.at_bytes, 0);
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
    assert_string_equal(
        config.record.lines,
        "sites=off\nrate=524288\nthreads=no\nseed=0\nsignal=none\nout=/x.%n\n"
        "exit=snapshot\nat=off\ntimeline=1000ms\nchildren=yes\nlive=yes\nretain=10%\ncheck=fast\n");
    memory_limit = 1000000;
    complaints("sites=all,rate=1K,threads=yes,seed=7,signal=12,out=/x,at=50%,timeline=off,"
               "children=no,retain=4K,check=full");
    assert_string_equal(
        config.record.lines,
        "sites=all\nrate=1024\nthreads=yes\nseed=7\nsignal=12\nout=/x\n"
        "exit=none\nat=500000\ntimeline=off\nchildren=no\nlive=yes\nretain=4096\ncheck=full\n");
    complaints("sites=sample");
    assert_non_null(strstr(config.record.lines, "sites=sample\n"));
    assert_non_null(strstr(config.record.lines, "retain=default\n"));
}

/* The longest out leaves room for the rest. */
static void lines_fit(void **state)
{
    char value[1200] = "seed=18446744073709551615,rate=1G,at=1G,out=/";
    size_t used = strlen(value);
    (void)state;
    memset(value + used, 'a', TM_OUT_BYTES - 2);
    assert_int_equal(complaints(value), 0);
    assert_non_null(strstr(config.record.lines, "\nretain=default\n"));
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
        cmocka_unit_test(check),
        cmocka_unit_test(call_sites),
        cmocka_unit_test(rates),
        cmocka_unit_test(threads_seed_children),
        cmocka_unit_test(live_or_not),
        cmocka_unit_test(thresholds),
        cmocka_unit_test(one_complaint_for_each),
        cmocka_unit_test(lines_in_force),
        cmocka_unit_test(lines_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
