/* analyse_maps.c: see analyse_maps.h. */
#include "profiler/report/analyse_maps.h"

#include "allocator/census.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ = 1,
    WRITE = 2,
    EXECUTE = 4,
    SHARED = 8,
    PAGE = TM_CENSUS_PAGE,
    /* A mapping without permissions up to this size right below another one is taken for a stack's
       guard. */
    GUARD_LIMIT = 1 << 20,
    /* Anonymous memory right behind a library's data is its .bss, unless it is too large to be one:
     * the kernel merges a .bss with the mapping above it. */
    BSS_LIMIT = 1 << 20,
};

/* What one mapping holds of the allocator: address space and resident bytes. */
struct own_part {
    uint64_t covered;
    uint64_t resident;
};

/* Where the allocator's territory lies, overlaps merged. */
struct territory {
    struct tm_extent *extents;
    size_t count;
};

static int by_start(const void *left, const void *right)
{
    const struct tm_extent *a = left;
    const struct tm_extent *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

static bool gather_territory(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                             struct territory *territory)
{
    size_t room = snapshot->arena_count + heap->span_extent_count + heap->metadata_extent_count;
    struct tm_extent *extents = calloc(room + 1, sizeof *extents);
    if (!extents)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->arena_count; i++) {
        uint64_t base = snapshot->arenas[i].base;
        extents[count++] = (struct tm_extent){base, base + TM_CENSUS_ARENA, 0};
    }
    for (size_t i = 0; i < heap->span_extent_count; i++)
        extents[count++] = heap->span_extents[i];
    for (size_t i = 0; i < heap->metadata_extent_count; i++)
        extents[count++] = heap->metadata_extents[i];
    qsort(extents, count, sizeof *extents, by_start);
    size_t merged = 0;
    for (size_t i = 0; i < count; i++) {
        if (merged > 0 && extents[i].start <= extents[merged - 1].end) {
            if (extents[i].end > extents[merged - 1].end)
                extents[merged - 1].end = extents[i].end;
        } else {
            extents[merged++] = extents[i];
        }
    }
    *territory = (struct territory){extents, merged};
    return true;
}

static uint64_t overlap(const struct tm_extent *extent, uint64_t start, uint64_t end)
{
    uint64_t from = extent->start > start ? extent->start : start;
    uint64_t to = extent->end < end ? extent->end : end;
    return to > from ? to - from : 0;
}

/* Resident bytes of the extents inside a range; of one that is cut by the range, its share by
 * address. */
static uint64_t resident_in(const struct tm_extent *extents, size_t count, uint64_t start,
                            uint64_t end)
{
    uint64_t sum = 0;
    for (size_t i = tm_extent_find(extents, count, start); i < count && extents[i].start < end;
         i++) {
        uint64_t inside = overlap(&extents[i], start, end);
        uint64_t whole = extents[i].end - extents[i].start;
        if (inside == whole)
            sum += extents[i].resident_bytes;
        else
            sum += (uint64_t)((unsigned __int128)extents[i].resident_bytes * inside / whole);
    }
    return sum;
}

/* Resident pages of pools and free pages of the arenas inside a range. */
static uint64_t arenas_in(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                          uint64_t start, uint64_t end)
{
    size_t low = 0;
    size_t high = snapshot->arena_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->arenas[middle].base + TM_CENSUS_ARENA > start)
            high = middle;
        else
            low = middle + 1;
    }
    uint64_t sum = 0;
    for (size_t i = low; i < snapshot->arena_count && snapshot->arenas[i].base < end; i++) {
        uint64_t base = snapshot->arenas[i].base;
        uint64_t mask = heap->counted[i];
        if (start > base)
            mask &= ~UINT64_C(0) << ((start - base) / PAGE);
        if (end < base + TM_CENSUS_ARENA)
            mask &= ~(~UINT64_C(0) << ((end - base) / PAGE));
        sum += (uint64_t)__builtin_popcountll(mask) * PAGE;
    }
    return sum;
}

static struct own_part own_part_of(const struct tm_snapshot_file *snapshot,
                                   const struct tm_heap *heap, const struct territory *territory,
                                   const struct tm_snapshot_map *map)
{
    struct own_part part = {0, 0};
    size_t first = tm_extent_find(territory->extents, territory->count, map->start);
    for (size_t i = first; i < territory->count && territory->extents[i].start < map->end; i++)
        part.covered += overlap(&territory->extents[i], map->start, map->end);
    if (part.covered == 0)
        return part;
    part.resident =
        arenas_in(snapshot, heap, map->start, map->end) +
        resident_in(heap->span_extents, heap->span_extent_count, map->start, map->end) +
        resident_in(heap->metadata_extents, heap->metadata_extent_count, map->start, map->end);
    return part;
}

/* Paths that some mapping executes: programs and libraries, as against other files. */
struct code_paths {
    const char **paths;
    size_t count;
};

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool gather_code_paths(const struct tm_snapshot_file *snapshot, struct code_paths *code)
{
    code->paths = calloc(snapshot->map_count + 1, sizeof *code->paths);
    code->count = 0;
    if (!code->paths)
        return false;
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const char *path = tm_snapshot_string(snapshot, snapshot->maps[i].path);
        if ((snapshot->maps[i].permissions & EXECUTE) && path[0] == '/')
            code->paths[code->count++] = path;
    }
    qsort(code->paths, code->count, sizeof *code->paths, by_text);
    return true;
}

static bool is_code(const struct code_paths *code, const char *path)
{
    return bsearch(&path, code->paths, code->count, sizeof *code->paths, by_text) != NULL;
}

