/* sys.h: raw system calls for code that may run where libc must not: in a signal handler that
 * interrupted any instruction, in a thread that libc knows nothing of, in a copy of the process
 * frozen at any instruction. Each returns what the kernel returned, a negative errno on failure,
 * and touches neither errno nor any other thread-local variable.
 */
#ifndef TIDEMARK_RECORD_SYS_H
#define TIDEMARK_RECORD_SYS_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "allocator/syscall.h"

static inline long tm_sys4(long number, long a, long b, long c, long d)
{
    return tm_sys6(number, a, b, c, d, 0, 0);
}

static inline long tm_sys3(long number, long a, long b, long c)
{
    return tm_sys6(number, a, b, c, 0, 0, 0);
}

static inline int tm_sys_getpid(void)
{
    return (int)tm_sys3(SYS_getpid, 0, 0, 0);
}

static inline int tm_sys_open(const char *path, int flags, unsigned mode)
{
    return (int)tm_sys4(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, mode);
}

static inline void tm_sys_close(int fd)
{
    tm_sys3(SYS_close, fd, 0, 0);
}

/* The calls of this name that take a path alone are not on every machine. */
static inline long tm_sys_unlink(const char *path)
{
    return tm_sys3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
}

static inline long tm_sys_rename(const char *from, const char *to)
{
    return tm_sys4(SYS_renameat, AT_FDCWD, (long)from, AT_FDCWD, (long)to);
}

static inline long tm_sys_readlink(const char *path, char *to, size_t size)
{
    return tm_sys4(SYS_readlinkat, AT_FDCWD, (long)path, (long)to, (long)size);
}

static inline long tm_sys_read(int fd, void *to, size_t size)
{
    return tm_sys3(SYS_read, fd, (long)to, (long)size);
}

static inline long tm_sys_pread(int fd, void *to, size_t size, uint64_t offset)
{
    return tm_sys4(SYS_pread64, fd, (long)to, (long)size, (long)offset);
}

static inline long tm_sys_write(int fd, const void *from, size_t size)
{
    return tm_sys3(SYS_write, fd, (long)from, (long)size);
}

static inline uint64_t tm_sys_clock_ns(clockid_t clock)
{
    struct timespec now = {0, 0};
    tm_sys3(SYS_clock_gettime, clock, (long)&now, 0);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline void tm_sys_sleep_ns(long nanoseconds)
{
    struct timespec pause = {0, nanoseconds};
    tm_sys3(SYS_nanosleep, (long)&pause, 0, 0);
}

_Noreturn static inline void tm_sys_exit_group(int status)
{
    for (;;)
        tm_sys3(SYS_exit_group, status, 0, 0);
}

#endif
