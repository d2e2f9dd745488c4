/* snapshot_read.h: a snapshot file as checked, typed arrays: the only way for the command to look
 * at one. The reader believes nothing that the file says about itself: what comes out holds only
 * indexes that are in range, strings that end, addresses that a process can have, and arrays sorted
 * by address. It does not judge whether the figures agree with each other; the analysis counts
 * where they do not.
 */
#ifndef TIDEMARK_REPORT_SNAPSHOT_READ_H
#define TIDEMARK_REPORT_SNAPSHOT_READ_H

#include "profiler/format/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

/* A stretch of the file's bytes; not NUL-terminated, may hold any byte. bytes is never NULL. */
struct tm_text {
    const char *bytes;
    size_t length;
};

/* One snapshot. Everything it points to belongs to it until tm_snapshot_free(), except that text
 * from tm_snapshot_parse() points into the caller's data. A section that the file lacks has a count
 * or length of 0. */
struct tm_snapshot_file {
    struct tm_snapshot_header header;
    struct tm_snapshot_process process;
    struct tm_text command, exe, config, version, environment, status, rollup;
    struct tm_text strings; /* empty, or ends with NUL */
    const struct tm_snapshot_map *maps;
    size_t map_count;
    const struct tm_snapshot_counter *counters;
    size_t counter_count;
    const struct tm_snapshot_class *classes;
    size_t class_count;
    const struct tm_snapshot_arena *arenas;
    size_t arena_count;
    const struct tm_snapshot_pool *pools;
    size_t pool_count;
    const struct tm_snapshot_page *pages;
    size_t page_count;
    const struct tm_snapshot_span *spans;
    size_t span_count;
    const struct tm_snapshot_metadata *metadata;
    size_t metadata_count;
    const struct tm_snapshot_moment *moments;
    size_t moment_count;
    bool has_recording; /* call sites were recorded; without it the seven that follow are empty */
    struct tm_snapshot_recording recording;
    const struct tm_snapshot_frame *frames;
    size_t frame_count;
    const struct tm_snapshot_site *sites; /* by number, which ascends */
    size_t site_count;
    const struct tm_snapshot_held *held;
    size_t held_count;
    const struct tm_snapshot_set *sets;
    size_t set_count;
    const uint32_t *members;
    size_t member_count;
    const struct tm_snapshot_page_set *page_sets; /* by page */
    size_t page_set_count;
    size_t file_bytes; /* size of the file */
    uint32_t owner;    /* the user that it belongs to; where it is bytes in memory: this one */
    void *buffer;      /* the file's bytes when tm_snapshot_load() read them; else NULL */
};

enum tm_snapshot_read_flag {
    /* Take a wrong checksum for right, so that a fuzzer gets past it. */
    TM_SNAPSHOT_READ_ANY_CRC = 1,
};

/* What was wrong, in words for the user, without "tidemark: " and without control characters. */
struct tm_snapshot_error {
    char text[512];
};

/* Reads the file at path. On failure returns false, fills *error and leaves nothing to free. */
bool tm_snapshot_load(const char *path, struct tm_snapshot_file *out,
                      struct tm_snapshot_error *error);

/* The same for bytes in memory, which stay the caller's and must outlive *out. `name` is what the
 * messages call it. flags: enum tm_snapshot_read_flag. */
bool tm_snapshot_parse(const char *name, const void *data, size_t size, unsigned flags,
                       struct tm_snapshot_file *out, struct tm_snapshot_error *error);

void tm_snapshot_free(struct tm_snapshot_file *snapshot);

/* The string at an offset that came with the snapshot ("" for none). */
const char *tm_snapshot_string(const struct tm_snapshot_file *snapshot, uint32_t offset);

/* The value of a counter by its name; false where the file has none of that name. */
bool tm_snapshot_counter_value(const struct tm_snapshot_file *snapshot, const char *name,
                               uint64_t *value);

/* Finds the record of a site by its number; without one *index is where it would be. */
bool tm_snapshot_site_known(const struct tm_snapshot_file *snapshot, uint32_t number,
                            size_t *index);

/* The value of a line "NAME=value" in a text of lines; length 0 and *found false where there is
 * none. */
struct tm_text tm_text_value(struct tm_text lines, const char *name, bool *found);

#endif
