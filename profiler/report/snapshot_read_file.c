/* snapshot_read_file.c: the part of snapshot_read.h that meets the file system, and the look-ups by
 * name. What cannot be a snapshot is refused before it is read whole.
 */
#include "profiler/report/report_format.h"
#include "profiler/report/snapshot_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(struct tm_snapshot_error *error, const char *path, const char *words,
                   const char *detail)
{
    error->text[0] = '\0';
    FILE *out = fmemopen(error->text, sizeof error->text, "w");
    if (!out)
        return false;
    putc('\'', out);
    tm_print_escaped(out, path, strlen(path), 160, false);
    fprintf(out, "' %s%s", words, detail);
    fclose(out);
    return false;
}

static bool refuse_open(struct tm_snapshot_error *error, const char *path, int why)
{
    if (why == ENOENT)
        return refuse(error, path, "does not exist; `tidemark snapshot PID` makes a snapshot", "");
    if (why == EACCES || why == EPERM)
        return refuse(error, path,
                      "may not be read: snapshots belong to the user of the process; run this as "
                      "that user or as root",
                      "");
    return refuse(error, path, "cannot be read: ", strerror(why));
}

/* Reads until the end of the file or until `size` bytes; the number read, or -1 with errno. */
static ssize_t read_up_to(int fd, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, buffer + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static bool load(int fd, const char *path, struct tm_snapshot_file *out,
                 struct tm_snapshot_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return refuse_open(error, path, errno);
    if (S_ISDIR(status.st_mode))
        return refuse(error, path, "is a directory; name the snapshot file in it", "");
    if (!S_ISREG(status.st_mode))
        return refuse(error, path, "is not a regular file; copy the snapshot to a file first", "");
    /* The first bytes alone show a file that is something else, however large it is. */
    char magic[sizeof TM_SNAPSHOT_MAGIC - 1];
    ssize_t got = read_up_to(fd, magic, sizeof magic);
    if (got < 0)
        return refuse_open(error, path, errno);
    size_t size = (size_t)status.st_size;
    if (got < (ssize_t)sizeof magic || memcmp(magic, TM_SNAPSHOT_MAGIC, sizeof magic) != 0)
        size = (size_t)got;
    char *buffer = malloc(size + 1);
    if (!buffer)
        return refuse(error, path, "is larger than the memory that this process may use", "");
    memcpy(buffer, magic, (size_t)got);
    if (size > (size_t)got) {
        ssize_t more = read_up_to(fd, buffer + got, size - (size_t)got);
        if (more < 0) {
            int why = errno;
            free(buffer);
            return refuse_open(error, path, why);
        }
        size = (size_t)got + (size_t)more;
    }
    if (!tm_snapshot_parse(path, buffer, size, 0, out, error)) {
        free(buffer);
        return false;
    }
    out->buffer = buffer;
    out->owner = status.st_uid;
    return true;
}

bool tm_snapshot_load(const char *path, struct tm_snapshot_file *out,
                      struct tm_snapshot_error *error)
{
    /* O_NONBLOCK: a FIFO without a writer must not hang the command. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refuse_open(error, path, errno);
    bool loaded = load(fd, path, out, error);
    close(fd);
    return loaded;
}

const char *tm_snapshot_string(const struct tm_snapshot_file *snapshot, uint32_t offset)
{
    return offset < snapshot->strings.length ? snapshot->strings.bytes + offset : "";
}

bool tm_snapshot_counter_value(const struct tm_snapshot_file *snapshot, const char *name,
                               uint64_t *value)
{
    for (size_t i = 0; i < snapshot->counter_count; i++) {
        if (strncmp(snapshot->counters[i].name, name, sizeof snapshot->counters[i].name) != 0)
            continue;
        *value = snapshot->counters[i].value;
        return true;
    }
    return false;
}

struct tm_text tm_text_value(struct tm_text lines, const char *name, bool *found)
{
    size_t length = strlen(name);
    *found = false;
    while (lines.length > 0) {
        const char *end = memchr(lines.bytes, '\n', lines.length);
        size_t line = end ? (size_t)(end - lines.bytes) : lines.length;
        if (line > length && memcmp(lines.bytes, name, length) == 0 && lines.bytes[length] == '=') {
            *found = true;
            return (struct tm_text){lines.bytes + length + 1, line - length - 1};
        }
        line += end ? 1 : 0;
        lines.bytes += line;
        lines.length -= line;
    }
    return (struct tm_text){"", 0};
}
