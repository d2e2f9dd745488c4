/* unwind.c: see unwind.h.
 *
 * `ready` is released once libunwind's functions and its address space are stored, by whoever loads
 * them, and acquired before they are used. `unloading` rises before a library goes; its thread then
 * takes and leaves the lock that unwinding runs under (frames.c): unwinding that began earlier is
 * over, and what begins later sees the count, by the lock, and copies what it reads. `stale` is
 * released after the library is gone and taken by an exchange under that lock: the caches are
 * flushed once for each, at the latest before the next stack.
 */
#include "profiler/record/unwind.h"

#include "profiler/record/copy.h"
#include "profiler/record/sys.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#if defined(__aarch64__)
#include <libunwind-aarch64.h>
#else
#include <libunwind-x86_64.h>
#endif
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* What of libunwind is used, under the names of its library for a process that is not the caller's.
 */
#if defined(__aarch64__)
#define LIBRARY      "libunwind-aarch64.so.8"
#define SYMBOL(name) "_Uaarch64_" name
#else
#define LIBRARY      "libunwind-x86_64.so.8"
#define SYMBOL(name) "_Ux86_64_" name
#endif
enum {
#if defined(__aarch64__)
    PC = UNW_AARCH64_PC,
    SP = UNW_AARCH64_SP,
    FRAME_POINTER = UNW_AARCH64_X29,
#else
    PC = UNW_X86_64_RIP,
    SP = UNW_X86_64_RSP,
    FRAME_POINTER = UNW_X86_64_RBP,
#endif
};
static struct {
    unw_addr_space_t (*create)(unw_accessors_t *accessors, int byte_order);
    int (*init)(unw_cursor_t *cursor, unw_addr_space_t space, void *argument);
    int (*step)(unw_cursor_t *cursor);
    int (*is_signal)(unw_cursor_t *cursor);
    int (*get)(unw_cursor_t *cursor, int reg, unw_word_t *value);
    int (*place)(unw_cursor_t *cursor, int reg, unw_save_loc_t *place);
    void (*flush)(unw_addr_space_t space, unw_word_t low, unw_word_t high);
    int (*caching)(unw_addr_space_t space, unw_caching_policy_t policy);
    int (*search)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *info, unw_proc_info_t *out,
                  int need_unwind_info, void *argument);
} libunwind;
static unw_addr_space_t space;
static _Atomic bool ready;
static _Atomic bool stale; /* what libunwind remembers of code may be of a library that is gone */

/* Libraries that are being unloaded right now, by any thread. */
static _Atomic int unloading;

/* Of the stack being unwound; the caller sees to it that there is one at a time. Static, as the
 * stack may be a small one. */
static struct {
    unw_cursor_t cursor;
    struct tm_caller from;
    uintptr_t sp;                 /* of the frame that was reached */
    bool interrupted;             /* by a signal: it may have pushed nothing yet */
    const struct tm_stack *stack; /* the caller's of tm_unwind_begin(); NULL: nothing to step */
    uintptr_t module_low,
        module_high; /* what is read in place of the module found last; 0: nothing */
    uintptr_t copied_low, copied_high; /* what is copied of it instead */
} current;

/* Lines of modules that are not read in place. */
enum { LINE = 512, LINES = 16 };
static struct {
    uintptr_t base[LINES]; /* 0: empty */
    _Alignas(8) char bytes[LINES][LINE];
} copies;

/* ---- what libunwind asks for ---- */

static bool read_copy(uintptr_t address, void *to, size_t bytes)
{
    uintptr_t base = address & ~(uintptr_t)(LINE - 1);
    size_t line = base / LINE % LINES;
    if (address + bytes > base + LINE)
        return tm_copy(to, address, bytes); /* it spans two */
    if (copies.base[line] != base) {
        copies.base[line] = 0;
        if (!tm_copy(copies.bytes[line], base, LINE))
            return false;
        copies.base[line] = base;
    }
    memcpy(to, copies.bytes[line] + (address - base), bytes);
    return true;
}

