/* cell.c: see cell.h. */
#include "allocator/cell.h"

#include "allocator/os.h"

bool tm_cells_make(const void *address)
{
    struct tm_chunk *chunk = tm_chunk_of(address);
    if (atomic_load_explicit(&chunk->cells, memory_order_acquire) != NULL)
        return true;
    tm_cell *fresh = tm_os_map_apart(TM_CHUNK_CELLS_BYTES);
    if (fresh == NULL)
        return false;
    tm_cell *expected = NULL;
    if (!atomic_compare_exchange_strong_explicit(&chunk->cells, &expected, fresh,
                                                 memory_order_acq_rel, memory_order_acquire))
        tm_os_unmap_apart(fresh, TM_CHUNK_CELLS_BYTES);
    return true;
}

void tm_cells_purge(const void *address)
{
    tm_cell *cells = tm_cells_of_slot(address);
    if (cells != NULL)
        tm_os_purge((void *)cells, TM_SLOT_CELLS * sizeof *cells);
}

void tm_cells_place(const struct tm_chunk *chunk, uintptr_t *base, uint64_t *bytes)
{
    *base = (uintptr_t)atomic_load_explicit(&chunk->cells, memory_order_acquire);
    *bytes = *base == 0 ? 0 : TM_CHUNK_CELLS_BYTES;
}
