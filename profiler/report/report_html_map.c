/* report_html_map.c: the member `map` of the page's data: the arenas as tiles of cells. A cell is a
 * page where the heap is small enough; else it is a run of 2, 4, … pages, or several arenas, so
 * that there are never more than some 300,000. Arenas without a resident page are left out. Pages
 * are told apart as in analyse_heap.c, so the cells sum to the ledger's rows.
 *
 * Each figure is a row of all cells, little-endian integers of `width` bytes in base64. Which sites
 * have survivors in a cell is a mask of 64 bits: a bit for each of the sites that hold the most,
 * one for blocks that are not recorded and one for all other sites. It is known of pages of
 * section PSET only. For the rest, `held_by_class` says what a site holds by size class.
 */
#include "allocator/census.h"
#include "profiler/report/report_html.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = TM_CENSUS_PAGE,
    ARENA = TM_CENSUS_ARENA,
    ARENA_PAGES = TM_CENSUS_ARENA_PAGES,
    MOST_CELLS = 300000,
    SITE_BITS = 62, /* sites with a bit of their own */
};
#define BIT_UNKNOWN (UINT64_C(1) << SITE_BITS)
#define BIT_OTHERS  (UINT64_C(1) << (SITE_BITS + 1))

/* CLASS: 1 + the size class that most pages of the cell are of; 0: none. LIVE and PINNED: bytes in
 * pools. CACHED, SPAN and OWN: pages. SET: index in masks. */
enum figure { CLASS, LIVE, PINNED, CACHED, SPAN, OWN, SET, FIGURES };

struct map {
    const struct tm_report *report;
    const struct tm_html_sites *sites;
    uint64_t cell_pages; /* pages of a cell */
    size_t cells;
    uint64_t *figures[FIGURES]; /* of each cell */
    uint64_t *bases;            /* of each tile */
    size_t tiles;
    size_t arenas;          /* drawn */
    uint32_t *set_of_page;  /* by index in PAGES: 1 + its set; 0: not known */
    uint64_t *mask_of_set;  /* of SETS */
    uint64_t *masks;        /* that cells have, each once; [0] is 0 */
    size_t mask_count;      /* of them */
    uint64_t *cell_masks;   /* of each cell */
    uint64_t *class_pages;  /* of the cell that is being made, by size class */
    uint64_t known_pages;   /* with a set */
    uint64_t unknown_pages; /* with pinned bytes, without */
};

static bool is_drawn(const struct tm_snapshot_file *snapshot, size_t i)
{
    const struct tm_snapshot_arena *arena = &snapshot->arenas[i];
    return arena->resident_mask != 0 && (i == 0 || arena->base != arena[-1].base);
}

/* A bit for each group of a set. */
static uint64_t mask_of(const struct map *map, size_t set)
{
    const struct tm_group_set *groups = &map->report->held.sets[set];
    uint64_t mask = groups->count == 0 ? BIT_OTHERS : 0;
    for (uint32_t i = 0; i < groups->count; i++) {
        uint32_t group = map->report->held.members[groups->first + i];
        uint32_t place = map->sites->place_of[group];
        mask |= group == TM_GROUP_UNKNOWN ? BIT_UNKNOWN
                : place < SITE_BITS       ? UINT64_C(1) << place
                                          : BIT_OTHERS;
    }
    return mask;
}

static bool open_map(struct map *map)
{
    const struct tm_snapshot_file *snapshot = map->report->snapshot;
    for (size_t i = 0; i < snapshot->arena_count; i++)
        map->arenas += is_drawn(snapshot, i);
    map->cell_pages = 1;
    while (map->arenas * ARENA_PAGES / map->cell_pages > MOST_CELLS)
        map->cell_pages *= 2;
    map->cells = (map->arenas * ARENA_PAGES + map->cell_pages - 1) / map->cell_pages;
    bool made = true;
    for (int i = 0; i < FIGURES; i++) {
        map->figures[i] = calloc(map->cells + 1, sizeof *map->figures[i]);
        made = made && map->figures[i];
    }
    map->bases = calloc(map->arenas + 1, sizeof *map->bases);
    map->set_of_page = calloc(snapshot->page_count + 1, sizeof *map->set_of_page);
    map->mask_of_set = calloc(snapshot->set_count + 1, sizeof *map->mask_of_set);
    map->cell_masks = calloc(map->cells + 1, sizeof *map->cell_masks);
    map->masks = calloc(map->cells + 2, sizeof *map->masks);
    map->class_pages = calloc(snapshot->class_count + 1, sizeof *map->class_pages);
    if (!made || !map->bases || !map->set_of_page || !map->mask_of_set || !map->cell_masks ||
        !map->masks || !map->class_pages)
        return false;
    for (size_t i = 0; i < snapshot->page_set_count; i++)
        map->set_of_page[snapshot->page_sets[i].page] = snapshot->page_sets[i].set + 1;
    for (size_t i = 0; i < snapshot->set_count; i++)
        map->mask_of_set[i] = mask_of(map, i);
    return true;
}

