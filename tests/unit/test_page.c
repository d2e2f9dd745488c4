/* Where the kernel's page is several of the allocator's: built once for each size of it, with
 * fake_page.c. What goes back goes in whole kernel pages, also where the pages on one of these are
 * freed one after the other by different pools and spans; what lives on one stays; what is counted
 * as cached can go back; large blocks and what is aligned keep to the kernel's pages. */
#include "tests/unit/unit.h"

#include "allocator/cache.h"
#include "allocator/layout.h"
#include "allocator/os.h"
#include "allocator/sizeclass.h"
#include "allocator/tidemark_alloc.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/filled.h"
#include "tests/unit/look.h"

#define MIB ((size_t)1024 * 1024)

/* Kernel pages of the stretch from the first block on to the last that hold no byte of a block and
 * are resident; blocks lie in address order nowhere, so each kernel page is marked by hand. */
static size_t empty_resident(size_t size, size_t count, uintptr_t low, uintptr_t high)
{
    static bool live[64 * 1024];
    size_t pages = (high - low) / FAKE_PAGE;
    assert_true(pages <= sizeof live);
    memset(live, 0, pages);
    for (size_t i = 0; i < count; i++)
        if (blocks[i] != NULL)
            for (uintptr_t at = (uintptr_t)blocks[i] / FAKE_PAGE * FAKE_PAGE;
                 at < (uintptr_t)blocks[i] + size; at += FAKE_PAGE)
                live[(at - low) / FAKE_PAGE] = true;
    size_t resident = 0;
    for (size_t page = 0; page < pages; page++)
        resident += !live[page] && look_resident((void *)(low + page * FAKE_PAGE), FAKE_PAGE) != 0;
    return resident;
}

static void the_page_is_the_kernels(void **state)
{
    (void)state;
    assert_int_equal(tm_os_page(), FAKE_PAGE);
    unsigned group = FAKE_PAGE / TM_PAGE;
    assert_int_equal(tm_os_pages_around(1), tm_mask64(0, group));
    assert_int_equal(tm_os_pages_around(UINT64_C(1) << 63), tm_mask64(64 - group, group));
    assert_int_equal(tm_os_pages_alone(~UINT64_C(0), 1), ~tm_mask64(0, group));
    assert_int_equal(tm_os_pages_alone(6, 8), FAKE_PAGE == TM_PAGE ? 6 : 0);
}

/* Of blocks of which some survive, no kernel page without one stays, whatever their size. */
static void kernel_pages_without_a_block_go(void **state)
{
    (void)state;
    look_at_small_pages();
    static const size_t sizes[] = {16, 48, 640, 1536, 5000, 12000, 28000, 40000, 100000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t size = sizes[s], count = 16 * MIB / size;
        if (count > MOST)
            count = MOST;
        fill(size, count);
        uintptr_t low = UINTPTR_MAX, high = 0;
        for (size_t i = 0; i < count; i++) {
            low = (uintptr_t)blocks[i] < low ? (uintptr_t)blocks[i] : low;
            high = (uintptr_t)blocks[i] > high ? (uintptr_t)blocks[i] : high;
        }
        low = low / TM_ARENA * TM_ARENA;
        high = tm_round_up(high + size, TM_ARENA);
        if (high - low > 256 * MIB) /* two far apart */
            high = low + 256 * MIB;
        /* Runs of survivors, so that there are kernel pages with and without. */
        for (size_t i = 0; i < count; i++)
            if (i * size / (512 * 1024) % 4 != 0) {
                tm_free(blocks[i]);
                blocks[i] = NULL;
            }
        tm_trim();
        check_contents(size, count);
        size_t stay = 0;
        if (high - low < 256 * MIB)
            stay = empty_resident(size, count, low, high);
        /* The pools that feed the bins may be among them, and the chunks' own pages are in there.
         */
        if (stay * FAKE_PAGE > MIB)
            fail_msg("size %zu: %zu kernel pages stay that have no block", size, stay);
        /* What went comes back as zero. */
        for (size_t i = 0; i < count; i++)
            if (blocks[i] == NULL) {
                blocks[i] = tm_calloc(1, size);
                assert_true(all_bytes(blocks[i], 0, size));
                memset(blocks[i], mark(i), size);
            }
        check_contents(size, count);
        free_all(count);
        tm_trim();
    }
}

/* Pages that share a kernel page with what lives are not counted as what could go back, and no
 * free looks for them again and again. */
static void what_cannot_go_is_not_cached(void **state)
{
    (void)state;
    enum { SPAN = 36 * 1024 };
    fill(SPAN, 512);
    for (size_t i = 0; i < 512; i += 2) {
        tm_free(blocks[i]);
        blocks[i] = NULL;
    }
    tm_trim();
    assert_int_equal(look_counters().cached_bytes, 0);
    uint64_t calls = look_counters().purge_calls;
    for (int round = 0; round < 1000; round++) {
        void *block = tm_malloc(SPAN);
        memset(block, 1, SPAN);
        tm_free(block);
    }
    assert_true(look_counters().purge_calls - calls < 10);
    check_contents(SPAN, 512);
    free_all(512);
    assert_true(look_counters().cached_bytes <= tm_cache_budget() + tm_cache_bonus());
    tm_trim();
    assert_int_equal(look_counters().cached_bytes, 0);
}

static void large_blocks_are_whole_kernel_pages(void **state)
{
    (void)state;
    char *block = tm_malloc(20 * MIB + 1);
    assert_int_equal(tm_usable_size(block), 20 * MIB + FAKE_PAGE);
    memset(block, 7, 20 * MIB + 1);
    block = tm_realloc(block, 40 * MIB + 1);
    assert_true(all_bytes(block, 7, 20 * MIB + 1));
    assert_int_equal(tm_usable_size(block), 40 * MIB + FAKE_PAGE);
    block = tm_realloc(block, 10 * MIB + 1);
    assert_true(all_bytes(block, 7, 10 * MIB + 1));
    assert_int_equal(tm_usable_size(block), 10 * MIB + FAKE_PAGE);
    tm_free(block);
    for (size_t alignment = TM_PAGE; alignment <= 64 * MIB; alignment *= 2) {
        block = tm_aligned(alignment, 100);
        /* (The kernel that is there aligns mappings to its own page only.) */
        if (alignment <= TM_SPAN_MAX || alignment > FAKE_PAGE)
            assert_int_equal((uintptr_t)block % alignment, 0);
        memset(block, 1, 100);
        tm_free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_the_kernels),
        cmocka_unit_test(kernel_pages_without_a_block_go),
        cmocka_unit_test(what_cannot_go_is_not_cached),
        cmocka_unit_test(large_blocks_are_whole_kernel_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
