/* snapshot_read.c: bytes of a file to checked arrays. Records are copied out, which settles
 * alignment and lets a file with longer records (a later version appended fields) or shorter ones
 * be read alike. The file is read and not mapped, so that one that shrinks meanwhile cannot kill
 * the command. profiler/format/README.md states the rules checked here.
 */
#include "profiler/report/snapshot_read.h"

#include "profiler/report/report_format.h"
#include "profiler/report/snapshot_read_sites.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* No user address reaches this on any Linux of 64 bits (57 bits of virtual address on x86-64
 * include the kernel's half). */
static const uint64_t address_limit = UINT64_C(1) << 57;

struct reader {
    const char *name;
    const unsigned char *data;
    size_t size;
    size_t at; /* of the next byte to look at */
    unsigned flags;
    struct tm_snapshot_file *out;
    struct tm_snapshot_error *error;
};

/* Where a section of records goes. least: the size that records had in the first version, which no
 * file undercuts. */
struct records {
    uint32_t tag;
    uint32_t least;
    uint32_t known;
    size_t array;
    size_t count;
};

#define FIELD(member) offsetof(struct tm_snapshot_file, member)
static const struct records record_sections[] = {
    {TM_TAG_MAPS, 88, sizeof(struct tm_snapshot_map), FIELD(maps), FIELD(map_count)},
    {TM_TAG_COUNTERS, 32, sizeof(struct tm_snapshot_counter), FIELD(counters),
     FIELD(counter_count)},
    {TM_TAG_CLASSES, 16, sizeof(struct tm_snapshot_class), FIELD(classes), FIELD(class_count)},
    {TM_TAG_ARENAS, 40, sizeof(struct tm_snapshot_arena), FIELD(arenas), FIELD(arena_count)},
    {TM_TAG_POOLS, 32, sizeof(struct tm_snapshot_pool), FIELD(pools), FIELD(pool_count)},
    {TM_TAG_PAGES, 4, sizeof(struct tm_snapshot_page), FIELD(pages), FIELD(page_count)},
    {TM_TAG_SPANS, 32, sizeof(struct tm_snapshot_span), FIELD(spans), FIELD(span_count)},
    {TM_TAG_METADATA, 48, sizeof(struct tm_snapshot_metadata), FIELD(metadata),
     FIELD(metadata_count)},
    {TM_TAG_TIMELINE, 48, sizeof(struct tm_snapshot_moment), FIELD(moments), FIELD(moment_count)},
    {TM_TAG_FRAMES, 16, sizeof(struct tm_snapshot_frame), FIELD(frames), FIELD(frame_count)},
    {TM_TAG_SITES, 408, sizeof(struct tm_snapshot_site), FIELD(sites), FIELD(site_count)},
    {TM_TAG_HELD, 24, sizeof(struct tm_snapshot_held), FIELD(held), FIELD(held_count)},
    {TM_TAG_SETS, 32, sizeof(struct tm_snapshot_set), FIELD(sets), FIELD(set_count)},
    {TM_TAG_MEMBERS, 4, sizeof(uint32_t), FIELD(members), FIELD(member_count)},
    {TM_TAG_PAGE_SETS, 8, sizeof(struct tm_snapshot_page_set), FIELD(page_sets),
     FIELD(page_set_count)},
};

static const struct {
    uint32_t tag;
    size_t text;
} text_sections[] = {
    {TM_TAG_COMMAND, FIELD(command)},     {TM_TAG_EXE, FIELD(exe)},
    {TM_TAG_CONFIG, FIELD(config)},       {TM_TAG_VERSION, FIELD(version)},
    {TM_TAG_ENVIRON, FIELD(environment)}, {TM_TAG_STATUS, FIELD(status)},
    {TM_TAG_ROLLUP, FIELD(rollup)},       {TM_TAG_STRINGS, FIELD(strings)},
};

enum {
    RECORD_SECTIONS = sizeof record_sections / sizeof record_sections[0],
    TEXT_SECTIONS = sizeof text_sections / sizeof text_sections[0],
    PROCESS_LEAST = 88,
    RECORDING_LEAST = 176,
    HEADER_LEAST = 24,
    MESSAGE_NAME_COLUMNS = 160,
};

