/* residency.c: see residency.h. Reads pagemap in windows, since neighbours are asked for one after
 * the other. */
#include "profiler/record/residency.h"

#include "allocator/census.h"
#include "profiler/record/sys.h"

#include <errno.h>
#include <stdbool.h>

enum {
    PAGE = TM_CENSUS_PAGE, /* of what is asked for */
    WINDOW = 4096, /* the kernel's pages read at once: 16 MiB or more of address space, 32 KiB of
                      entries */
};

static const uint64_t PAGEMAP_PRESENT = (uint64_t)1 << 63;

static size_t kernel_page;
static int pagemap = -1;
static uint64_t window_first; /* the kernel's number of the page of entries[0] */
static uint64_t window_pages; /* how many are valid */
static uint64_t entries[WINDOW];
static unsigned char cores[WINDOW]; /* mincore's answer */

void tm_residency_start(void)
{
    kernel_page = tm_census_kernel_page();
    pagemap = tm_sys_open("/proc/self/pagemap", O_RDONLY, 0);
    window_pages = 0;
}

void tm_residency_stop(void)
{
    if (pagemap >= 0)
        tm_sys_close(pagemap);
    pagemap = -1;
}

/* Fills the window from a page of the kernel's on, by at least one. */
static void load(uint64_t page)
{
    window_first = page;
    if (pagemap >= 0) {
        long got = tm_sys_pread(pagemap, entries, sizeof entries, page * sizeof entries[0]);
        window_pages = got > 0 ? (uint64_t)got / sizeof entries[0] : 0;
        if (window_pages > 0)
            return;
    }
    /* mincore fails as a whole where any page is not mapped, so ask for less and less. */
    long error = 0;
    for (uint64_t pages = WINDOW; pages > 0; pages /= 4) {
        error = tm_sys3(SYS_mincore, (long)(page * kernel_page), (long)(pages * kernel_page),
                        (long)cores);
        if (error != 0 && error != -ENOMEM)
            break;
        if (error != 0)
            continue;
        for (uint64_t i = 0; i < pages; i++)
            entries[i] = (cores[i] & 1) != 0 ? PAGEMAP_PRESENT : 0;
        window_pages = pages;
        return;
    }
    /* Not mapped: not resident. Refused: nobody knows, so resident, for a whole window at once. */
    window_pages = error == -ENOMEM ? 1 : WINDOW;
    for (uint64_t i = 0; i < window_pages; i++)
        entries[i] = error == -ENOMEM ? 0 : PAGEMAP_PRESENT;
}

static bool is_resident(uint64_t address)
{
    uint64_t page = address / kernel_page;
    if (page - window_first >= window_pages)
        load(page);
    return (entries[page - window_first] & PAGEMAP_PRESENT) != 0;
}

uint64_t tm_residency_mask(uintptr_t start)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i++)
        if (is_resident(start + i * (uint64_t)PAGE))
            mask |= (uint64_t)1 << i;
    return mask;
}

uint64_t tm_residency_bytes(uintptr_t start, uint64_t bytes)
{
    uint64_t pages = 0;
    uint64_t end = (start + bytes + PAGE - 1) / PAGE;
    for (uint64_t page = start / PAGE; page < end; page++)
        pages += is_resident(page * PAGE);
    return pages * PAGE;
}
