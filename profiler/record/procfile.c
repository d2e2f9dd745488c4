/* procfile.c: see procfile.h. */
#include "profiler/record/procfile.h"

#include "profiler/record/sys.h"
#include "profiler/record/text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char *tm_proc_path(int pid, const char *name)
{
    static char path[64];
    struct tm_text text = tm_text_in(path, sizeof path);
    tm_text_add(&text, "/proc/");
    if (pid == 0)
        tm_text_add(&text, "self");
    else
        tm_text_number(&text, (uint64_t)pid);
    tm_text_add(&text, "/");
    tm_text_add(&text, name);
    return path;
}

static long read_some(int fd, char *to, size_t size)
{
    long got;
    do
        got = tm_sys_read(fd, to, size);
    while (got == -EINTR);
    return got;
}

long tm_proc_read(const char *path, char *to, size_t size)
{
    size_t used = 0;
    long got = 0;
    to[0] = '\0';
    int fd = tm_sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    while (used + 1 < size && (got = read_some(fd, to + used, size - 1 - used)) > 0)
        used += (size_t)got;
    tm_sys_close(fd);
    to[used] = '\0';
    return used == 0 && got < 0 ? got : (long)used;
}

int tm_proc_lines(const char *path, void (*line)(char *text, void *context), void *context)
{
    static char buffer[32 * 1024];
    static char text[4096];
    size_t length = 0;
    long got;
    int fd = tm_sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    while ((got = read_some(fd, buffer, sizeof buffer)) > 0)
        for (long i = 0; i < got; i++) {
            if (buffer[i] != '\n') {
                if (length + 1 < sizeof text)
                    text[length++] = buffer[i];
                continue;
            }
            text[length] = '\0';
            line(text, context);
            length = 0;
        }
    tm_sys_close(fd);
    return (int)got;
}

uint64_t tm_proc_field(const char *text, const char *name)
{
    size_t length = strlen(name);
    uint64_t value = 0;
    while (text != NULL && *text != '\0') {
        if (strncmp(text, name, length) == 0) {
            const char *at = text + length;
            at += strspn(at, " \t");
            tm_text_parse(&at, at + strlen(at), &value);
            return value;
        }
        text = strchr(text, '\n');
        if (text != NULL)
            text++;
    }
    return 0;
}