static bool is_anonymous(const char *path)
{
    return path[0] == '\0' || strncmp(path, "[anon:", 6) == 0;
}

static bool is_own_library(const struct tm_snapshot_file *snapshot,
                           const struct tm_snapshot_map *map)
{
    const char *path = tm_snapshot_string(snapshot, map->path);
    const char *slash = strrchr(path, '/');
    return slash && strncmp(slash + 1, "libtidemark.so", strlen("libtidemark.so")) == 0;
}

/* below: the mapping right before this one, NULL for the first. */
static enum tm_map_kind kind_of(const struct tm_snapshot_file *snapshot,
                                const struct code_paths *code, const struct tm_snapshot_map *map,
                                const struct tm_snapshot_map *below)
{
    const char *path = tm_snapshot_string(snapshot, map->path);
    if (map->permissions & SHARED)
        return TM_MAP_SHARED;
    if (path[0] == '/')
        return is_code(code, path) ? TM_MAP_CODE : TM_MAP_FILE;
    if (strcmp(path, "[heap]") == 0)
        return TM_MAP_BRK;
    if (strncmp(path, "[stack", 6) == 0)
        return TM_MAP_STACK;
    if (!is_anonymous(path))
        return TM_MAP_KERNEL;
    if (map->permissions & EXECUTE)
        return TM_MAP_CODE_MADE;
    if (!below || below->end != map->start || !(map->permissions & WRITE))
        return TM_MAP_ANONYMOUS;
    const char *path_below = tm_snapshot_string(snapshot, below->path);
    if (is_anonymous(path_below) && !(below->permissions & (READ | WRITE | EXECUTE | SHARED)) &&
        below->end - below->start <= GUARD_LIMIT)
        return TM_MAP_STACK;
    bool of_program = snapshot->exe.length == strlen(path_below) &&
                      memcmp(snapshot->exe.bytes, path_below, snapshot->exe.length) == 0;
    if (path_below[0] == '/' && (below->permissions & WRITE) && !(below->permissions & SHARED) &&
        is_code(code, path_below) &&
        (of_program || is_own_library(snapshot, below) || map->end - map->start <= BSS_LIMIT))
        return TM_MAP_DATA;
    return TM_MAP_ANONYMOUS;
}

static int by_rss_down(const void *left, const void *right)
{
    const struct tm_other_map *a = left;
    const struct tm_other_map *b = right;
    if (a->rss_bytes != b->rss_bytes)
        return a->rss_bytes < b->rss_bytes ? 1 : -1;
    return (a->map->start > b->map->start) - (a->map->start < b->map->start);
}

/* Returns what is left of the mapping without the allocator's part. */
static uint64_t count_map(struct tm_maps *maps, const struct tm_snapshot_map *map,
                          enum tm_map_kind kind, struct own_part own)
{
    uint64_t size = map->end - map->start;
    uint64_t rss = map->rss_bytes;
    if (rss > size) {
        maps->contradictions++;
        rss = size;
    }
    maps->total_bytes += rss;
    maps->swap_bytes += map->swap_bytes;
    uint64_t rest = rss > own.resident ? rss - own.resident : 0;
    if (own.resident > rss)
        maps->overcount_bytes += own.resident - rss;
    /* More than the address space outside the allocator's territory cannot be anyone else's: the
     * residual shows it. */
    if (rest > size - own.covered)
        rest = size - own.covered;
    if (rest == 0)
        return 0;
    maps->others[maps->other_count++] = (struct tm_other_map){map, kind, rest};
    if (kind == TM_MAP_CODE) {
        uint64_t written = map->anonymous_bytes < rest ? map->anonymous_bytes : rest;
        maps->rss_bytes[TM_MAP_DATA] += written;
        maps->rss_bytes[TM_MAP_CODE] += rest - written;
    } else {
        maps->rss_bytes[kind] += rest;
    }
    return rest;
}

bool tm_maps_analyse(const struct tm_snapshot_file *snapshot, const struct tm_heap *heap,
                     struct tm_maps *maps)
{
    struct territory territory = {NULL, 0};
    struct code_paths code = {NULL, 0};
    *maps = (struct tm_maps){.others = calloc(snapshot->map_count + 1, sizeof *maps->others)};
    if (!maps->others || !gather_territory(snapshot, heap, &territory) ||
        !gather_code_paths(snapshot, &code)) {
        free(territory.extents);
        tm_maps_free(maps);
        return false;
    }
    const struct tm_snapshot_map *below = NULL;
    for (size_t i = 0; i < snapshot->map_count; i++) {
        const struct tm_snapshot_map *map = &snapshot->maps[i];
        if (below && map->start < below->end) {
            maps->contradictions++;
            continue;
        }
        enum tm_map_kind kind = kind_of(snapshot, &code, map, below);
        uint64_t rest = count_map(maps, map, kind, own_part_of(snapshot, heap, &territory, map));
        const char *path = tm_snapshot_string(snapshot, map->path);
        bool is_bss = kind == TM_MAP_DATA && *path == '\0';
        if (is_own_library(snapshot, is_bss ? below : map))
            maps->library_bytes += rest;
        below = map;
    }
    qsort(maps->others, maps->other_count, sizeof *maps->others, by_rss_down);
    free(territory.extents);
    free(code.paths);
    return true;
}

void tm_maps_free(struct tm_maps *maps)
{
    free(maps->others);
    *maps = (struct tm_maps){.others = NULL};
}