/* Of the module found last. */
static bool read_module(uintptr_t address, void *to, size_t bytes)
{
    if (address >= current.module_low && address < current.module_high &&
        bytes <= current.module_high - address) {
        memcpy(to, (const void *)address, bytes);
        return true;
    }
    return address >= current.copied_low && address < current.copied_high &&
           bytes <= current.copied_high - address && read_copy(address, to, bytes);
}

static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value, int write,
                      void *argument)
{
    (void)as, (void)argument;
    uintptr_t word;
    if (write || (!read_module(address, &word, sizeof word) &&
                  !tm_stack_read(current.stack, address, &word)))
        return -UNW_EINVAL;
    *value = word;
    return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write,
                      void *argument)
{
    (void)as, (void)argument;
    if (write)
        return -UNW_EREADONLYREG;
    switch (reg) {
    case PC:
        *value = current.from.ip - 1; /* inside the call */
        return 0;
    case SP:
        *value = current.from.sp;
        return 0;
    case FRAME_POINTER:
        *value = current.from.frame;
        return 0;
#if defined(__aarch64__)
    case UNW_AARCH64_X30:
        *value = current.from.ip; /* as the call left it */
        return 0;
#endif
    default:
        return -UNW_EBADREG; /* no frame that a compiler makes is found by another one */
    }
}

/* The head of a module's table of unwind entries (.eh_frame_hdr), in the form that linkers write.
 */
struct table_head {
    uint8_t version, pointer_encoding, count_encoding, table_encoding;
    int32_t pointer;
    uint32_t count;
};
enum { DATA_RELATIVE_4 = 0x3b, PC_RELATIVE_4 = 0x1b, UNSIGNED_4 = 0x03 };

/* Program headers of a module that is mapped from its ELF header on, if they lie beside it, as
 * linkers put them (tools that edit files afterwards may not). NULL: they do not. */
static const ElfW(Phdr) * headers_of(const struct dl_find_object *object, size_t *count)
{
    enum { PAGE = 4096 };
    const ElfW(Ehdr) *file = object->dlfo_map_start;
    *count = file->e_phnum;
    if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0 || file->e_phoff > PAGE / 2 ||
        *count > PAGE / 2 / sizeof(ElfW(Phdr)))
        return NULL;
    return (const ElfW(Phdr) *)(const void *)((const char *)file + file->e_phoff);
}

/* What may be read of the module in place: the segment that its table of unwind entries lies in,
 * beside which every linker puts the entries; what is between segments may not be there. While a
 * library is being unloaded, which may be this one, and where that segment is not found, it is
 * copied. */
static void find_readable(const struct dl_find_object *object)
{
    uintptr_t table = (uintptr_t)object->dlfo_eh_frame;
    uintptr_t start = (uintptr_t)object->dlfo_map_start;
    current.module_low = current.module_high = 0;
    current.copied_low = start;
    current.copied_high = (uintptr_t)object->dlfo_map_end;
    if (table < start || table >= current.copied_high) { /* a program mapped in several parts */
        current.copied_low = table & ~(uintptr_t)(LINE - 1);
        current.copied_high = UINTPTR_MAX;
    }
    if (atomic_load_explicit(&unloading, memory_order_acquire) != 0)
        return;
    size_t count;
    const ElfW(Phdr) *header = headers_of(object, &count);
    for (size_t i = 0; header != NULL && i < count; i++) {
        uintptr_t low = object->dlfo_link_map->l_addr + header[i].p_vaddr;
        if (header[i].p_type == PT_LOAD && (header[i].p_flags & PF_R) != 0 && table >= low &&
            table - low < header[i].p_filesz) {
            current.module_low = low;
            current.module_high = low + header[i].p_filesz;
        }
    }
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *out,
                          int need_unwind_info, void *argument)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)ip, &object) != 0 || object.dlfo_eh_frame == NULL)
        return -UNW_ENOINFO;
    find_readable(&object);
    uintptr_t table = (uintptr_t)object.dlfo_eh_frame;
    struct table_head head;
    if (!read_module(table, &head, sizeof head) || head.version != 1 ||
        head.pointer_encoding != PC_RELATIVE_4 || head.count_encoding != UNSIGNED_4 ||
        head.table_encoding != DATA_RELATIVE_4)
        return -UNW_ENOINFO;
    unw_dyn_info_t info;
    memset(&info, 0, sizeof info);
    info.start_ip = (unw_word_t)(uintptr_t)object.dlfo_map_start;
    info.end_ip = (unw_word_t)(uintptr_t)object.dlfo_map_end;
    info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    info.u.rti.segbase = table;
    info.u.rti.table_data = table + sizeof head;
    info.u.rti.table_len = head.count * 2 * sizeof(int32_t) / sizeof(unw_word_t);
    return libunwind.search(as, ip, &info, out, need_unwind_info, argument);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *argument)
{
    (void)as, (void)info, (void)argument;
}