/* Fills the message as 'NAME' followed by the words. Always false, so that a check can return it.
 */
static bool __attribute__((format(printf, 2, 3)))
refuse(struct reader *reader, const char *words, ...)
{
    struct tm_snapshot_error *error = reader->error;
    error->text[0] = '\0';
    FILE *out = fmemopen(error->text, sizeof error->text, "w");
    if (!out)
        return false;
    putc('\'', out);
    tm_print_escaped(out, reader->name, strlen(reader->name), MESSAGE_NAME_COLUMNS, false);
    fputs("' ", out);
    va_list arguments;
    va_start(arguments, words);
    vfprintf(out, words, arguments);
    va_end(arguments);
    fclose(out);
    return false;
}

/* A tag as four characters that are safe to print. */
static struct tm_words tag_words(uint32_t tag)
{
    struct tm_words words = {.text = ""};
    for (int i = 0; i < 4; i++) {
        char letter = (char)(tag >> (8 * i) & 0xff);
        words.text[i] = letter >= ' ' && letter <= '~' ? letter : '?';
    }
    return words;
}

static const struct records *records_of(uint32_t tag)
{
    for (int i = 0; i < RECORD_SECTIONS; i++)
        if (record_sections[i].tag == tag)
            return &record_sections[i];
    return NULL;
}

static bool take_records(struct reader *reader, const struct records *records,
                         const struct tm_snapshot_section *section, const unsigned char *payload)
{
    if (section->record_bytes < records->least)
        return refuse(reader,
                      "is damaged: section %s has records of %u bytes, less than the %u that "
                      "every version has",
                      tag_words(section->tag).text, section->record_bytes, records->least);
    if (section->bytes % section->record_bytes != 0)
        return refuse(reader,
                      "is damaged: section %s has %llu bytes, no multiple of its record of %u",
                      tag_words(section->tag).text, (unsigned long long)section->bytes,
                      section->record_bytes);
    size_t count = section->bytes / section->record_bytes;
    size_t copied = section->record_bytes < records->known ? section->record_bytes : records->known;
    unsigned char *array = calloc(count + 1, records->known);
    if (!array)
        return refuse(reader, "needs more memory than there is: %zu records in section %s", count,
                      tag_words(section->tag).text);
    for (size_t i = 0; i < count; i++)
        memcpy(array + i * records->known, payload + i * section->record_bytes, copied);
    memcpy((char *)reader->out + records->array, &array, sizeof array);
    memcpy((char *)reader->out + records->count, &count, sizeof count);
    return true;
}

/* A section of one record, of which `known` bytes go to `to`. */
static bool take_one(struct reader *reader, const struct tm_snapshot_section *section,
                     const unsigned char *payload, uint32_t least, void *to, size_t known)
{
    if (section->record_bytes < least || section->bytes != section->record_bytes)
        return refuse(reader, "is damaged: section %s is not one record of at least %u bytes",
                      tag_words(section->tag).text, least);
    memcpy(to, payload, section->bytes < known ? (size_t)section->bytes : known);
    return true;
}

static bool take_section(struct reader *reader, const struct tm_snapshot_section *section,
                         const unsigned char *payload)
{
    struct tm_snapshot_file *out = reader->out;
    if (section->tag == TM_TAG_PROCESS)
        return take_one(reader, section, payload, PROCESS_LEAST, &out->process,
                        sizeof out->process);
    if (section->tag == TM_TAG_RECORDING) {
        out->has_recording = true;
        return take_one(reader, section, payload, RECORDING_LEAST, &out->recording,
                        sizeof out->recording);
    }
    const struct records *records = records_of(section->tag);
    if (records)
        return take_records(reader, records, section, payload);
    for (int i = 0; i < TEXT_SECTIONS; i++) {
        if (text_sections[i].tag != section->tag)
            continue;
        struct tm_text text = {(const char *)payload, (size_t)section->bytes};
        memcpy((char *)reader->out + text_sections[i].text, &text, sizeof text);
    }
    return true; /* a section of a later version is skipped */
}

