/* heap.c: see heap.h. Called by snapshot_write.c only, under the state word of request.c. */
#include "profiler/record/heap.h"

#include "allocator/census.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/frames.h"
#include "profiler/record/held.h"
#include "profiler/record/residency.h"
#include "profiler/record/sites.h"
#include "profiler/record/spool.h"
#include "profiler/record/timeline.h"
#include "profiler/record/where.h"
#include "profiler/record/writer.h"

#include <string.h>

static struct tm_spool arenas, pools, pages, spans, metadata;
static bool sites;             /* of the blocks are recorded; true after a walk only */
static uint64_t resident_mask; /* of the arena that was met last, in which the next pools are */
static uint64_t sites_bytes;   /* resident, of what is kept of sites */

/* What the recorder keeps of sites is called that, in the census, too. */
static const char SITES[] = "sites";

static void take_arena(const struct tm_census_arena *arena, void *context)
{
    (void)context;
    resident_mask = tm_residency_mask(arena->base);
    struct tm_snapshot_arena record = {
        .base = arena->base,
        .free_mask = arena->free_mask,
        .dirty_mask = arena->dirty_mask,
        .resident_mask = resident_mask,
        .kind = arena->kind,
    };
    tm_spool_add(&arenas, &record, sizeof record);
}

static void take_pool(const struct tm_census_pool *pool, void *context)
{
    (void)context;
    struct tm_snapshot_pool record = {
        .base = pool->base,
        .size_class = (uint16_t)pool->size_class,
        .pages = (uint16_t)pool->pages,
        .live = (uint16_t)pool->live,
        .binned = (uint16_t)pool->binned,
        .remote = (uint16_t)pool->remote,
        .uncarved = pool->uncarved,
        .heap = pool->heap,
        .first_page = TM_NO_PAGES,
        .identity = (uint16_t)pool->identity,
        .chosen_page = (uint16_t)pool->chosen_page,
    };
    if (pool->live > 0 && pool->live < pool->capacity && pool->pages <= TM_CENSUS_POOL_PAGES) {
        record.first_page = (uint32_t)(pages.used / sizeof(struct tm_snapshot_page));
        for (unsigned i = 0; i < pool->pages; i++) {
            struct tm_snapshot_page page = {pool->live_blocks[i], pool->live_bytes[i]};
            tm_spool_add(&pages, &page, sizeof page);
        }
    }
    tm_spool_add(&pools, &record, sizeof record);
    unsigned first = (unsigned)(pool->base / TM_CENSUS_PAGE % TM_CENSUS_ARENA_PAGES);
    if (sites)
        tm_held_pool(pool, (uint16_t)(resident_mask >> first), record.first_page);
}

static void take_span(const struct tm_census_span *span, void *context)
{
    (void)context;
    struct tm_snapshot_span record = {
        .base = span->base,
        .bytes = span->bytes,
        .resident_bytes = tm_residency_bytes(span->base, span->bytes),
        .kind = span->kind,
    };
    tm_spool_add(&spans, &record, sizeof record);
    if (sites)
        tm_held_span(span, record.resident_bytes);
}

static void take_meta(const struct tm_census_meta *meta, void *context)
{
    (void)context;
    struct tm_snapshot_metadata record = {
        .base = meta->base,
        .bytes = meta->bytes,
        .resident_bytes = tm_residency_bytes(meta->base, meta->bytes),
    };
    strncpy(record.what, meta->what, sizeof record.what - 1);
    tm_spool_add(&metadata, &record, sizeof record);
    if (strcmp(meta->what, SITES) == 0)
        sites_bytes += record.resident_bytes;
}

/* What one of the recorder's rooms has mapped; place() tells where. */
static void take_own(const void *(*place)(size_t *bytes), const char *what)
{
    size_t bytes;
    struct tm_census_meta own = {.base = (uintptr_t)place(&bytes), .what = what};
    own.bytes = bytes;
    if (bytes != 0)
        take_meta(&own, NULL);
}

unsigned tm_heap_walk(void)
{
    static const struct tm_census_visitor visitor = {take_arena, take_pool, take_span, take_meta};
    sites = tm_held_start();
    sites_bytes = 0;
    take_own(tm_timeline_place, "recorder");
    take_own(tm_frames_place, SITES);
    take_own(tm_sites_place, SITES);
    take_own(tm_where_place, SITES);
    return tm_census_walk(&visitor, NULL);
}

int tm_heap_error(void)
{
    const struct tm_spool *all[] = {&arenas, &pools, &pages, &spans, &metadata};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->error != 0)
            return all[i]->error;
    return tm_held_error();
}

void tm_heap_free(void)
{
    struct tm_spool *all[] = {&arenas, &pools, &pages, &spans, &metadata};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tm_spool_free(all[i]);
    tm_held_free();
    sites = false;
}

static void write_spool(uint32_t tag, size_t record_bytes, struct tm_spool *spool)
{
    tm_writer_fail(spool->error);
    tm_writer_section(tag, record_bytes, spool->base, spool->used);
    tm_spool_free(spool);
}

void tm_heap_write(void)
{
    write_spool(TM_TAG_ARENAS, sizeof(struct tm_snapshot_arena), &arenas);
    write_spool(TM_TAG_POOLS, sizeof(struct tm_snapshot_pool), &pools);
    write_spool(TM_TAG_PAGES, sizeof(struct tm_snapshot_page), &pages);
    write_spool(TM_TAG_SPANS, sizeof(struct tm_snapshot_span), &spans);
    write_spool(TM_TAG_METADATA, sizeof(struct tm_snapshot_metadata), &metadata);
    if (sites)
        tm_held_write(sites_bytes);
    sites = false;
}

void tm_heap_write_counters(uint64_t pause_ns, uint64_t number)
{
    struct tm_census_counters c;
    size_t timeline_bytes;
    tm_census_counters(&c);
    tm_timeline_place(&timeline_bytes);
    const struct tm_snapshot_counter counters[] = {
        {"pool_bytes", c.pool_bytes},
        {"span_bytes", c.span_bytes},
        {"mapping_bytes", c.mapping_bytes},
        {"cached_bytes", c.cached_bytes},
        {"mapped_bytes", c.mapped_bytes},
        {"metadata_bytes", c.metadata_bytes},
        {"purged_bytes", c.purged_bytes},
        {"unmapped_bytes", c.unmapped_bytes},
        {"purge_calls", c.purge_calls},
        {"pools_taken", c.pools_taken},
        {"heaps", c.heaps},
        {"recorder_timeline_bytes", timeline_bytes},
        {"recorder_pause_ns", pause_ns},
        {"recorder_snapshots", number},
    };
    tm_writer_section(TM_TAG_COUNTERS, sizeof counters[0], counters, sizeof counters);

    static struct tm_spool classes;
    for (unsigned i = 0; i < tm_census_class_count(); i++) {
        struct tm_census_class size_class = tm_census_class_at(i);
        struct tm_snapshot_class record = {
            .block_bytes = size_class.block_bytes,
            .pool_bytes = size_class.pool_bytes,
            .capacity = size_class.capacity,
        };
        tm_spool_add(&classes, &record, sizeof record);
    }
    write_spool(TM_TAG_CLASSES, sizeof(struct tm_snapshot_class), &classes);
}