static int get_dyn_info_list(unw_addr_space_t as, unw_word_t *address, void *argument)
{
    (void)as, (void)address, (void)argument;
    return -UNW_ENOINFO;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write,
                        void *argument)
{
    (void)as, (void)reg, (void)value, (void)write, (void)argument;
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *argument)
{
    (void)as, (void)cursor, (void)argument;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t ip, char *name, size_t size,
                         unw_word_t *offset, void *argument)
{
    (void)as, (void)ip, (void)name, (void)size, (void)offset, (void)argument;
    return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
    .find_proc_info = find_proc_info,
    .put_unwind_info = put_unwind_info,
    .get_dyn_info_list_addr = get_dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = resume,
    .get_proc_name = get_proc_name,
};

/* ---- loading ---- */

static bool find_symbols(void *library)
{
    struct {
        const char *name;
        void *place;
    } wanted[] = {
        {SYMBOL("create_addr_space"), &libunwind.create},
        {SYMBOL("init_remote"), &libunwind.init},
        {SYMBOL("step"), &libunwind.step},
        {SYMBOL("is_signal_frame"), &libunwind.is_signal},
        {SYMBOL("get_reg"), &libunwind.get},
        {SYMBOL("get_save_loc"), &libunwind.place},
        {SYMBOL("set_caching_policy"), &libunwind.caching},
        {SYMBOL("flush_cache"), &libunwind.flush},
        {SYMBOL("dwarf_search_unwind_table"), &libunwind.search},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (symbol == NULL)
            return false;
        memcpy(wanted[i].place, &symbol, sizeof symbol);
    }
    return true;
}

/* The number that the next descriptor gets, and the one after it; -1: there is none. */
static void next_descriptors(int numbers[2])
{
    for (int i = 0; i < 2; i++)
        numbers[i] = tm_sys_open("/", O_PATH | O_DIRECTORY, 0);
    for (int i = 0; i < 2; i++)
        if (numbers[i] >= 0)
            tm_sys_close(numbers[i]);
}

/* The thread on which libunwind makes its address space; 0: none does. */
static _Atomic int space_maker;

/* libunwind tries this system call when its first address space is made, for checks that are not
 * made here. Filters of system calls that are in wide use (systemd's @system-service) kill the
 * process for it, so libunwind is told that there is no such call. Everyone else gets the kernel's
 * answer.
 */
__attribute__((visibility("default"))) int mincore(void *start, size_t length, unsigned char *pages)
{
    int maker = atomic_load_explicit(&space_maker, memory_order_relaxed);
    long result = -ENOSYS;
    if (maker == 0 || maker != (int)tm_sys3(SYS_gettid, 0, 0, 0))
        result = tm_sys3(SYS_mincore, (long)start, (long)length, (long)pages);
    if (result >= 0)
        return 0;
    errno = (int)-result;
    return -1;
}

/* libunwind opens a pipe for the checks that it makes in its own process, which are not made here.
 * It is closed again, so that the program's descriptors are numbered as without it. */