/* Which bit stands for a tag in the set of those seen; 0 for an unknown tag, which may come more
 * than once. */
static uint32_t tag_bit(uint32_t tag)
{
    if (tag == TM_TAG_PROCESS)
        return 1;
    if (tag == TM_TAG_RECORDING)
        return 2;
    for (int i = 0; i < RECORD_SECTIONS; i++)
        if (record_sections[i].tag == tag)
            return 4U << i;
    for (int i = 0; i < TEXT_SECTIONS; i++)
        if (text_sections[i].tag == tag)
            return 4U << (RECORD_SECTIONS + i);
    return 0;
}

static bool truncated(struct reader *reader, const char *where)
{
    return refuse(reader,
                  "is truncated: it ends at byte %zu, %s; it was not written or copied to its "
                  "end, take another snapshot",
                  reader->size, where);
}

static bool check_end(struct reader *reader, const struct tm_snapshot_section *section,
                      const unsigned char *payload, size_t header_at, uint32_t sections)
{
    struct tm_snapshot_end end;
    if (section->bytes < sizeof end || section->record_bytes != section->bytes)
        return refuse(reader, "is damaged: section END! is not one record of at least %zu bytes",
                      sizeof end);
    memcpy(&end, payload, sizeof end);
    if (reader->at != reader->size)
        return refuse(reader, "is damaged: %zu bytes follow its last section",
                      reader->size - reader->at);
    if (end.sections != sections)
        return refuse(reader, "is damaged: it has %u sections and says that it has %u", sections,
                      end.sections);
    uint32_t crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), reader->data, header_at);
    if (crc != end.crc && !(reader->flags & TM_SNAPSHOT_READ_ANY_CRC))
        return refuse(reader,
                      "is damaged: its checksum is %08x and should be %08x; copy it again or take "
                      "another snapshot",
                      crc, end.crc);
    return true;
}

static bool read_header(struct reader *reader)
{
    struct tm_snapshot_header *header = &reader->out->header;
    size_t comparable = reader->size < sizeof header->magic ? reader->size : sizeof header->magic;
    if (reader->size == 0)
        return refuse(reader, "is empty; it was not written to its end, take another snapshot");
    if (memcmp(reader->data, TM_SNAPSHOT_MAGIC, comparable) != 0)
        return refuse(reader, "is not a Tidemark snapshot: it does not start with \"%s\"",
                      TM_SNAPSHOT_MAGIC);
    if (reader->size < HEADER_LEAST)
        return truncated(reader, "inside its header");
    memcpy(header, reader->data, sizeof *header);
    if (header->version > TM_SNAPSHOT_VERSION)
        return refuse(reader,
                      "has format version %u and this tidemark (" TIDEMARK_VERSION
                      ") reads up to %d; use the tidemark that came with the library",
                      header->version, TM_SNAPSHOT_VERSION);
    if (header->version == 0)
        return refuse(reader, "is damaged: it has format version 0");
    if (header->header_bytes < HEADER_LEAST || header->header_bytes % 8 != 0)
        return refuse(reader, "is damaged: its header has %u bytes", header->header_bytes);
    if (header->header_bytes > reader->size)
        return truncated(reader, "inside its header");
    reader->at = header->header_bytes;
    return true;
}

