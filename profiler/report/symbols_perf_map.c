/* symbols_perf_map.c: see symbols_perf_map.h. The file's text is kept and the ranges point into it,
 * so that of a map of a million lines only the names that are asked for are looked at. Lines that
 * are none are passed over.
 */
#include "profiler/report/symbols_perf_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The end of the file into map->text. */
static bool read_text(int file, struct tm_perf_map *map)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return false;
    off_t from = 0;
    size_t bytes = (size_t)status.st_size;
    if (bytes > TM_PERF_MAP_BYTES) {
        from = status.st_size - TM_PERF_MAP_BYTES;
        bytes = TM_PERF_MAP_BYTES;
        map->cut = true;
    }
    map->text = calloc(bytes + 1, 1);
    if (!map->text)
        return false;
    while (map->length < bytes) {
        ssize_t got =
            pread(file, map->text + map->length, bytes - map->length, from + (off_t)map->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break; /* it became shorter */
        map->length += (size_t)got;
    }
    return true;
}

/* A hexadecimal number, with or without 0x, and the blanks behind it. False: there is none. */
static bool take_number(const char **at, const char *end, uint64_t *value)
{
    const char *p = *at;
    if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        p += 2;
    const char *first = p;
    *value = 0;
    for (; p < end && p - first <= 16; p++) {
        unsigned digit = (unsigned char)*p;
        if (digit >= '0' && digit <= '9')
            digit -= '0';
        else if (digit >= 'a' && digit <= 'f')
            digit -= 'a' - 10;
        else if (digit >= 'A' && digit <= 'F')
            digit -= 'A' - 10;
        else
            break;
        *value = *value << 4 | digit;
    }
    if (p == first || p - first > 16 || p == end || (*p != ' ' && *p != '\t'))
        return false;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    *at = p;
    return true;
}

static bool add_line(struct tm_perf_map *map, const char *line, const char *end, uint64_t number)
{
    uint64_t start;
    uint64_t size;
    if (!take_number(&line, end, &start) || !take_number(&line, end, &size) || line == end)
        return true;
    /* One that reaches beyond the last address has its end before its start, and is left out. */
    return tm_ranges_add(
        &map->lines, (struct tm_range){start, start + size, number, (uint32_t)(line - map->text)});
}

bool tm_perf_map_read(int file, struct tm_perf_map *map)
{
    *map = (struct tm_perf_map){.text = NULL};
    bool good = read_text(file, map);
    const char *end = map->text + map->length;
    const char *line = map->text;
    if (good && map->cut) { /* the first line is whole from its start only */
        const char *newline = memchr(line, '\n', map->length);
        line = newline ? newline + 1 : end;
    }
    for (uint64_t number = 0; good && line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline ? newline : end;
        good = add_line(map, line, line_end, number);
        line = newline ? newline + 1 : end;
        if (map->lines.count == TM_PERF_MAP_LINES && line < end) {
            map->cut = true;
            break;
        }
    }
    if (good && tm_ranges_flatten(&map->lines))
        return true;
    int error = errno;
    tm_perf_map_free(map);
    errno = error;
    return false;
}

const char *tm_perf_map_at(const struct tm_perf_map *map, uint64_t address, struct tm_names *names,
                           const char **source)
{
    static const char python[] = "py::";
    *source = NULL;
    uint32_t at = tm_ranges_find(&map->lines, address);
    if (at == TM_NO_RANGE)
        return NULL;
    const char *name = map->text + at;
    size_t length = map->length - at;
    const char *newline = memchr(name, '\n', length);
    if (newline)
        length = (size_t)(newline - name);
    if (length > sizeof python && memcmp(name, python, sizeof python - 1) == 0) {
        const char *function = name + sizeof python - 1;
        const char *colon = memchr(function, ':', length - (sizeof python - 1));
        if (colon && colon > function && colon + 1 < name + length) {
            *source = tm_names_keep(names, colon + 1, (size_t)(name + length - colon - 1));
            return tm_names_keep(names, function, (size_t)(colon - function));
        }
    }
    return tm_names_keep(names, name, length);
}

void tm_perf_map_free(struct tm_perf_map *map)
{
    free(map->text);
    tm_ranges_free(&map->lines);
    *map = (struct tm_perf_map){.text = NULL};
}
