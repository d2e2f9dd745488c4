/* text.c: small texts in the caller's memory and the line on stderr. Anyone in the library may call
 * it, in a signal handler too. */
#include "profiler/record/text.h"

#include "profiler/record/mask.h"
#include "profiler/record/sys.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

struct tm_text tm_text_in(char *memory, size_t size)
{
    memory[0] = '\0';
    return (struct tm_text){.start = memory, .used = 0, .size = size, .cut = false};
}

void tm_text_bytes(struct tm_text *text, const char *bytes, size_t count)
{
    size_t room = text->size - 1 - text->used;
    if (count > room) {
        count = room;
        text->cut = true;
    }
    memcpy(text->start + text->used, bytes, count);
    text->used += count;
    text->start[text->used] = '\0';
}

void tm_text_add(struct tm_text *text, const char *string)
{
    tm_text_bytes(text, string, strlen(string));
}

static void add_in_base(struct tm_text *text, uint64_t value, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    tm_text_bytes(text, digits + at, sizeof digits - at);
}

void tm_text_number(struct tm_text *text, uint64_t value)
{
    add_in_base(text, value, 10);
}

void tm_text_hex(struct tm_text *text, uint64_t value)
{
    add_in_base(text, value, 16);
}

void tm_text_size(struct tm_text *text, uint64_t bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    unsigned unit = 0;
    uint64_t rest = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        rest = bytes % 1024;
        bytes /= 1024;
        unit++;
    }
    tm_text_number(text, bytes);
    if (unit > 0) {
        tm_text_add(text, ".");
        tm_text_number(text, rest * 10 / 1024);
    }
    tm_text_add(text, units[unit]);
}

void tm_text_error(struct tm_text *text, int error)
{
    /* A look-up in a constant table: documented as async-signal-safe in glibc, so in musl's code.
     */
#ifdef __GLIBC__
    const char *what = strerrordesc_np(error);
#else
    const char *what = strerror(error);
#endif
    tm_text_add(text, what != NULL ? what : "error");
    tm_text_add(text, " (");
    tm_text_number(text, (uint64_t)error);
    tm_text_add(text, ")");
}

/* Bytes of the character at the start, if it is one that a terminal only shows; 0: it is a control
 * character, or no UTF-8: a control character written longer than it has to be is one to some. */
static size_t shown_bytes(const char *bytes, size_t count)
{
    unsigned char first = (unsigned char)bytes[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7f;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > count)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            return 0;
    /* From U+00A0 on, without surrogates, up to U+10FFFF, and none longer than needed. */
    unsigned start = (unsigned)first << 8 | (unsigned char)bytes[1];
    bool is_shown = first == 0xc2   ? start >= 0xc2a0
                    : first == 0xe0 ? start >= 0xe0a0
                    : first == 0xed ? start < 0xeda0
                    : first == 0xf0 ? start >= 0xf090
                                    : start < 0xf490;
    return is_shown ? length : 0;
}

void tm_text_shown(struct tm_text *text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t length = shown_bytes(bytes + i, count - i);
        if (length > 0)
            tm_text_bytes(text, bytes + i, length);
        else
            tm_text_add(text, "?");
        i += length > 0 ? length : 1;
    }
}

void tm_text_quoted(struct tm_text *text, const char *bytes, size_t count)
{
    bool shortened = count > 64;
    tm_text_add(text, "'");
    tm_text_shown(text, bytes, shortened ? 64 : count);
    tm_text_add(text, shortened ? "…'" : "'");
}

bool tm_text_parse(const char **at, const char *end, uint64_t *value)
{
    const char *p = *at;
    uint64_t sum = 0;
    if (p == end || *p < '0' || *p > '9')
        return false;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(sum, 10U, &sum) ||
            __builtin_add_overflow(sum, (unsigned)(*p - '0'), &sum))
            return false;
    *at = p;
    *value = sum;
    return true;
}

/* What descriptor 2 was at start; mode 0: it was closed. */
static struct {
    dev_t device;
    ino_t inode;
    mode_t mode;
} start_stderr;

void tm_say_start(void)
{
    struct stat now = {.st_mode = 0};
    if (tm_sys3(SYS_fstat, 2, (long)&now, 0) == 0) {
        start_stderr.device = now.st_dev;
        start_stderr.inode = now.st_ino;
        start_stderr.mode = now.st_mode;
    }
}

/* A daemon that closed descriptor 2 gets it back from the next open or accept: a line written there
 * would land in its data. So a file or a socket is written to only if it was there at start or
 * takes lines at its end by agreement. */
static bool stderr_is_for_people(void)
{
    struct stat now = {.st_mode = 0};
    if (tm_sys3(SYS_fstat, 2, (long)&now, 0) != 0)
        return false;
    if (start_stderr.mode != 0 && now.st_dev == start_stderr.device &&
        now.st_ino == start_stderr.inode)
        return true;
    if (S_ISCHR(now.st_mode))
        return true;
    return S_ISREG(now.st_mode) && (tm_sys3(SYS_fcntl, 2, F_GETFL, 0) & O_APPEND) != 0;
}

void tm_say(struct tm_text *text)
{
    struct pollfd room = {.fd = 2, .events = POLLOUT, .revents = 0};
    if (!stderr_is_for_people())
        return;
    /* A full pipe that nobody empties must not stop the program; a line too long for one page loses
     * its end. */
    const struct timespec now = {0, 0};
    if (tm_sys4(SYS_ppoll, (long)&room, 1, (long)&now, 0) != 1 || (room.revents & POLLOUT) == 0 ||
        (room.revents & (POLLERR | POLLHUP)) != 0)
        return;
    if (text->used + 1 >= text->size)
        text->used = text->size - 2;
    text->start[text->used] = '\n';
    struct tm_mask mask = tm_mask_all();
    tm_sys_write(2, text->start, text->used + 1);
    tm_mask_restore(mask);
    text->start[text->used] = '\0';
}