static bool read_sections(struct reader *reader)
{
    uint32_t seen = 0;
    for (uint32_t sections = 0;; sections++) {
        size_t header_at = reader->at;
        struct tm_snapshot_section section;
        char where[96];
        if (reader->size - reader->at < sizeof section) {
            snprintf(where, sizeof where, "where section %u should start", sections + 1);
            return truncated(reader, where);
        }
        memcpy(&section, reader->data + reader->at, sizeof section);
        reader->at += sizeof section;
        size_t left = reader->size - reader->at;
        if (section.bytes > left || (section.bytes + 7) / 8 * 8 > left) {
            snprintf(where, sizeof where, "inside section %s, which has %llu bytes",
                     tag_words(section.tag).text, (unsigned long long)section.bytes);
            return truncated(reader, where);
        }
        if (section.record_bytes == 0)
            return refuse(reader, "is damaged: section %s has records of 0 bytes",
                          tag_words(section.tag).text);
        const unsigned char *payload = reader->data + reader->at;
        reader->at += (section.bytes + 7) / 8 * 8;
        if (section.tag == TM_TAG_END) {
            if (!check_end(reader, &section, payload, header_at, sections))
                return false;
            if (!(seen & tag_bit(TM_TAG_PROCESS)))
                return refuse(reader, "is damaged: it has no section PROC");
            return true;
        }
        if (seen & tag_bit(section.tag))
            return refuse(reader, "is damaged: section %s is there twice",
                          tag_words(section.tag).text);
        seen |= tag_bit(section.tag);
        if (!take_section(reader, &section, payload))
            return false;
    }
}

/* A section that is not there becomes an empty array, so that no caller meets NULL. */
static bool add_absent(struct reader *reader)
{
    static const struct tm_snapshot_section none = {.record_bytes = UINT32_MAX};
    for (int i = 0; i < RECORD_SECTIONS; i++) {
        const void *array;
        memcpy(&array, (char *)reader->out + record_sections[i].array, sizeof array);
        if (!array && !take_records(reader, &record_sections[i], &none, reader->data))
            return false;
    }
    return true;
}

static bool is_range(uint64_t base, uint64_t bytes)
{
    return base < address_limit && bytes <= address_limit - base;
}

static bool check_process(struct reader *reader)
{
    const struct tm_snapshot_process *process = &reader->out->process;
    if (process->mask_page_bytes != 4096 || process->arena_bytes != 64 * 4096)
        return refuse(reader,
                      "has pages of %u and arenas of %u bytes; this tidemark reads 4096 and 262144",
                      process->mask_page_bytes, process->arena_bytes);
    if (process->rss_bytes >= address_limit || process->peak_rss_bytes >= address_limit)
        return refuse(reader, "is damaged: it gives an RSS of %llu bytes",
                      (unsigned long long)process->rss_bytes);
    return true;
}

static bool check_maps(struct reader *reader)
{
    const struct tm_snapshot_file *file = reader->out;
    if (file->strings.length > 0 && file->strings.bytes[file->strings.length - 1] != '\0')
        return refuse(reader, "is damaged: its strings do not end");
    for (size_t i = 0; i < file->map_count; i++) {
        const struct tm_snapshot_map *map = &file->maps[i];
        /* Only the kernel's own pages lie beyond the limit, and they are in no RSS. */
        if (map->start > map->end || (map->end > address_limit && map->rss_bytes > 0) ||
            map->rss_bytes >= address_limit || map->swap_bytes >= address_limit)
            return refuse(reader,
                          "is damaged: mapping %zu is 0x%llx-0x%llx with %llu bytes resident", i,
                          (unsigned long long)map->start, (unsigned long long)map->end,
                          (unsigned long long)map->rss_bytes);
        /* Without strings only offset 0 stands for "". */
        if ((map->path >= file->strings.length && map->path != 0) ||
            (map->build_id >= file->strings.length && map->build_id != 0))
            return refuse(reader, "is damaged: mapping %zu names string %u of %zu bytes", i,
                          map->path > map->build_id ? map->path : map->build_id,
                          file->strings.length);
    }
    return true;
}

