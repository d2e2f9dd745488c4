/* export_proto.c: see export_proto.h. */
#include "profiler/report/export_proto.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { VARINT = 0, BYTES = 2, LONGEST = 10 /* bytes of a varint */ };

/* Room for so many bytes more; NULL when memory runs out. */
static unsigned char *room_for(struct tm_proto *proto, size_t bytes)
{
    if (proto->failed)
        return NULL;
    if (proto->room - proto->length < bytes) {
        size_t room = proto->room ? proto->room : 256;
        while (room - proto->length < bytes)
            room *= 2;
        unsigned char *grown = realloc(proto->bytes, room);
        if (!grown) {
            proto->failed = true;
            return NULL;
        }
        proto->bytes = grown;
        proto->room = room;
    }
    return proto->bytes + proto->length;
}

static void put_varint(struct tm_proto *proto, uint64_t value)
{
    unsigned char *at = room_for(proto, LONGEST);
    if (!at)
        return;
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    proto->length = (size_t)(at - proto->bytes);
}

static void put_bytes(struct tm_proto *proto, uint32_t field, const void *bytes, size_t length)
{
    put_varint(proto, field << 3 | BYTES);
    put_varint(proto, length);
    unsigned char *at = room_for(proto, length);
    if (!at || length == 0)
        return;
    memcpy(at, bytes, length);
    proto->length += length;
}

void tm_proto_number(struct tm_proto *proto, uint32_t field, uint64_t value)
{
    put_varint(proto, field << 3 | VARINT);
    put_varint(proto, value);
}

void tm_proto_text(struct tm_proto *proto, uint32_t field, const char *text)
{
    put_bytes(proto, field, text, strlen(text));
}

void tm_proto_message(struct tm_proto *proto, uint32_t field, struct tm_proto *inner)
{
    put_bytes(proto, field, inner->bytes, inner->length);
    proto->failed |= inner->failed;
    inner->length = 0;
}

void tm_proto_numbers(struct tm_proto *proto, uint32_t field, const uint64_t *values, size_t count)
{
    struct tm_proto list = {.bytes = NULL};
    for (size_t i = 0; i < count; i++)
        put_varint(&list, values[i]);
    tm_proto_message(proto, field, &list);
    tm_proto_free(&list);
}

void tm_proto_free(struct tm_proto *proto)
{
    free(proto->bytes);
    *proto = (struct tm_proto){.bytes = NULL};
}

struct tm_gzip {
    z_stream stream;
    FILE *out;
    unsigned char buffer[1 << 16];
};

struct tm_gzip *tm_gzip_open(FILE *out)
{
    enum { GZIP_WINDOW = 15 + 16, MEMORY = 8 };
    struct tm_gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip)
        return NULL;
    gzip->out = out;
    if (deflateInit2(&gzip->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return NULL;
    }
    return gzip;
}

/* Hands all input to zlib and what comes out to the file. */
static void run(struct tm_gzip *gzip, int flush)
{
    do {
        gzip->stream.next_out = gzip->buffer;
        gzip->stream.avail_out = sizeof gzip->buffer;
        deflate(&gzip->stream, flush);
        fwrite(gzip->buffer, 1, sizeof gzip->buffer - gzip->stream.avail_out, gzip->out);
    } while (gzip->stream.avail_out == 0);
}

bool tm_gzip_write(struct tm_gzip *gzip, struct tm_proto *proto)
{
    enum { MOST = 1 << 30 }; /* at a time: avail_in is no size_t */
    for (size_t at = 0; at < proto->length;) {
        size_t part = proto->length - at < MOST ? proto->length - at : MOST;
        gzip->stream.next_in = proto->bytes + at;
        gzip->stream.avail_in = (uInt)part;
        run(gzip, Z_NO_FLUSH);
        at += part;
    }
    proto->length = 0;
    return !proto->failed;
}

bool tm_gzip_close(struct tm_gzip *gzip)
{
    gzip->stream.avail_in = 0;
    run(gzip, Z_FINISH);
    bool ended = deflateEnd(&gzip->stream) == Z_OK;
    free(gzip);
    return ended;
}
