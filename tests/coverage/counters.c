/* counters.c: keeps the counters of a coverage build (scripts/coverage) in a file that every
 * process of a binary shares.
 *
 * The library is measured in processes that are killed, abort, replace themselves by exec, or end
 * by a raw exit in a copy made by a raw clone. What compilers bring writes counters when a process
 * exits as it should, so all that would be lost. Here counters are a shared mapping from the first
 * constructor on: what is counted is in the file at once, whatever becomes of the process. clang's
 * -runtime-counter-relocation adds __llvm_profile_counter_bias to the address of every counter;
 * with -fprofile-update=atomic processes may share them. What was counted before the constructor
 * ran (the loader's own requests) is added to the file.
 *
 * scripts/coverage makes the files, one for each binary of the build, named by a hash that it
 * computes in the same way, and makes of them what llvm-profdata reads. Where the file cannot be
 * opened (no descriptor left, no right to it) the process counts for itself and nothing of it is
 * seen. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A function of the binary, as clang 14 describes it (version 8 of the raw format). */
struct function {
    uint64_t name, shape, counters, address, values;
    uint32_t counter_count;
    uint16_t value_counts[2];
};

#define HIDDEN __attribute__((visibility("hidden")))
#define BOUND  extern HIDDEN __attribute__((weak))

BOUND uint64_t __start___llvm_prf_cnts[], __stop___llvm_prf_cnts[];
BOUND const struct function __start___llvm_prf_data[], __stop___llvm_prf_data[];
HIDDEN intptr_t __llvm_profile_counter_bias = 0;

/* FNV-1a over words. */
static uint64_t mixed(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * UINT64_C(0x100000001b3);
}

static uint64_t identity(void)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const struct function *f = __start___llvm_prf_data; f < __stop___llvm_prf_data; f++) {
        hash = mixed(hash, f->name);
        hash = mixed(hash, f->shape);
        hash = mixed(hash, f->counter_count);
    }
    return hash;
}

/* The path without stdio: in a preloaded library this runs before libc is ready. */
static void path_of(char *path, uint64_t hash)
{
    const char *directory = COUNTERS_DIRECTORY "/";

    while (*directory)
        *path++ = *directory++;
    for (int shift = 60; shift >= 0; shift -= 4)
        *path++ = "0123456789abcdef"[hash >> shift & 15];
    *path = '\0';
}

static __attribute__((constructor(101))) void share_counters(void)
{
    char path[sizeof COUNTERS_DIRECTORY + 18];
    size_t count = (size_t)(__stop___llvm_prf_cnts - __start___llvm_prf_cnts);
    long file, mapping;

    if (count == 0)
        return;
    path_of(path, identity());
    file = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    mapping = syscall(SYS_mmap, NULL, count * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
                      file, 0L);
    syscall(SYS_close, file);
    if (mapping < 0 && mapping > -4096)
        return;
    for (size_t i = 0; i < count; i++) {
        if (__start___llvm_prf_cnts[i])
            __atomic_fetch_add((uint64_t *)mapping + i, __start___llvm_prf_cnts[i],
                               __ATOMIC_RELAXED);
    }
    __llvm_profile_counter_bias = mapping - (intptr_t)__start___llvm_prf_cnts;
}