static bool check_pool(struct reader *reader, size_t index)
{
    const struct tm_snapshot_file *file = reader->out;
    const struct tm_snapshot_pool *pool = &file->pools[index];
    if (pool->size_class >= file->class_count)
        return refuse(reader, "is damaged: pool %zu names size class %u of %zu", index,
                      pool->size_class, file->class_count);
    if (pool->pages == 0 || pool->pages > 64 ||
        !is_range(pool->base, (uint64_t)pool->pages * file->process.mask_page_bytes))
        return refuse(reader, "is damaged: pool %zu is %u pages at 0x%llx", index, pool->pages,
                      (unsigned long long)pool->base);
    if (pool->identity == TM_IDENTITY_CHOSEN && pool->chosen_page >= pool->pages)
        return refuse(reader, "is damaged: page %u of pool %zu is chosen, which has %u",
                      pool->chosen_page, index, pool->pages);
    if (pool->first_page != TM_NO_PAGES &&
        (uint64_t)pool->first_page + pool->pages > file->page_count)
        return refuse(reader, "is damaged: pool %zu names pages %u to %llu of %zu", index,
                      pool->first_page, (unsigned long long)pool->first_page + pool->pages,
                      file->page_count);
    return true;
}

static bool check_heap(struct reader *reader)
{
    const struct tm_snapshot_file *file = reader->out;
    for (size_t i = 0; i < file->arena_count; i++)
        if (file->arenas[i].base % file->process.arena_bytes != 0 ||
            !is_range(file->arenas[i].base, file->process.arena_bytes))
            return refuse(reader, "is damaged: arena %zu is at 0x%llx", i,
                          (unsigned long long)file->arenas[i].base);
    for (size_t i = 0; i < file->pool_count; i++)
        if (!check_pool(reader, i))
            return false;
    for (size_t i = 0; i < file->span_count; i++)
        if (!is_range(file->spans[i].base, file->spans[i].bytes))
            return refuse(reader, "is damaged: span %zu is %llu bytes at 0x%llx", i,
                          (unsigned long long)file->spans[i].bytes,
                          (unsigned long long)file->spans[i].base);
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!is_range(file->metadata[i].base, file->metadata[i].bytes))
            return refuse(reader, "is damaged: metadata %zu is %llu bytes at 0x%llx", i,
                          (unsigned long long)file->metadata[i].bytes,
                          (unsigned long long)file->metadata[i].base);
    return true;
}

static bool check_sites(struct reader *reader)
{
    char words[160];
    if (tm_snapshot_sites_sound(reader->out, words, sizeof words))
        return true;
    return refuse(reader, "is damaged: %s", words);
}

/* Every record that is sorted starts with its address. */
static int by_address(const void *left, const void *right)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

static void sort_all(struct tm_snapshot_file *file)
{
    qsort((void *)file->maps, file->map_count, sizeof *file->maps, by_address);
    qsort((void *)file->arenas, file->arena_count, sizeof *file->arenas, by_address);
    qsort((void *)file->pools, file->pool_count, sizeof *file->pools, by_address);
    qsort((void *)file->spans, file->span_count, sizeof *file->spans, by_address);
    qsort((void *)file->metadata, file->metadata_count, sizeof *file->metadata, by_address);
    qsort((void *)file->moments, file->moment_count, sizeof *file->moments, by_address);
}

bool tm_snapshot_parse(const char *name, const void *data, size_t size, unsigned flags,
                       struct tm_snapshot_file *out, struct tm_snapshot_error *error)
{
    memset(out, 0, sizeof *out);
    error->text[0] = '\0';
    for (int i = 0; i < TEXT_SECTIONS; i++) {
        struct tm_text nothing = {"", 0};
        memcpy((char *)out + text_sections[i].text, &nothing, sizeof nothing);
    }
    struct reader reader = {name, data, size, 0, flags, out, error};
    out->file_bytes = size;
    out->owner = geteuid();
    if (!read_header(&reader) || !read_sections(&reader) || !add_absent(&reader) ||
        !check_process(&reader) || !check_maps(&reader) || !check_heap(&reader) ||
        !check_sites(&reader)) {
        tm_snapshot_free(out);
        return false;
    }
    sort_all(out);
    return true;
}

void tm_snapshot_free(struct tm_snapshot_file *snapshot)
{
    for (int i = 0; i < RECORD_SECTIONS; i++) {
        void *array;
        memcpy(&array, (char *)snapshot + record_sections[i].array, sizeof array);
        free(array);
    }
    free(snapshot->buffer);
    memset(snapshot, 0, sizeof *snapshot);
}
