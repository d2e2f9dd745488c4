/* where.c: see where.h. */
#include "profiler/record/where.h"

#include "allocator/large.h"
#include "allocator/pool.h"
#include "profiler/record/cells.h"
#include "profiler/record/frames.h"
#include "profiler/record/module.h"
#include "profiler/record/reserve.h"
#include "profiler/record/single.h"
#include "profiler/record/sites.h"
#include "profiler/record/stack.h"
#include "profiler/record/sys.h"
#include "profiler/record/text.h"

#include <string.h>

enum {
    ENTRY_BYTES = 512,
    ENTRY_BITS = 12,
    PAGE = 4096,
    UNWOUND = 16, /* frames, of which the innermost are of this library */
    TOLD = 4,     /* frames that the line has room for */
};

/* A recorded block that was freed. Whoever reads or writes the rest has made `block` BUSY before:
 * he alone, and a signal handler that comes in between leaves the entry alone. */
struct freed {
    _Atomic uintptr_t block; /* 0: none */
    uint64_t cell;
    struct tm_caller from;
    size_t bytes;
    char stack[ENTRY_BYTES - 2 * sizeof(uint64_t) - sizeof(struct tm_caller) - sizeof(size_t)];
};
static_assert(sizeof(struct freed) == ENTRY_BYTES, "no padding");

enum { TABLE_BYTES = ENTRY_BYTES << ENTRY_BITS };
static const uintptr_t BUSY = 1;

static _Atomic(void *) place; /* of the table */

static struct freed *entry_of(const void *block)
{
    struct freed *table = atomic_load_explicit(&place, memory_order_relaxed);
    /* Mixed twice: blocks lie in regular rows, of which one multiplication leaves rows. */
    uint64_t hash = ((uint64_t)(uintptr_t)block >> 4) * UINT64_C(0xd6e8feb86659fd93);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return &table[hash >> (64 - ENTRY_BITS)];
}

/* What the entry held, which is the caller's until he stores something else; BUSY: it is
 * another's. (Acquire: what was written by who had it before.) */
