/* writer.c: see writer.h. Only snapshot_write.c calls it, under the state word of request.c. */
#include "profiler/record/writer.h"

#include "profiler/format/snapshot.h"
#include "profiler/record/sys.h"

#include <errno.h>
#include <string.h>

static struct {
    int fd;
    int error;
    uint32_t crc; /* of all bytes so far, before the final inversion */
    uint32_t sections;
    size_t used;
    char buffer[64 * 1024];
} writer;

static uint32_t crc_table[256];

/* CRC-32 as zlib has it: polynomial 0xedb88320, reflected. */
static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = (c & 1) != 0 ? 0xedb88320U ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

static void flush(void)
{
    size_t at = 0;
    while (at < writer.used && writer.error == 0) {
        long done = tm_sys_write(writer.fd, writer.buffer + at, writer.used - at);
        if (done > 0)
            at += (size_t)done;
        else if (done != -EINTR)
            writer.error = done == 0 ? EIO : (int)-done;
    }
    writer.used = 0;
}

static void put(const void *bytes, size_t count)
{
    const unsigned char *from = bytes;
    uint32_t crc = writer.crc;
    for (size_t i = 0; i < count; i++)
        /* The analyzer takes the second byte of any field for unset.
         * NOLINTNEXTLINE(clang-analyzer-core.*) */
        crc = crc_table[(crc ^ from[i]) & 0xff] ^ (crc >> 8);
    writer.crc = crc;
    while (count > 0 && writer.error == 0) {
        size_t part = sizeof writer.buffer - writer.used;
        if (part > count)
            part = count;
        memcpy(writer.buffer + writer.used, from, part);
        writer.used += part;
        from += part;
        count -= part;
        if (writer.used == sizeof writer.buffer)
            flush();
    }
}

void tm_writer_start(int fd, uint32_t flags)
{
    struct tm_snapshot_header header = {
        .version = TM_SNAPSHOT_VERSION,
        .header_bytes = sizeof header,
        .flags = flags,
    };
    memcpy(header.magic, TM_SNAPSHOT_MAGIC, sizeof header.magic);
    make_table();
    writer.fd = fd;
    writer.error = 0;
    writer.crc = ~0U;
    writer.sections = 0;
    writer.used = 0;
    put(&header, sizeof header);
}

void tm_writer_section(uint32_t tag, size_t record_bytes, const void *payload, size_t bytes)
{
    static const char zeros[8];
    struct tm_snapshot_section section = {
        .tag = tag,
        .record_bytes = (uint32_t)record_bytes,
        .bytes = bytes,
    };
    put(&section, sizeof section);
    if (bytes > 0)
        put(payload, bytes);
    put(zeros, -bytes % 8);
    writer.sections++;
}

void tm_writer_fail(int error)
{
    if (writer.error == 0)
        writer.error = error;
}

int tm_writer_finish(void)
{
    struct tm_snapshot_end end = {.crc = ~writer.crc, .sections = writer.sections};
    tm_writer_section(TM_TAG_END, sizeof end, &end, sizeof end);
    flush();
    return writer.error;
}