static unw_addr_space_t create_space(bool alone)
{
    int pipe_ends[2] = {-1, -1};
    if (alone)
        next_descriptors(pipe_ends);
    atomic_store_explicit(&space_maker, (int)tm_sys3(SYS_gettid, 0, 0, 0), memory_order_relaxed);
    unw_addr_space_t created = libunwind.create(&accessors, 0);
    if (created != NULL)
        libunwind.caching(created, UNW_CACHE_GLOBAL);
    atomic_store_explicit(&space_maker, 0, memory_order_relaxed);
    struct stat ends[2];
    if (pipe_ends[0] < 0 || pipe_ends[1] < 0 || fstat(pipe_ends[0], &ends[0]) != 0 ||
        fstat(pipe_ends[1], &ends[1]) != 0 || !S_ISFIFO(ends[0].st_mode) ||
        ends[0].st_ino != ends[1].st_ino)
        return created;
    tm_sys_close(pipe_ends[0]);
    tm_sys_close(pipe_ends[1]);
    return created;
}

int tm_unwind_load(bool alone)
{
    if (tm_unwind_ready())
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || !find_symbols(library)) {
        dlerror(); /* what it would say is not for the program */
        return library == NULL ? -ENOENT : -ENOSYS;
    }
    tm_copy_start();
    space = create_space(alone);
    if (space == NULL)
        return -ENOMEM;
    atomic_store_explicit(&ready, true, memory_order_release);
    return 0;
}

bool tm_unwind_ready(void)
{
    return atomic_load_explicit(&ready, memory_order_acquire);
}

/* ---- unwinding ---- */

void tm_unwind_unloading(void)
{
    atomic_fetch_add_explicit(&unloading, 1, memory_order_seq_cst);
}

void tm_unwind_unloaded(void)
{
    atomic_store_explicit(&stale, true, memory_order_release);
    atomic_fetch_sub_explicit(&unloading, 1, memory_order_release);
}

void tm_unwind_begin(const struct tm_caller *caller, const struct tm_stack *stack)
{
    current.from = *caller;
    current.sp = caller->sp;
    current.interrupted = false;
    current.stack = stack;
    current.module_low = current.module_high = current.copied_low = current.copied_high = 0;
    memset(copies.base, 0, sizeof copies.base);
    if (atomic_load_explicit(&stale, memory_order_relaxed) &&
        atomic_exchange_explicit(&stale, false, memory_order_acquire))
        libunwind.flush(space, 0, 0);
    if (libunwind.init(&current.cursor, space, NULL) != 0)
        current.stack = NULL;
}

/* Nothing is mapped below that (mmap_min_addr): no code. */
static const uintptr_t LOWEST_CODE = 64 * 1024;

/* Where the return address that the last step went by lies; `sp` is the stack pointer since. */
static bool return_place(uintptr_t sp, uintptr_t *place)
{
#if defined(__aarch64__)
    /* Anywhere in the callee's frame. */
    unw_save_loc_t saved;
    if (libunwind.place(&current.cursor, UNW_AARCH64_X30, &saved) != 0 ||
        saved.type != UNW_SLT_MEMORY)
        return false;
    *place = saved.u.addr;
    return *place >= current.stack->sp && *place < sp && *place % sizeof *place == 0;
#else
    *place = sp - sizeof(uintptr_t);
    return true;
#endif
}

bool tm_unwind_step(uintptr_t *ip, uintptr_t *behind, bool *exact)
{
    unw_word_t next_ip, next_sp;
    uintptr_t place;
    if (current.stack == NULL)
        return false;
    *exact = libunwind.is_signal(&current.cursor) > 0;
    if (libunwind.step(&current.cursor) <= 0 ||
        libunwind.get(&current.cursor, UNW_REG_IP, &next_ip) != 0 ||
        libunwind.get(&current.cursor, UNW_REG_SP, &next_sp) != 0)
        return false;
    /* The stack grows down: what is not above its callee is no caller. */
    if (next_ip < LOWEST_CODE || next_sp < current.sp + !current.interrupted ||
        next_sp > current.stack->end || next_sp % sizeof(uintptr_t) != 0 ||
        !return_place(next_sp, &place))
        return false;
    current.sp = next_sp;
    current.interrupted = *exact;
    *ip = next_ip;
    *behind = place + sizeof(uintptr_t);
    return true;
}
