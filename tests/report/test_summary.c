/* test_summary.c: the lines of exit=summary on a census of the test's own: what is live, and what
 * is held free.
 */
#include "tests/report/cmocka_all.h"

#include "allocator/census.h"
#include "profiler/record/procfile.h"
#include "profiler/record/residency.h"
#include "profiler/record/summary.h"
#include "profiler/record/text.h"

#include <string.h>
#include <unistd.h>

static const uint64_t MIB = 1 << 20;

enum { MAPPING = 0x20000000, CACHED = 0x40000000 };

/* One arena with 10 pages resident, 100 blocks of 64 bytes and two pages in a span; a live mapping
 * of 20 MiB; a freed one of 30 MiB of which 12 are resident. */
unsigned tm_census_walk(const struct tm_census_visitor *visitor, void *context)
{
    static const struct tm_census_arena arena = {.base = 0x10000000, .kind = TM_CENSUS_ARENA_POOLS};
    static const struct tm_census_pool pool = {.base = 0x10000000, .pages = 16, .live = 100};
    const struct tm_census_span spans[] = {
        {0x10010000, 8192, TM_CENSUS_SPAN_PAGES, 0},
        {MAPPING, 20 * MIB, TM_CENSUS_SPAN_MAPPING, 0},
        {CACHED, 30 * MIB, TM_CENSUS_SPAN_CACHED, 0},
    };
    visitor->arena(&arena, context);
    visitor->pool(&pool, context);
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        visitor->span(&spans[i], context);
    return 0;
}

struct tm_census_class tm_census_class_at(unsigned size_class)
{
    (void)size_class;
    return (struct tm_census_class){.block_bytes = 64, .pool_bytes = 65536, .capacity = 1024};
}

void tm_census_counters(struct tm_census_counters *out)
{
    *out = (struct tm_census_counters){.purged_bytes = 3 * MIB, .purge_calls = 7};
}

bool tm_census_lock(unsigned tries)
{
    return tries > 0;
}

void tm_census_unlock(void) {}

void tm_residency_start(void) {}

void tm_residency_stop(void) {}

uint64_t tm_residency_mask(uintptr_t start)
{
    (void)start;
    return 0x3ff;
}

uint64_t tm_residency_bytes(uintptr_t start, uint64_t bytes)
{
    return start == CACHED ? 12 * MIB : bytes;
}

static void test_live_and_held(void **state)
{
    (void)state;
    static char said[4096];
    int ends[2];
    int before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(before >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    tm_say_start(); /* the pipe was there at start, so that it may be written to */
    tm_summary_say();
    dup2(before, STDERR_FILENO);
    close(ends[1]);
    size_t used = 0;
    for (ssize_t count; (count = read(ends[0], said + used, sizeof said - 1 - used)) > 0;)
        used += (size_t)count;
    close(ends[0]);
    close(before);
    /* Live: 6400 + 8192 bytes + 20 MiB. Held: 10 pages + 12 MiB - 6400 - 8192 bytes. */
    if (!strstr(said, "live 20.0 MiB in 102 blocks; held 12.0 MiB\n"))
        fail_msg("%s", said);
    if (!strstr(said, "gave back 3.0 MiB in 7 purges"))
        fail_msg("%s", said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_live_and_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
