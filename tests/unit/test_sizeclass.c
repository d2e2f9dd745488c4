/* The class table of sizeclass.c, derived again from what its head says, and searched for the
 * promises that it makes. */
#include "tests/unit/unit.h"

#include "allocator/sizeclass.h"

static void every_field_follows_from_the_block_size(void **state)
{
    (void)state;
    uint32_t previous = 0;
    for (unsigned i = 0; i < TM_CLASSES; i++) {
        const struct tm_class *class = &tm_classes[i];
        assert_true(class->block_size > previous);
        assert_int_equal(class->block_size % 16, 0);
        previous = class->block_size;
        size_t room = TM_SLOT;
        assert_int_equal(class->capacity, room / class->block_size);
        assert_int_equal(class->pages,
                         (class->capacity * class->block_size + TM_PAGE - 1) / TM_PAGE);
        uint16_t starts = 0;
        for (uint32_t block = 0; block < class->capacity; block++)
            starts |= (uint16_t)(1u << (block * class->block_size / TM_PAGE));
        assert_int_equal(class->starts, starts);
    }
    assert_int_equal(previous, TM_SMALL_MAX);
}

static void the_reciprocal_divides_exactly(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TM_CLASSES; i++)
        for (uint32_t offset = 0; offset < tm_classes[i].pages * TM_PAGE; offset++)
            if (tm_class_block_index(&tm_classes[i], offset) != offset / tm_classes[i].block_size)
                fail_msg("class %u offset %u", i, offset);
}

static void every_request_gets_the_smallest_class(void **state)
{
    (void)state;
    for (size_t size = 0; size <= TM_SMALL_MAX; size++) {
        unsigned i = tm_class_of(size);
        assert_true(i < TM_CLASSES);
        assert_true(tm_classes[i].block_size >= size);
        if (i > 0)
            assert_true(tm_classes[i - 1].block_size < size);
    }
}

static void at_most_an_eighth_is_rounding(void **state)
{
    (void)state;
    for (size_t size = 129; size <= TM_SMALL_MAX; size++) {
        size_t block = tm_classes[tm_class_of(size)].block_size;
        assert_true((block - size) * 8 <= block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_follows_from_the_block_size),
        cmocka_unit_test(the_reciprocal_divides_exactly),
        cmocka_unit_test(every_request_gets_the_smallest_class),
        cmocka_unit_test(at_most_an_eighth_is_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
