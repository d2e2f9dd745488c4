/* snapshot_read_sites.c: see snapshot_read_sites.h. Limits that the format does not set are those
 * within which sums cannot overflow and an analysis stays fast.
 */
#include "profiler/report/snapshot_read_sites.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MOST_GROUPS = 4096,
    COUNTS = 8, /* counts of a site that are not in a row */
};
static const uint64_t most_bytes = UINT64_C(1) << 57;  /* no process has as many */
static const uint64_t most_counts = UINT64_C(1) << 62; /* cumulative figures, and parts of blocks */
static const double most_variance = 1e36;
/* Frames of all sites' stacks together: all that the recorder's table of sites holds, at 256 each,
 * which is four times the depth of a new stack. */
static const uint64_t most_stack_frames = UINT64_C(1) << 25;

struct words {
    char *text;
    size_t size;
};

/* Always false, so that a check can return it. */
static bool __attribute__((format(printf, 2, 3))) wrong(struct words to, const char *words, ...)
{
    va_list arguments;
    va_start(arguments, words);
    vsnprintf(to.text, to.size, words, arguments);
    va_end(arguments);
    return false;
}

static bool check_recording(const struct tm_snapshot_file *file, struct words words)
{
    const struct tm_snapshot_recording *recording = &file->recording;
    if (!file->has_recording) {
        if (file->frame_count + file->site_count + file->held_count + file->set_count +
            file->member_count + file->page_set_count)
            return wrong(words, "it has call sites and no section RECO");
        return true;
    }
    if (recording->sites > TM_SITES_ALL)
        return wrong(words, "it records sites in mode %u", recording->sites);
    if (recording->identity_groups > MOST_GROUPS)
        return wrong(words, "its pools are in %u groups; up to %d are possible",
                     recording->identity_groups, MOST_GROUPS);
    if (recording->rate_bytes >= most_bytes || recording->memory_bytes >= most_bytes ||
        recording->peak_bytes >= most_bytes)
        return wrong(words,
                     "section RECO gives a rate of %llu, tables of %llu or a peak of %llu "
                     "bytes",
                     (unsigned long long)recording->rate_bytes,
                     (unsigned long long)recording->memory_bytes,
                     (unsigned long long)recording->peak_bytes);
    for (int i = 1; i < TM_LIFETIMES; i++)
        if (recording->lifetime_ns[i] < recording->lifetime_ns[i - 1])
            return wrong(words, "step %d of lifetimes ends before step %d", i, i - 1);
    return true;
}

static bool check_frames(const struct tm_snapshot_file *file, struct words words)
{
    /* Record 0 stands for no frame; whatever it holds is not looked at. */
    for (size_t i = 1; i < file->frame_count; i++)
        if (file->frames[i].parent >= i)
            return wrong(words, "frame %zu was called by frame %u, which comes later", i,
                         file->frames[i].parent);
    return true;
}

/* No NaN is. */
static bool is_variance(double value)
{
    return value >= 0 && value <= most_variance;
}

static bool check_site(const struct tm_snapshot_file *file, size_t index, struct words words)
{
    const struct tm_snapshot_site *site = &file->sites[index];
    if (site->number == TM_SITE_UNKNOWN)
        return wrong(words, "site record %zu has the number 0", index);
    if (index > 0 && site->number <= site[-1].number)
        return wrong(words, "site %u comes after site %u", site->number, site[-1].number);
    if (site->frame != 0 && site->frame >= file->frame_count)
        return wrong(words, "site %u names frame %u of %zu", site->number, site->frame,
                     file->frame_count);
    const uint64_t bytes[] = {site->live_bytes, site->live_requested, site->span_bytes,
                              site->span_resident_bytes, site->peak_bytes};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        if (bytes[i] >= most_bytes)
            return wrong(words, "site %u has a figure of %llu bytes", site->number,
                         (unsigned long long)bytes[i]);
    uint64_t counts[COUNTS + TM_LIFETIMES + TM_BIRTHS] = {
        site->samples,          site->allocated_blocks,
        site->allocated_bytes,  site->allocated_requested,
        site->temporary_blocks, site->live_samples,
        site->live_blocks,      site->peak_blocks,
    };
    for (int i = 0; i < TM_LIFETIMES; i++)
        counts[COUNTS + i] = site->ended_blocks[i];
    for (int i = 0; i < TM_BIRTHS; i++)
        counts[COUNTS + TM_LIFETIMES + i] = site->born_blocks[i];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i] >= most_counts)
            return wrong(words, "site %u has a count of %llu", site->number,
                         (unsigned long long)counts[i]);
    if (!is_variance(site->allocated_bytes_variance) || !is_variance(site->live_blocks_variance) ||
        !is_variance(site->live_bytes_variance))
        return wrong(words, "site %u has a variance that is none", site->number);
    return true;
}

