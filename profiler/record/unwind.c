/* unwind.c: see unwind.h. */
#include "profiler/record/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <libunwind-x86_64.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>

/* What of libunwind is used, under the names of its library for a process that is not the caller's.
 */
#define LIBRARY "libunwind-x86_64.so.8"
static struct {
    unw_addr_space_t (*create)(unw_accessors_t *accessors, int byte_order);
    int (*init)(unw_cursor_t *cursor, unw_addr_space_t space, void *argument);
    int (*step)(unw_cursor_t *cursor);
    int (*is_signal)(unw_cursor_t *cursor);
    int (*get)(unw_cursor_t *cursor, int reg, unw_word_t *value);
    void (*flush)(unw_addr_space_t space, unw_word_t low, unw_word_t high);
    int (*caching)(unw_addr_space_t space, unw_caching_policy_t policy);
    int (*search)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *info, unw_proc_info_t *out,
                  int need_unwind_info, void *argument);
} libunwind;
static unw_addr_space_t space;
static _Atomic bool ready;
static _Atomic bool stale; /* what libunwind remembers of code may be of a library that is gone */

/* Of the stack being unwound; the caller sees to it that there is one at a time. Static, as the
 * stack may be a small one. */
static struct {
    unw_cursor_t cursor;
    struct tm_caller from;
    const struct tm_stack
        *stack; /* the caller's of tm_unwind_begin(); NULL: there is nothing to step */
    uintptr_t module_low, module_high; /* of the part that may be read of the module found last */
} current;

/* ---- what libunwind asks for ---- */

static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value, int write,
                      void *argument)
{
    (void)as, (void)argument;
    if (write)
        return -UNW_EINVAL;
    if (address >= current.module_low && address < current.module_high &&
        address <= current.module_high - sizeof *value) {
        memcpy(value, (const void *)address, sizeof *value);
        return 0;
    }
    uintptr_t word;
    if (!tm_stack_read(current.stack, address, &word))
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
    case UNW_X86_64_RIP:
        *value = current.from.ip - 1; /* inside the call */
        return 0;
    case UNW_X86_64_RSP:
        *value = current.from.sp;
        return 0;
    case UNW_X86_64_RBP:
        *value = current.from.frame;
        return 0;
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

/* Sets what may be read of the module: the segment that its table of unwind entries lies in. (What
 * is between its segments may not be.) The entries themselves lie beside the table with every
 * linker. */
static bool find_segment(const struct dl_find_object *object)
{
    const ElfW(Phdr) *header = NULL;
    uintptr_t table = (uintptr_t)object->dlfo_eh_frame;
    int count = dlinfo(object->dlfo_link_map, RTLD_DI_PHDR, &header); /* without a lock */
    for (int i = 0; i < count; i++) {
        uintptr_t low = object->dlfo_link_map->l_addr + header[i].p_vaddr;
        if (header[i].p_type == PT_LOAD && (header[i].p_flags & PF_R) != 0 && table >= low &&
            table - low < header[i].p_filesz) {
            current.module_low = low;
            current.module_high = low + header[i].p_filesz;
            return true;
        }
    }
    return false;
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *out,
                          int need_unwind_info, void *argument)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)ip, &object) != 0 || object.dlfo_eh_frame == NULL ||
        !find_segment(&object))
        return -UNW_ENOINFO;
    const struct table_head *head = object.dlfo_eh_frame;
    if ((uintptr_t)head > current.module_high - sizeof *head || head->version != 1 ||
        head->pointer_encoding != PC_RELATIVE_4 || head->count_encoding != UNSIGNED_4 ||
        head->table_encoding != DATA_RELATIVE_4)
        return -UNW_ENOINFO;
    unw_dyn_info_t info;
    memset(&info, 0, sizeof info);
    info.start_ip = (unw_word_t)(uintptr_t)object.dlfo_map_start;
    info.end_ip = (unw_word_t)(uintptr_t)object.dlfo_map_end;
    info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    info.u.rti.segbase = (unw_word_t)(uintptr_t)head;
    info.u.rti.table_data = (unw_word_t)(uintptr_t)(head + 1);
    info.u.rti.table_len = head->count * 2 * sizeof(int32_t) / sizeof(unw_word_t);
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
        {"_Ux86_64_create_addr_space", &libunwind.create},
        {"_Ux86_64_init_remote", &libunwind.init},
        {"_Ux86_64_step", &libunwind.step},
        {"_Ux86_64_is_signal_frame", &libunwind.is_signal},
        {"_Ux86_64_get_reg", &libunwind.get},
        {"_Ux86_64_set_caching_policy", &libunwind.caching},
        {"_Ux86_64_flush_cache", &libunwind.flush},
        {"_Ux86_64_dwarf_search_unwind_table", &libunwind.search},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (symbol == NULL)
            return false;
        memcpy(wanted[i].place, &symbol, sizeof symbol);
    }
    return true;
}

int tm_unwind_load(void)
{
    if (tm_unwind_ready())
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || !find_symbols(library)) {
        dlerror(); /* what it would say is not for the program */
        return library == NULL ? -ENOENT : -ENOSYS;
    }
    space = libunwind.create(&accessors, 0);
    if (space == NULL)
        return -ENOMEM;
    libunwind.caching(space, UNW_CACHE_GLOBAL);
    atomic_store_explicit(&ready, true, memory_order_release);
    return 0;
}

bool tm_unwind_ready(void)
{
    return atomic_load_explicit(&ready, memory_order_acquire);
}

/* ---- unwinding ---- */

void tm_unwind_forget(void)
{
    atomic_store_explicit(&stale, true, memory_order_release);
}

void tm_unwind_begin(const struct tm_caller *caller, const struct tm_stack *stack)
{
    current.from = *caller;
    current.stack = stack;
    current.module_low = current.module_high = 0;
    if (atomic_load_explicit(&stale, memory_order_relaxed) &&
        atomic_exchange_explicit(&stale, false, memory_order_acquire))
        libunwind.flush(space, 0, 0);
    if (libunwind.init(&current.cursor, space, NULL) != 0)
        current.stack = NULL;
}

/* Nothing is mapped below that (mmap_min_addr): no code. */
static const uintptr_t LOWEST_CODE = 64 * 1024;

bool tm_unwind_step(uintptr_t *ip, uintptr_t *sp, bool *exact)
{
    unw_word_t next_ip, next_sp;
    if (current.stack == NULL)
        return false;
    *exact = libunwind.is_signal(&current.cursor) > 0;
    if (libunwind.step(&current.cursor) <= 0 ||
        libunwind.get(&current.cursor, UNW_REG_IP, &next_ip) != 0 ||
        libunwind.get(&current.cursor, UNW_REG_SP, &next_sp) != 0)
        return false;
    /* The stack grows down: what is not above its callee is no caller. */
    if (next_ip < LOWEST_CODE || next_sp <= *sp || next_sp > current.stack->end ||
        next_sp % sizeof(uintptr_t) != 0)
        return false;
    *ip = next_ip;
    *sp = next_sp;
    return true;
}
