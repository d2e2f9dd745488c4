/* test_tally.c: records that are found again by a key, many of them, some with the same key, and
 * where memory ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/record/tally.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 50000 }; /* the index grows four times */

struct record {
    uint64_t name, times;
};

static bool has_name(const void *record, const void *context)
{
    return ((const struct record *)record)->name == *(const uint64_t *)context;
}

static struct record *find(struct tm_tally *tally, uint64_t key, uint64_t name)
{
    struct record fresh = {name, 0};
    return tm_tally_find(tally, key, has_name, &name, &fresh, sizeof fresh);
}

static void each_is_found_again(void **state)
{
    struct tm_tally tally;
    (void)state;
    memset(&tally, 0, sizeof tally);
    for (unsigned round = 0; round < 3; round++)
        for (uint64_t i = 0; i < MANY; i++) {
            struct record *record = find(&tally, i / 3, i); /* each key is three records' */
            assert_non_null(record);
            assert_int_equal(record->name, i);
            assert_int_equal(record->times++, round);
        }
    assert_int_equal(tally.count, MANY);
    const struct record *records = (const struct record *)(const void *)tally.records.base;
    for (uint64_t i = 0; i < MANY; i++) { /* in the order in which they came */
        assert_int_equal(records[i].name, i);
        assert_int_equal(records[i].times, 3);
    }
    /* Without a question any record of that key will do. */
    struct record fresh = {MANY, 0};
    struct record *first = tm_tally_find(&tally, 7, NULL, NULL, &fresh, sizeof fresh);
    assert_int_equal(first->name / 3, 7);
    assert_int_equal(tally.count, MANY);
    tm_tally_free(&tally);
    assert_int_equal(tally.count, 0);
    assert_null(tally.records.base);
    assert_int_equal(find(&tally, 1, 1)->times, 0); /* and can be used again */
    tm_tally_free(&tally);
}

/* Fills one under a limit of address space; the exit status tells what was wrong. */
static int fill_under(rlim_t limit)
{
    struct tm_tally tally;
    uint64_t filled = 0;
    memset(&tally, 0, sizeof tally);
    if (find(&tally, 0, 0) == NULL || setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}) != 0)
        return 1;
    while (filled < UINT64_C(1) << 30 && find(&tally, filled, filled) != NULL)
        filled++;
    if (tally.records.error != ENOMEM || tally.count != filled)
        return 2;
    if (find(&tally, 0, 0) != NULL) /* it cannot be trusted to be whole any more */
        return 3;
    const struct record *records = (const struct record *)(const void *)tally.records.base;
    for (uint64_t i = 0; i < filled; i++)
        if (records[i].name != i)
            return 4;
    tm_tally_free(&tally);
    return 0;
}

static void without_memory_it_says_so(void **state)
{
    /* Of what there is now nothing more; and so much more that the index, or the records, are what
     * does not fit. */
    static const rlim_t limits[] = {1, 24 << 20, 40 << 20, 64 << 20};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(fill_under(limits[i]));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_again),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