static uintptr_t claim(struct freed *entry)
{
    if (!tm_single_threaded())
        return atomic_exchange_explicit(&entry->block, BUSY, memory_order_acquire);
    uintptr_t was = atomic_load_explicit(&entry->block, memory_order_relaxed);
    atomic_store_explicit(&entry->block, BUSY, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return was;
}

/* (Release: what the claimer wrote, to who has it next.) */
static void release(struct freed *entry, uintptr_t block)
{
    atomic_store_explicit(&entry->block, block, memory_order_release);
}

/* Bytes from the stack pointer on that are there for certain. */
static size_t readable(uintptr_t sp)
{
    struct tm_stack stack = tm_stack_of(sp);
    return (stack.own ? stack.end : (sp | (PAGE - 1)) + 1) - sp;
}

void tm_where_freed(const void *block, uint64_t cell, const struct tm_caller *from)
{
    struct freed *entry = entry_of(block);
    if (claim(entry) == BUSY)
        return;
    size_t bytes = readable(from->sp);
    entry->cell = cell;
    entry->from = *from;
    entry->bytes = bytes < sizeof entry->stack ? bytes : sizeof entry->stack;
    memcpy(entry->stack, (const void *)from->sp, entry->bytes);
    release(entry, (uintptr_t)block);
}

/* ---- the line ---- */

static void add_name(struct tm_text *text, const char *name)
{
    tm_text_shown(text, name, strlen(name));
}

/* The file that the program was started from. */
static void add_program(struct tm_text *text)
{
    char path[512];
    long length =
        tm_sys4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    const char *name = strrchr(path, '/');
    add_name(text, name == NULL ? "program" : name + 1);
}

/* An address in code, as file and offset, which addr2line takes. */
static void add_code(struct tm_text *text, uintptr_t code)
{
    struct tm_module module = {0, NULL};
    if (tm_module_of(code, &module)) {
        const char *name = strrchr(module.path, '/');
        if (*module.path == '\0')
            add_program(text);
        else
            add_name(text, name == NULL ? module.path : name + 1);
        tm_text_add(text, "+");
    }
    tm_text_add(text, "0x");
    tm_text_hex(text, code - module.base);
}

static void add_frames(struct tm_text *text, const uintptr_t *codes, unsigned count)
{
    for (unsigned i = 0; i < count && i < TOLD; i++) {
        tm_text_add(text, i == 0 ? " at " : " < ");
        add_code(text, codes[i]);
    }
    if (count == 0)
        tm_text_add(text, " at a place that is not known");
}

/* The stack that allocates at a site. */
static void add_site(struct tm_text *text, uint32_t number)
{
    uintptr_t codes[TOLD];
    unsigned count = 0;
    uint32_t frame = number < tm_sites_count() ? tm_sites()[number].frame : 0;
    for (; frame != 0 && count < TOLD; frame = tm_frames()[frame].parent) {
        const struct tm_frame *at = &tm_frames()[frame];
        if ((at->flags & (TM_FRAME_TRUNCATED | TM_FRAME_THREAD)) != 0)
            break;
        codes[count++] = (uintptr_t)at->ip - ((at->flags & TM_FRAME_EXACT) == 0);
    }
    add_frames(text, codes, count);
}

static bool is_ours(uintptr_t code)
{
    struct tm_module module, own;
    return tm_module_of(code, &module) && tm_module_of((uintptr_t)add_code, &own) &&
           module.base == own.base;
}

/* The stack that freed, from where the program called. */
static void add_freeing(struct tm_text *text, const struct freed *freed)
{
    uintptr_t codes[UNWOUND];
    unsigned count = tm_frames_of_kept(&freed->from, freed->stack, freed->bytes, codes, UNWOUND);
    unsigned first = 0;
    while (first < count && is_ours(codes[first]))
        first++;
    add_frames(text, codes + first, count - first);
}

/* What the cell of the block says that is, or was, at an address; 0: nothing. */
static uint64_t cell_at(const void *block)
{
    if (!tm_in_arena(block)) {
        uint64_t cell = tm_large_swap_cell(block, 0);
        if (cell != 0)
            tm_large_swap_cell(block, cell);
        return cell;
    }
    tm_cell *cell = tm_cell_of(block);
    return cell == NULL ? 0 : atomic_load_explicit(cell, memory_order_relaxed);
}

/* False: it is not known that it was freed. Where not each block is told of, another may have been
 * at that place since. */
static bool add_freed(struct tm_text *text, const void *block)
{
    struct freed *entry = entry_of(block);
    uintptr_t was = claim(entry);
    bool known = was == (uintptr_t)block;
    if (known) {
        bool sure = (entry->cell & TM_CELL_EXACT) != 0 &&
                    __atomic_load_n(&tidemark_status.sites, __ATOMIC_RELAXED) == TM_SITES_ALL;
        tm_text_add(text,
                    sure ? "; allocated" : "; the last one there that was recorded: allocated");
        add_site(text, tm_cell_site(entry->cell));
        tm_text_add(text, sure ? ", first freed" : ", freed");
        add_freeing(text, entry);
    }
    if (was != BUSY)
        release(entry, was);
    return known;
}

static size_t where(const void *block, char *memory, size_t size)
{
    if (size == 0)
        return 0;
    struct tm_text text = tm_text_in(memory, size);
    uint64_t cell = cell_at(block);
    if ((cell & TM_CELL_COUNTED) != 0 || (!add_freed(&text, block) && cell != 0)) {
        tm_text_add(&text, "; allocated");
        add_site(&text, tm_cell_site(cell));
    }
    return text.used;
}

bool tm_where_start(void)
{
    if (!tm_reserve_once(&place, TABLE_BYTES))
        return false;
    atomic_store_explicit(&tm_hook_where, where, memory_order_release);
    return true;
}

const void *tm_where_place(size_t *bytes)
{
    const void *base = atomic_load_explicit(&place, memory_order_acquire);
    *bytes = base == NULL ? 0 : TABLE_BYTES;
    return base;
}
