/* site_sums.c: see site_sums.h. */
#include "profiler/record/site_sums.h"

#include "profiler/record/cells.h"
#include "profiler/record/reserve.h"
#include "profiler/record/sites.h"
#include "profiler/record/sys.h"
#include "profiler/record/timeline.h"
#include "profiler/record/weight.h"
#include "profiler/record/writer.h"

static const struct tm_snapshot_recording *recording;
static struct tm_snapshot_site *sums; /* recording->site_count of them */
static uint64_t now_ns;

static size_t bytes_of_sums(void)
{
    return recording->site_count * sizeof *sums;
}

bool tm_site_sums_start(const struct tm_snapshot_recording *given)
{
    recording = given;
    now_ns = tm_timeline_now_ns();
    sums = tm_reserve(bytes_of_sums());
    return sums != NULL;
}

void tm_site_sums_free(void)
{
    if (sums != NULL)
        tm_sys3(SYS_munmap, (long)sums, (long)bytes_of_sums(), 0);
    sums = NULL;
}

static unsigned part_of_time(uint64_t birth_ns)
{
    if (birth_ns <= recording->since_ns || now_ns <= recording->since_ns)
        return 0;
    uint64_t part = (birth_ns - recording->since_ns) * TM_BIRTHS / (now_ns - recording->since_ns);
    return part < TM_BIRTHS ? (unsigned)part : TM_BIRTHS - 1;
}

/* Adds a live block. Returns what it stands for. */
static double count(struct tm_snapshot_site *site, uint64_t cell, size_t usable)
{
    struct tm_weight weight = {.blocks = 1, .variance = 0};
    if ((cell & TM_CELL_EXACT) == 0)
        weight = tm_weight_of((double)usable, (double)recording->rate_bytes);
    uint64_t blocks = (uint64_t)(weight.blocks * TM_BLOCK_UNITS + 0.5);
    uint64_t birth_ns = tm_cell_birth_ns(cell);
    site->live_samples++;
    site->live_blocks += blocks;
    site->live_bytes += (uint64_t)(weight.blocks * (double)usable + 0.5);
    site->live_requested +=
        (uint64_t)(weight.blocks * (double)tm_cell_requested(cell, usable) + 0.5);
    site->live_blocks_variance += weight.variance;
    site->live_bytes_variance += weight.variance * (double)usable * (double)usable;
    site->born_blocks[part_of_time(birth_ns)] += blocks;
    if (site->live_samples == 1 || birth_ns < site->oldest_ns)
        site->oldest_ns = birth_ns;
    if (birth_ns > site->youngest_ns)
        site->youngest_ns = birth_ns;
    return weight.blocks;
}

void tm_site_sums_block(uint64_t cell, size_t usable)
{
    uint32_t number = tm_cell_site(cell);
    if (number < recording->site_count)
        count(&sums[number], cell, usable);
}

void tm_site_sums_span(uint64_t cell, size_t usable, uint64_t resident_bytes)
{
    uint32_t number = tm_cell_site(cell);
    if (number >= recording->site_count)
        return;
    double blocks = count(&sums[number], cell, usable);
    sums[number].span_bytes += (uint64_t)(blocks * (double)usable + 0.5);
    sums[number].span_resident_bytes += (uint64_t)(blocks * (double)resident_bytes + 0.5);
}

/* What the table of sites has. */
static void complete(struct tm_snapshot_site *out, const struct tm_site *site, uint32_t number)
{
    out->number = number;
    out->frame = site->frame;
    out->allocated_blocks = site->allocated_blocks;
    out->allocated_bytes = site->allocated_bytes;
    out->allocated_requested = site->allocated_requested;
    out->allocated_bytes_variance = site->allocated_bytes_variance;
    out->temporary_blocks = site->temporary_blocks;
    for (unsigned i = 0; i < TM_LIFETIMES; i++)
        out->ended_blocks[i] = site->ended_blocks[i];
    tm_site_peak(site, &out->peak_blocks, &out->peak_bytes);
    for (unsigned i = 0; i < TM_SIZE_STEPS; i++)
        out->samples += out->size_samples[i] = site->size_samples[i];
}

void tm_site_sums_write(void)
{
    const struct tm_site *sites = tm_sites();
    uint32_t used = 0;
    for (uint32_t number = 1; number < recording->site_count; number++) {
        /* One that only names blocks of chosen pools is needed as well. */
        complete(&sums[number], &sites[number], number);
        sums[used++] = sums[number];
    }
    tm_writer_section(TM_TAG_SITES, sizeof *sums, sums, used * sizeof *sums);
}
