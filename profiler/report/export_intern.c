/* export_intern.c: see export_intern.h. */
#include "profiler/report/export_intern.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a; what is hashed are names of a program. */
static uint64_t hash_of(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static size_t place_of(const struct tm_intern *intern, const char *bytes, size_t length)
{
    size_t at = hash_of(bytes, length) & (intern->table_size - 1);
    while (intern->table[at] != 0) {
        const struct tm_intern_item *item = &intern->items[intern->table[at] - 1];
        if (item->length == length && memcmp(intern->bytes + item->at, bytes, length) == 0)
            break;
        at = (at + 1) & (intern->table_size - 1);
    }
    return at;
}

static bool grow_items(struct tm_intern *intern)
{
    uint32_t room = intern->item_room ? intern->item_room * 2 : 256;
    struct tm_intern_item *items = realloc(intern->items, room * sizeof *items);
    if (!items)
        return false;
    intern->items = items;
    uint32_t *table = calloc((size_t)room * 2, sizeof *table);
    if (!table)
        return false;
    free(intern->table);
    intern->table = table;
    intern->table_size = (size_t)room * 2;
    intern->item_room = room;
    for (uint32_t i = 0; i < intern->count; i++)
        table[place_of(intern, intern->bytes + items[i].at, items[i].length)] = i + 1;
    return true;
}

static bool make_room(struct tm_intern *intern, size_t length)
{
    size_t room = intern->room ? intern->room : 4096;
    while (room - intern->used <= length)
        room *= 2;
    char *bytes = room == intern->room ? intern->bytes : realloc(intern->bytes, room);
    if (!bytes)
        return false;
    intern->bytes = bytes;
    intern->room = room;
    return true;
}

uint32_t tm_intern(struct tm_intern *intern, const void *bytes, size_t length, bool *is_new)
{
    if (is_new)
        *is_new = false;
    if (intern->failed || (intern->count == intern->item_room && !grow_items(intern)) ||
        !make_room(intern, length)) {
        intern->failed = true;
        return 0;
    }
    size_t at = place_of(intern, bytes, length);
    if (intern->table[at] != 0)
        return intern->table[at] - 1;
    intern->items[intern->count] = (struct tm_intern_item){intern->used, length};
    memcpy(intern->bytes + intern->used, bytes, length);
    intern->bytes[intern->used + length] = '\0';
    intern->used += length + 1;
    intern->table[at] = ++intern->count;
    if (is_new)
        *is_new = true;
    return intern->count - 1;
}

uint32_t tm_intern_text(struct tm_intern *intern, const char *text)
{
    return tm_intern(intern, text, strlen(text), NULL);
}

const char *tm_intern_bytes(const struct tm_intern *intern, uint32_t number)
{
    return intern->bytes + intern->items[number].at;
}

void tm_intern_free(struct tm_intern *intern)
{
    free(intern->bytes);
    free(intern->items);
    free(intern->table);
    *intern = (struct tm_intern){.bytes = NULL};
}
