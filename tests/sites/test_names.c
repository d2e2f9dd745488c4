/* test_names.c: on a page that was chosen the cell of every live block names who took it, whether
 * it is a sample or not, and pages are chosen with the same probability. Who took a block stands in
 * the block itself, too. And samples lie where they lead no other block's free off its way.
 */
#include <math.h>
#include <string.h>

#include "allocator/census.h"
#include "allocator/pool.h"
#include "tests/sites/sampler.h"

struct names {
    unsigned chosen, passed; /* pools */
    unsigned blocks, wrong;  /* live ones on chosen pages */
};

static void read_names(const struct tm_census_pool *pool, void *context)
{
    struct names *names = context;
    names->passed += pool->live != 0 && pool->identity == TM_POOL_PASSED;
    if (pool->live == 0 || pool->identity != TM_POOL_CHOSEN)
        return;
    names->chosen++;
    uint32_t size = tm_census_class_at(pool->size_class).block_bytes;
    for (uint32_t i = 0; i < pool->capacity; i++) {
        if ((pool->free_blocks[i / 64] >> (i % 64) & 1) != 0 ||
            i * size / TM_CENSUS_PAGE > pool->chosen_page ||
            ((i + 1) * size - 1) / TM_CENSUS_PAGE < pool->chosen_page)
            continue;
        uint64_t cell = pool->cells == NULL ? 0 : pool->cells[i];
        uint64_t owner = *(const uint64_t *)(pool->base + (uintptr_t)i * size);
        names->blocks++;
        names->wrong += site_in_cell(cell) != owner;
    }
}

static struct names look_at_names(void)
{
    struct names names = {0, 0, 0, 0};
    struct tm_census_visitor visitor = {.pool = read_names};
    assert_int_equal(tm_census_walk(&visitor, &names), 0);
    return names;
}

/* Takes and gives back at random; who survives is looked at now and then. */
static void churn_and_look(size_t size)
{
    enum { COUNT = 4000, TURNS = 40000 };
    static void *blocks[COUNT];
    static unsigned owner[COUNT];
    sampler_begin(1 << 20, 4);
    struct names names = {0, 0, 0, 0};
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned i = dice(COUNT);
        if (blocks[i] != NULL)
            give(owner[i], blocks[i]);
        owner[i] = dice(SITES);
        blocks[i] = dice(3) == 0 ? NULL : take(owner[i], size);
        if (turn % 4000 == 3999) {
            names = look_at_names();
            if (names.wrong != 0)
                fail_msg("%u of the %u live blocks of %zu bytes on chosen pages have a cell that "
                         "names another site",
                         names.wrong, names.blocks, size);
        }
    }
    assert_true(names.blocks > 0 && names.chosen > 0 && names.passed > 0);
    for (unsigned i = 0; i < COUNT; i++) {
        if (blocks[i] != NULL)
            give(owner[i], blocks[i]);
        blocks[i] = NULL;
    }
    check_nothing_live();
}

static void names_of_small_blocks(void **nothing)
{
    (void)nothing;
    churn_and_look(208);
}

static void names_of_warm_blocks(void **nothing)
{
    (void)nothing;
    churn_and_look(2000);
}

/* What was taken while nothing was recorded has no name, though its block had one before. */
static void names_after_a_pause(void **nothing)
{
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    (void)nothing;
    sampler_begin(1 << 20, 2);
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = take(0, 208);
    tm_sample_set(TM_SAMPLE_OFF, 1 << 20, 2);
    tm_sample_follow_now();
    for (unsigned i = 0; i < COUNT; i += 2) {
        give(0, blocks[i]);
        blocks[i] = NULL;
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        blocks[i] = tm_malloc(208);
        *(uint64_t *)blocks[i] = 0;
    }
    struct names names = look_at_names();
    if (names.wrong != 0)
        fail_msg("%u of the %u live blocks on chosen pages have a cell that names another site",
                 names.wrong, names.blocks);
    for (unsigned i = 0; i < COUNT; i++)
        tm_free(blocks[i]);
}

/* Each pool is chosen with the same probability, whatever is in it. */
static void how_many_are_chosen(void **nothing)
{
    enum { COUNT = 100000, ONE_IN = 8 };
    static void *blocks[COUNT];
    (void)nothing;
    sampler_begin(1 << 20, ONE_IN);
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = take(0, 1000);
    struct names names = look_at_names();
    double pools = names.chosen + names.passed;
    assert_true(pools > 1500);
    double off = names.chosen - pools / ONE_IN;
    assert_true(fabs(off) < SIGMAS * sqrt(pools / ONE_IN * (1 - 1.0 / ONE_IN)));
    assert_int_equal(names.wrong, 0);
    for (unsigned i = 0; i < COUNT; i++)
        give(0, blocks[i]);
    check_nothing_live();
}

static void names_of_what_others_free(void **nothing)
{
    static struct batch batches[3] = {{.site = 0}, {.site = 1}, {.site = 2}};
    (void)nothing;
    sampler_begin(2048, 3);
    for (unsigned round = 0; round < 30; round++) {
        take_batch(&batches[0]);
        in_thread(give_and_take, &batches[0]);
        give_and_take(&batches[1]);
        assert_int_equal(look_at_names().wrong, 0);
        for (unsigned i = 0; i < BATCH; i++)
            give(2, batches[2].blocks[i]);
        in_thread(take_batch, &batches[0]);
        for (unsigned i = 0; i < BATCH; i++)
            give(0, batches[0].blocks[i]);
        check_nothing_live();
    }
}

/* A sample lies in a pool that is no thread's, with what was in its block, so that frees of all
 * others are on the fast path. */
static void samples_lie_apart(void **nothing)
{
    enum { COUNT = 4000, SIZE = 100, GROWN = 300 };
    static unsigned char *blocks[COUNT];
    static const unsigned char zeros[SIZE];
    unsigned samples = 0;
    (void)nothing;
    sampler_begin(4096, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = tm_calloc(1, SIZE);
        assert_memory_equal(blocks[i], zeros, SIZE);
        memset(blocks[i], (int)i, SIZE);
        if (i % 2 == 0)
            blocks[i] = tm_realloc(blocks[i], GROWN);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        bool sample = tm_cells_of_slot(blocks[i]) != NULL && *tm_cell_of(blocks[i]) != 0;
        samples += sample;
        assert_int_equal(tm_pool_slot(blocks[i])->told != 0, sample);
        assert_false(sample && tm_pool_owner(tm_pool_slot(blocks[i])) == tm_thread_self());
        for (unsigned at = 0; at < SIZE; at++)
            assert_int_equal(blocks[i][at], (unsigned char)i);
    }
    assert_true(samples > COUNT / 50);
    for (unsigned i = 0; i < COUNT; i++)
        tm_free(blocks[i]);
    check_nothing_live();
}

/* With an argument: the cases that it names, as a pattern. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_lie_apart), /* while no pool has been anybody else's */
        cmocka_unit_test(names_of_small_blocks),     cmocka_unit_test(names_of_warm_blocks),
        cmocka_unit_test(names_after_a_pause),       cmocka_unit_test(how_many_are_chosen),
        cmocka_unit_test(names_of_what_others_free),
    };
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    sampler_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