static void close_map(struct map *map)
{
    for (int i = 0; i < FIGURES; i++)
        free(map->figures[i]);
    free(map->bases);
    free(map->set_of_page);
    free(map->mask_of_set);
    free(map->cell_masks);
    free(map->masks);
    free(map->class_pages);
}

/* The pages of one arena. */
struct pages {
    size_t first; /* number of its first page among all that are drawn */
    uint64_t base, resident, pool, span, own, free;
};

static void take_page(struct map *map, size_t page, const struct tm_snapshot_pool *pool,
                      unsigned index)
{
    uint64_t ignored = 0;
    size_t cell = page / map->cell_pages;
    struct tm_snapshot_page use = tm_pool_page(map->report->snapshot, pool, index, &ignored);
    map->class_pages[pool->size_class]++;
    if (use.live_blocks == 0 && use.live_bytes == 0) {
        map->figures[CACHED][cell]++;
        return;
    }
    map->figures[LIVE][cell] += use.live_bytes;
    map->figures[PINNED][cell] += PAGE - use.live_bytes;
    uint32_t set = pool->first_page == TM_NO_PAGES ? 0 : map->set_of_page[pool->first_page + index];
    if (set != 0) {
        map->cell_masks[cell] |= map->mask_of_set[set - 1];
        map->known_pages++;
    } else {
        map->unknown_pages += use.live_bytes < PAGE;
    }
}

/* Remembers of the cell that ends which size class has the most of its pages. */
static void end_cell(struct map *map, size_t cell)
{
    size_t classes = map->report->snapshot->class_count;
    uint64_t most = 0;
    for (size_t i = 0; i < classes; i++)
        if (map->class_pages[i] > most) {
            most = map->class_pages[i];
            map->figures[CLASS][cell] = i + 1;
        }
    memset(map->class_pages, 0, classes * sizeof *map->class_pages);
}

/* The pools of the arena from pools[at] on; the index behind them. In address order, so that a cell
 * is done when a page of the next one is met. */
static size_t take_pools(struct map *map, struct pages *pages, size_t at, size_t *cell)
{
    const struct tm_snapshot_file *snapshot = map->report->snapshot;
    for (; at < snapshot->pool_count && snapshot->pools[at].base < pages->base + ARENA; at++) {
        const struct tm_snapshot_pool *pool = &snapshot->pools[at];
        if (pool->base < pages->base)
            continue;
        unsigned first = (unsigned)((pool->base - pages->base) / PAGE);
        if (first + pool->pages > ARENA_PAGES)
            continue;
        uint64_t mask = (pool->pages == 64 ? ~UINT64_C(0) : (UINT64_C(1) << pool->pages) - 1)
                        << first;
        if (mask & (pages->pool | pages->span | pages->own))
            continue;
        pages->pool |= mask;
        for (unsigned i = 0; i < pool->pages; i++) {
            size_t page = pages->first + first + i;
            if (page / map->cell_pages != *cell) {
                end_cell(map, *cell);
                *cell = page / map->cell_pages;
            }
            if (pages->resident >> (first + i) & 1)
                take_page(map, page, pool, i);
        }
    }
    return at;
}

static void take_rest(struct map *map, const struct pages *pages)
{
    for (unsigned i = 0; i < ARENA_PAGES; i++) {
        size_t cell = (pages->first + i) / map->cell_pages;
        if ((pages->resident >> i & 1) == 0)
            continue;
        if (pages->span >> i & 1)
            map->figures[SPAN][cell]++;
        else if (pages->own >> i & 1)
            map->figures[OWN][cell]++;
        else if (pages->free >> i & 1)
            map->figures[CACHED][cell]++;
    }
}

