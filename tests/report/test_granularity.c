/* test_granularity.c: what would go back at each granularity, against a count that takes one unit
 * after the other over all addresses and knows nothing of masks.
 */
#include "tests/report/cmocka_all.h"

#include "profiler/report/analyse.h"
#include "tests/report/snapshot_fixture.h"

#include <stdlib.h>

enum { PAGE = 4096, ARENA = 256 * 1024 };

/* One page of the address space from the first arena's 2 MiB on. */
struct page {
    bool known;   /* in an arena */
    bool returns; /* free, or in a pool and without a live block */
    bool resident;
};

static struct page *paint(const struct tm_snapshot_file *file, uint64_t base, size_t count)
{
    struct page *pages = calloc(count, sizeof *pages);
    assert_non_null(pages);
    for (size_t i = 0; i < file->arena_count; i++) {
        for (int bit = 0; bit < 64; bit++) {
            struct page *page = &pages[(file->arenas[i].base - base) / PAGE + (unsigned)bit];
            page->known = true;
            page->returns = file->arenas[i].free_mask >> bit & 1;
            page->resident = file->arenas[i].resident_mask >> bit & 1;
        }
    }
    for (size_t i = 0; i < file->pool_count; i++) {
        const struct tm_snapshot_pool *pool = &file->pools[i];
        for (unsigned k = 0; k < pool->pages; k++)
            pages[(pool->base - base) / PAGE + k].returns =
                file->pages[pool->first_page + k].live_blocks == 0;
    }
    return pages;
}

static uint64_t brute_force(const struct page *pages, size_t count, size_t unit)
{
    uint64_t bytes = 0;
    for (size_t first = 0; first + unit <= count; first += unit) {
        bool whole = true;
        uint64_t resident = 0;
        for (size_t i = first; i < first + unit; i++) {
            whole = whole && pages[i].known && pages[i].returns;
            resident += pages[i].resident ? PAGE : 0;
        }
        bytes += whole ? resident : 0;
    }
    return bytes;
}

static void check_units(const struct tm_heap *heap, const struct page *pages, size_t count)
{
    for (int i = 0; i < TM_UNITS; i++)
        assert_int_equal(heap->units[i].return_bytes,
                         brute_force(pages, count, heap->units[i].unit_bytes / PAGE));
    assert_int_equal(heap->units[0].return_bytes,
                     heap->cached_pool_bytes + heap->cached_arena_bytes);
}

static void test_against_brute_force(void **state)
{
    (void)state;
    uint64_t wide = 0, beside = 0;
    for (uint64_t seed = 100; seed < 140; seed++) {
        struct fixture fixture;
        struct tm_snapshot_file file;
        struct tm_snapshot_error error;
        struct tm_heap heap;
        fixture_random(&fixture, seed, 500);
        assert_true(tm_snapshot_parse("F", fixture.bytes, fixture.size, 0, &file, &error));
        assert_true(tm_heap_analyse(&file, &heap));
        uint64_t base = file.arenas[0].base & ~UINT64_C(0x1fffff);
        uint64_t end =
            (file.arenas[file.arena_count - 1].base + ARENA + 0x1fffff) & ~UINT64_C(0x1fffff);
        size_t count = (end - base) / PAGE;
        struct page *pages = paint(&file, base, count);
        uint64_t cached = heap.cached_pool_bytes + heap.cached_arena_bytes;
        check_units(&heap, pages, count);
        assert_int_equal(heap.beside_pool_bytes + heap.beside_arena_bytes, 0);
        tm_heap_free(&heap);
        /* The same heap under kernels with other pages. */
        for (uint32_t kernel = 16384; kernel <= 65536; kernel *= 4) {
            file.process.page_bytes = kernel;
            assert_true(tm_heap_analyse(&file, &heap));
            assert_int_equal(heap.units[0].unit_bytes, kernel);
            check_units(&heap, pages, count);
            assert_int_equal(heap.cached_pool_bytes + heap.cached_arena_bytes +
                                 heap.beside_pool_bytes + heap.beside_arena_bytes,
                             cached);
            beside += heap.beside_pool_bytes + heap.beside_arena_bytes;
            if (kernel < 65536)
                tm_heap_free(&heap);
        }
        wide += heap.units[TM_UNITS - 1].return_bytes;
        free(pages);
        tm_heap_free(&heap);
        tm_snapshot_free(&file);
        fixture_free(&fixture);
    }
    /* These must have happened, or they were never tested. */
    assert_true(beside > 0);
    assert_true(wide > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_brute_force)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
