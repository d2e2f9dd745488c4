/* summary.c: see summary.h. Runs in an ordinary thread at exit; others may still be at work, so the
 * walk takes the arena lock. */
#include "profiler/record/summary.h"

#include "allocator/census.h"
#include "profiler/record/procfile.h"
#include "profiler/record/residency.h"
#include "profiler/record/sys.h"
#include "profiler/record/text.h"

static const unsigned LOCK_TRIES = 200; /* about 0.2 s */

struct sums {
    uint64_t live_bytes;
    uint64_t live_blocks;
    uint64_t resident_bytes; /* of arenas and of freed mappings that are kept */
    uint64_t used_bytes;     /* of them in live blocks, where resident */
};

static void add_arena(const struct tm_census_arena *arena, void *context)
{
    struct sums *sums = context;
    if (arena->kind != TM_CENSUS_ARENA_META)
        sums->resident_bytes +=
            (uint64_t)__builtin_popcountll(tm_residency_mask(arena->base)) * TM_CENSUS_PAGE;
}

static void add_pool(const struct tm_census_pool *pool, void *context)
{
    struct sums *sums = context;
    sums->live_blocks += pool->live;
    uint64_t bytes = (uint64_t)pool->live * tm_census_class_at(pool->size_class).block_bytes;
    sums->live_bytes += bytes;
    sums->used_bytes += bytes;
}

static void add_span(const struct tm_census_span *span, void *context)
{
    struct sums *sums = context;
    if (span->kind == TM_CENSUS_SPAN_CACHED) {
        sums->resident_bytes += tm_residency_bytes(span->base, span->bytes);
        return;
    }
    sums->live_blocks++;
    sums->live_bytes += span->bytes;
    if (span->kind != TM_CENSUS_SPAN_MAPPING)
        sums->used_bytes += tm_residency_bytes(span->base, span->bytes);
}

static void add_size(struct tm_text *text, const char *label, uint64_t bytes)
{
    tm_text_add(text, label);
    tm_text_size(text, bytes);
}

static struct tm_text start_line(char *memory, size_t size)
{
    struct tm_text text = tm_text_in(memory, size);
    tm_text_add(&text, "tidemark: ");
    tm_text_number(&text, (uint64_t)tm_sys_getpid());
    tm_text_add(&text, ": ");
    return text;
}

void tm_summary_say(void)
{
    static const struct tm_census_visitor visitor = {add_arena, add_pool, add_span, NULL};
    static char status[8 * 1024];
    char memory[512];
    struct sums sums = {0, 0, 0, 0};
    struct tm_census_counters counters;
    tm_census_counters(&counters);

    struct tm_text text = start_line(memory, sizeof memory);
    if (tm_proc_read(tm_proc_path(0, "status"), status, sizeof status) > 0) {
        add_size(&text, "at exit RSS ", tm_proc_field(status, "VmRSS:") * 1024);
        add_size(&text, ", at its peak ", tm_proc_field(status, "VmHWM:") * 1024);
    } else {
        tm_text_add(&text, "RSS is not known: /proc/self/status cannot be read");
    }
    tm_say(&text);

    text = start_line(memory, sizeof memory);
    if (tm_census_lock(LOCK_TRIES)) {
        tm_residency_start();
        tm_census_walk(&visitor, &sums);
        tm_residency_stop();
        tm_census_unlock();
        add_size(&text, "live ", sums.live_bytes);
        tm_text_add(&text, " in ");
        tm_text_number(&text, sums.live_blocks);
        tm_text_add(&text, " blocks");
        add_size(&text, "; held ",
                 sums.resident_bytes > sums.used_bytes ? sums.resident_bytes - sums.used_bytes : 0);
    } else {
        tm_text_add(&text, "live and held are not known: the allocator is busy");
    }
    tm_say(&text);

    text = start_line(memory, sizeof memory);
    add_size(&text, "gave back ", counters.purged_bytes);
    tm_text_add(&text, " in ");
    tm_text_number(&text, counters.purge_calls);
    add_size(&text, " purges, and unmapped ", counters.unmapped_bytes);
    tm_say(&text);
}