/* Every format writes each site's stack out. */
static bool check_depths(const struct tm_snapshot_file *file, struct words words)
{
    uint32_t *depth = calloc(file->frame_count + 1, sizeof *depth);
    if (depth == NULL)
        return wrong(words, "there is no memory for its %zu frames", file->frame_count);
    for (size_t i = 1; i < file->frame_count; i++)
        depth[i] = depth[file->frames[i].parent] + 1;
    uint64_t frames = 0;
    for (size_t i = 0; i < file->site_count; i++)
        frames += depth[file->sites[i].frame];
    free(depth);
    return frames <= most_stack_frames ||
           wrong(words, "the stacks of its %zu sites have %llu frames, more than are ever recorded",
                 file->site_count, (unsigned long long)frames);
}

bool tm_snapshot_site_known(const struct tm_snapshot_file *file, uint32_t number, size_t *index)
{
    size_t low = 0;
    size_t high = file->site_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->sites[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    *index = low;
    return low < file->site_count && file->sites[low].number == number;
}

/* What HELD and SETS say of where they belong. */
static bool check_place(const struct tm_snapshot_file *file, const char *what, size_t index,
                        uint16_t size_class, uint16_t group, struct words words)
{
    if (size_class >= file->class_count)
        return wrong(words, "%s record %zu names size class %u of %zu", what, index, size_class,
                     file->class_count);
    if (group >= file->recording.identity_groups)
        return wrong(words, "%s record %zu names group %u of %u", what, index, group,
                     file->recording.identity_groups);
    return true;
}

static bool check_held(const struct tm_snapshot_file *file, struct words words)
{
    for (size_t i = 0; i < file->held_count; i++) {
        const struct tm_snapshot_held *held = &file->held[i];
        size_t at;
        if (!check_place(file, "HELD", i, held->size_class, held->group, words))
            return false;
        if (held->site != TM_SITE_UNKNOWN && !tm_snapshot_site_known(file, held->site, &at))
            return wrong(words, "HELD record %zu names site %u, which is not there", i, held->site);
        if (held->share_bytes >= most_bytes)
            return wrong(words, "HELD record %zu charges %llu bytes", i,
                         (unsigned long long)held->share_bytes);
    }
    return true;
}

static bool check_sets(const struct tm_snapshot_file *file, struct words words)
{
    for (size_t i = 0; i < file->set_count; i++) {
        const struct tm_snapshot_set *set = &file->sets[i];
        if (!check_place(file, "SETS", i, set->size_class, set->group, words))
            return false;
        if (set->members != TM_SET_MANY &&
            (set->members > TM_SET_MEMBERS || set->members == 0 ||
             (uint64_t)set->first_member + set->members > file->member_count))
            return wrong(words, "SETS record %zu has %u members from %u of %zu on", i, set->members,
                         set->first_member, file->member_count);
        if (set->resident_bytes >= most_bytes || set->held_bytes > set->resident_bytes)
            return wrong(words, "SETS record %zu holds %llu of %llu bytes", i,
                         (unsigned long long)set->held_bytes,
                         (unsigned long long)set->resident_bytes);
    }
    for (size_t i = 0; i < file->member_count; i++) {
        size_t at;
        if (file->members[i] != TM_SITE_UNKNOWN &&
            !tm_snapshot_site_known(file, file->members[i], &at))
            return wrong(words, "MEMBERS record %zu names site %u, which is not there", i,
                         file->members[i]);
    }
    return true;
}

static bool check_page_sets(const struct tm_snapshot_file *file, struct words words)
{
    for (size_t i = 0; i < file->page_set_count; i++) {
        const struct tm_snapshot_page_set *of = &file->page_sets[i];
        if (of->page >= file->page_count || of->set >= file->set_count)
            return wrong(words, "PSET record %zu puts page %u of %zu into set %u of %zu", i,
                         of->page, file->page_count, of->set, file->set_count);
        if (i > 0 && of->page <= of[-1].page)
            return wrong(words, "PSET record %zu is of page %u and comes after page %u", i,
                         of->page, of[-1].page);
    }
    return true;
}

bool tm_snapshot_sites_sound(const struct tm_snapshot_file *file, char *text, size_t size)
{
    struct words words = {text, size};
    if (!check_recording(file, words) || !check_frames(file, words))
        return false;
    for (size_t i = 0; i < file->site_count; i++)
        if (!check_site(file, i, words))
            return false;
    return check_depths(file, words) && check_held(file, words) && check_sets(file, words) &&
           check_page_sets(file, words);
}