static void walk(struct map *map)
{
    const struct tm_snapshot_file *snapshot = map->report->snapshot;
    const struct tm_heap *heap = &map->report->heap;
    size_t at = 0;
    size_t drawn = 0;
    size_t cell = 0;
    for (size_t i = 0; i < snapshot->arena_count; i++) {
        const struct tm_snapshot_arena *arena = &snapshot->arenas[i];
        if (!is_drawn(snapshot, i))
            continue;
        struct pages pages = {drawn++ * ARENA_PAGES, arena->base, arena->resident_mask, 0, 0, 0, 0};
        pages.span = tm_extent_pages(heap->span_extents, heap->span_extent_count, arena->base);
        pages.own =
            tm_extent_pages(heap->metadata_extents, heap->metadata_extent_count, arena->base);
        at = take_pools(map, &pages, at, &cell);
        pages.free = arena->free_mask & ~(pages.pool | pages.span | pages.own);
        take_rest(map, &pages);
        if (pages.first % (map->cell_pages > ARENA_PAGES ? map->cell_pages : ARENA_PAGES) == 0)
            map->bases[map->tiles++] = arena->base / ARENA;
    }
    if (map->cells > 0)
        end_cell(map, cell);
}

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* The masks that cells have, each once, and for each cell which one. */
static void number_masks(struct map *map)
{
    map->masks[map->cells] = 0; /* is always there, and the first */
    memcpy(map->masks, map->cell_masks, map->cells * sizeof *map->masks);
    qsort(map->masks, map->cells + 1, sizeof *map->masks, by_value);
    for (size_t i = 0; i <= map->cells; i++)
        if (map->mask_count == 0 || map->masks[i] != map->masks[map->mask_count - 1])
            map->masks[map->mask_count++] = map->masks[i];
    for (size_t i = 0; i < map->cells; i++) {
        const uint64_t *found =
            bsearch(&map->cell_masks[i], map->masks, map->mask_count, sizeof *map->masks, by_value);
        map->figures[SET][i] = found ? (uint64_t)(found - map->masks) : 0;
    }
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes {width, data}: the values in as few bytes as the largest needs. */
static bool write_row(struct tm_json *json, const char *key, const uint64_t *values, size_t count)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = values[i] > largest ? values[i] : largest;
    unsigned width = largest < 1 << 8 ? 1 : largest < 1 << 16 ? 2 : largest <= UINT32_MAX ? 4 : 8;
    size_t bytes = count * width;
    char *text = malloc(bytes / 3 * 4 + 8);
    if (!text)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t three = 0;
        for (size_t k = i; k < i + 3; k++)
            three = three << 8 |
                    (k < bytes ? (uint32_t)(values[k / width] >> (k % width * 8) & 0xff) : 0);
        for (int shift = 18; shift >= 0; shift -= 6)
            text[used++] = digits[three >> shift & 63];
    }
    for (size_t left = (3 - bytes % 3) % 3; left > 0; left--)
        text[used - left] = '=';
    tm_json_start(json, key, '{');
    tm_json_number(json, "width", width);
    tm_json_text(json, "data", text, used);
    tm_json_end(json, '}');
    free(text);
    return true;
}

/* [place of the site, size class, bytes] for each of both. */
static bool write_held(struct tm_json *json, const struct map *map)
{
    const struct tm_report *report = map->report;
    const struct tm_snapshot_file *snapshot = report->snapshot;
    struct tm_cell *cells = calloc(snapshot->held_count + 1, sizeof *cells);
    if (!cells)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->held_count; i++) {
        const struct tm_snapshot_held *held = &snapshot->held[i];
        uint32_t place = map->sites->place_of[tm_sites_group(snapshot, &report->sites, held->site)];
        double factor = tm_ratio_factor(&report->held.pinned, held->size_class);
        if (place != TM_HTML_NOT_LISTED)
            cells[count++] =
                (struct tm_cell){place, held->size_class, 0, factor * (double)held->share_bytes};
    }
    count = tm_cells_merge(cells, count);
    tm_json_start(json, "held_by_class", '[');
    for (size_t i = 0; i < count; i++) {
        tm_json_start(json, NULL, '[');
        tm_json_number(json, NULL, cells[i].target);
        tm_json_number(json, NULL, cells[i].size_class);
        tm_json_number(json, NULL, tm_whole(cells[i].bytes));
        tm_json_end(json, ']');
    }
    tm_json_end(json, ']');
    free(cells);
    return true;
}

static bool write_map(struct tm_json *json, const struct map *map)
{
    static const char *const names[FIGURES] = {"size_class", "live", "pinned", "cached",
                                               "span",       "own",  "set"};
    uint64_t arenas_of_tile = map->cell_pages > ARENA_PAGES ? map->cell_pages / ARENA_PAGES : 1;
    tm_json_start(json, "map", '{');
    tm_json_number(json, "pages_per_cell", map->cell_pages);
    tm_json_number(json, "cells_per_tile", ARENA_PAGES * arenas_of_tile / map->cell_pages);
    tm_json_number(json, "arenas_per_tile", arenas_of_tile);
    tm_json_number(json, "tiles", map->tiles);
    tm_json_number(json, "cells", map->cells);
    tm_json_number(json, "arenas", map->arenas);
    tm_json_number(json, "arenas_not_resident", map->report->snapshot->arena_count - map->arenas);
    tm_json_number(json, "known_pages", map->known_pages);
    tm_json_number(json, "unknown_pages", map->unknown_pages);
    tm_json_number(json, "site_bits", SITE_BITS);
    bool made = write_row(json, "bases", map->bases, map->tiles) &&
                write_row(json, "masks", map->masks, map->mask_count);
    for (int i = 0; i < FIGURES && made; i++)
        made = write_row(json, names[i], map->figures[i], map->cells);
    made = made && write_held(json, map);
    tm_json_end(json, '}');
    return made;
}

bool tm_report_html_map(struct tm_json *json, const struct tm_report *report,
                        const struct tm_html_sites *sites)
{
    struct map map = {.report = report, .sites = sites};
    bool made = open_map(&map);
    if (made) {
        walk(&map);
        number_masks(&map);
        made = write_map(json, &map);
    }
    close_map(&map);
    return made;
}
