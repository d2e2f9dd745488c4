/* misuse.c: see misuse.h. The line is put together on the stack and written by one system call.
 * What it says of an address is looked up in the descriptors, which a program that writes past its
 * blocks cannot reach.
 */
#include "allocator/misuse.h"

#include <string.h>

#include "allocator/arena.h"
#include "allocator/hooks.h"
#include "allocator/large.h"
#include "allocator/os.h"
#include "allocator/pool.h"

struct line {
    char text[1024];
    size_t length;
};

static void put(struct line *line, const char *text)
{
    size_t length = strlen(text), room = sizeof line->text - line->length;
    length = length < room ? length : room;
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void put_number(struct line *line, uint64_t number, unsigned base)
{
    char digits[24];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do
        *--first = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    put(line, first);
}

static void put_address(struct line *line, const void *address)
{
    put(line, "0x");
    put_number(line, (uintptr_t)address, 16);
}

static void put_size(struct line *line, uint64_t bytes)
{
    put_number(line, bytes, 10);
    put(line, bytes == 1 ? " byte" : " bytes");
}

/* The size of the blocks of the pool that the block is in, if it is in one. */
static void put_class(struct line *line, const char *before, const void *block)
{
    const struct tm_pool *pool = tm_pool_around(block);
    if (pool == NULL)
        return;
    put(line, before);
    put_size(line, tm_classes[pool->size_class].block_size);
}

/* Where the block came from, by the recorder, if he knows. */
static void put_where(struct line *line, const void *block)
{
    tm_hook_where_fn *where = atomic_load_explicit(&tm_hook_where, memory_order_acquire);
    if (where != NULL)
        line->length += where(block, line->text + line->length, sizeof line->text - line->length);
}

static _Noreturn void stop(struct line *line)
{
    static const char end[] = "; the program is stopped\n";
    if (line->length > sizeof line->text - sizeof end)
        line->length = sizeof line->text - sizeof end;
    put(line, end);
    /* Of threads that free one block at the same instant several may come here: one line is told,
     * and the end does not wait for the others. (Where the program's handler of SIGABRT goes on
     * instead, they do.) */
    static _Atomic int stopping;
    enum { PATIENCE_NS = 100000000 };
    if (atomic_exchange_explicit(&stopping, 1, memory_order_relaxed) != 0)
        tm_os_wait_at_most(&stopping, 1, PATIENCE_NS);
    tm_os_message(line->text, line->length);
    tm_os_abort();
}

void tm_misuse_written(const void *block)
{
    struct line line = {.length = 0};
    put(&line, "tidemark: the free block ");
    put_address(&line, block);
    put_class(&line, " of ", block);
    put(&line, " was written to after it was freed, or over the end of the block before it");
    put_where(&line, block);
    stop(&line);
}

static _Noreturn void stop_for_bounds(const char *call, const void *block, size_t size,
                                      const char *what)
{
    struct line line = {.length = 0};
    put(&line, "tidemark: ");
    put(&line, call);
    put(&line, "(");
    put_address(&line, block);
    put(&line, "): ");
    put(&line, what);
    if (size != SIZE_MAX) {
        put(&line, " of ");
        put_size(&line, size);
    }
    put_class(&line, ", in a block of ", block);
    put_where(&line, block);
    stop(&line);
}

void tm_misuse_overrun(const char *call, const void *block, size_t size)
{
    stop_for_bounds(call, block, size, "something was written past the end of this block");
}

void tm_misuse_underrun(const char *call, const void *block, size_t size)
{
    stop_for_bounds(call, block, size, "something was written before the start of this block");
}

void tm_misuse_behind(const char *call, const void *block, size_t size)
{
    stop_for_bounds(call, block, size,
                    "something was written before the first block of the next pool, and behind the "
                    "last one of the pool of this block");
}

static void put_inside(struct line *line, const void *address, const void *block, size_t bytes)
{
    put(line, "not the start of a block, but ");
    put_size(line, (uintptr_t)address - (uintptr_t)block);
    put(line, " into the block of ");
    put_size(line, bytes);
    put(line, " at ");
    put_address(line, block);
    put_where(line, block);
}

/* An address in a pool that is not the start of a live block. */
static void put_pool(struct line *line, const struct tm_pool *pool, const void *address)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    unsigned index = tm_class_block_index(class, (uint16_t)(uintptr_t)address);
    const char *block = tm_pool_base(pool) + (size_t)index * class->block_size;
    if (index >= class->capacity) {
        put(line, "not the start of a block, but behind the last block of ");
        put_size(line, class->block_size);
        put(line, " of its pool");
    } else if (block == address) {
        put(line, "freed before (or never allocated): a block of ");
        put_size(line, class->block_size);
        put_where(line, block);
    } else {
        put_inside(line, address, block, class->block_size);
    }
}

void tm_misuse_no_block(const char *call, const void *address)
{
    struct line line = {.length = 0};
    put(&line, "tidemark: ");
    put(&line, call);
    put(&line, "(");
    put_address(&line, address);
    put(&line, "): ");
    const struct tm_pool *pool = tm_pool_around(address);
    size_t bytes;
    uintptr_t around = pool != NULL           ? 0
                       : tm_in_arena(address) ? tm_arena_around((uintptr_t)address, &bytes)
                                              : tm_large_around((uintptr_t)address, &bytes);
    if (pool != NULL) {
        put_pool(&line, pool, address);
    } else if (around != 0) {
        put_inside(&line, address, (const void *)around, bytes);
    } else {
        put(&line, tm_in_arena(address)
                       ? "freed before, or not the start of a block: memory of this "
                         "heap without a live block there"
                       : "no memory of this heap: on the stack, static, mapped by "
                         "the program, wild, or freed before and given back");
        put_where(&line, address);
    }
    stop(&line);
}
