/* stack_range.c: see stack_range.h. The kernel is asked, through /proc/self/maps: by the ioctl that
 * finds one mapping (Linux 6.11) or by reading the text up to it.
 *
 * A thread's own stack is asked for once. It is told from others by what lies on it: of the first
 * thread the kernel's [stack], of others libc's descriptor, which the thread pointer points to, at
 * its upper end. Stacks of the program's own come and go, so what was found of the last one counts
 * for a tick of the coarse clock only.
 */
#include "profiler/record/stack_range.h"

#include "profiler/record/sys.h"
#include "profiler/record/timeline.h"

#include <string.h>
#include <sys/ioctl.h>

struct range {
    uintptr_t low, high; /* 0: none */
};

struct known {
    struct range own;
    struct range other;
    uint64_t other_ns; /* when other was asked for */
};
static _Thread_local struct known known __attribute__((tls_model("initial-exec")));

/* linux/fs.h has these from 6.11 on. */
struct query {
    uint64_t size, flags, address;
    uint64_t start, end, mapping_flags, page_bytes, offset, inode;
    uint32_t device_major, device_minor, name_bytes, build_id_bytes;
    uint64_t name, build_id;
};
#define QUERY_MAPPING _IOWR('f', 17, struct query)
enum { WRITABLE = 2 };

static bool ask_kernel(int fd, uintptr_t address, struct range *range)
{
    struct query query = {.size = sizeof query, .flags = WRITABLE, .address = address};
    if (tm_sys3(SYS_ioctl, fd, QUERY_MAPPING, (long)&query) != 0)
        return false;
    *range = (struct range){query.start, query.end};
    return true;
}

static bool parse_hex(const char **at, uintptr_t *value)
{
    const char *start = *at;
    for (*value = 0;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *value = *value << 4 | (uintptr_t)(c - 'a' + 10);
        else
            return *at != start;
    }
}

/* Reads lines until the one that the address lies in. */
static bool read_maps(int fd, uintptr_t address, struct range *range)
{
    char buffer[1024];
    size_t used = 0;
    for (;;) {
        long got = tm_sys_read(fd, buffer + used, sizeof buffer - 1 - used);
        if (got <= 0)
            return false;
        used += (size_t)got;
        buffer[used] = '\0';
        char *line = buffer;
        for (char *end; (end = memchr(line, '\n', used - (size_t)(line - buffer))) != NULL;
             line = end + 1) {
            const char *at = line;
            struct range found;
            if (parse_hex(&at, &found.low) && *at++ == '-' && parse_hex(&at, &found.high) &&
                address >= found.low && address < found.high) {
                *range = found;
                return strncmp(at, " rw", 3) == 0;
            }
        }
        used -= (size_t)(line - buffer);
        if (used == sizeof buffer - 1)
            used = 0; /* a line that long has a path at its end: nothing but that is lost */
        memmove(buffer, line, used);
    }
}

static struct range ask(uintptr_t address)
{
    struct range range = {0, 0};
    int fd = tm_sys_open("/proc/self/maps", O_RDONLY, 0);
    if (fd < 0)
        return range;
    if (!ask_kernel(fd, address, &range) && !read_maps(fd, address, &range))
        range = (struct range){0, 0};
    tm_sys_close(fd);
    return range;
}

/* ld.so keeps where the program's arguments end: on the first thread's stack. */
extern void *__libc_stack_end __attribute__((weak));

static bool is_within(const struct range *range, uintptr_t address)
{
    return address >= range->low && address < range->high;
}

/* Whether a range that the thread's stack pointer lies in is its own stack; cuts it to that. */
static bool is_own(struct range *range)
{
    if (tm_sys_getpid() == (int)tm_sys3(SYS_gettid, 0, 0, 0))
        return &__libc_stack_end != NULL && is_within(range, (uintptr_t)__libc_stack_end);
    uintptr_t descriptor = (uintptr_t)__builtin_thread_pointer();
    if (!is_within(range, descriptor))
        return false;
    range->high = descriptor; /* what follows may be another mapping, beside it by chance */
    return true;
}

uintptr_t tm_stack_end(uintptr_t sp, bool *own)
{
    *own = is_within(&known.own, sp);
    if (*own)
        return known.own.high;
    uint64_t now = tm_timeline_now_ns();
    if (is_within(&known.other, sp) && known.other_ns == now)
        return known.other.high;
    struct range range = ask(sp);
    if (range.high == 0)
        return 0;
    *own = is_own(&range) && is_within(&range, sp);
    if (*own) {
        known.own = range;
    } else {
        known.other = range;
        known.other_ns = now;
    }
    return range.high;
}
