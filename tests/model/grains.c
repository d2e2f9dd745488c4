/* grains.c: memory in grains of eight bytes, for the model checker: who accessed them last, to find
 * races, and what they held before the schedule, to undo it and to make a forked child's memory of
 * it.
 */
#include "tests/model/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GRAIN = 8, GRAINS = 1 << 16, ACCESSES = 6, PAGE = 4096 };

struct access {
    const void *pc;
    uint32_t when; /* on the thread's clock; 0: none */
    uint8_t thread, bytes;
    bool write, atomic;
};

struct grain {
    uintptr_t address; /* 0: the entry is free */
    unsigned schedule; /* what follows is of that one */
    bool written, copied;
    uint64_t old, copy; /* what it held before; at the fork */
    unsigned next;      /* the entry in `accesses` to be forgotten next */
    struct access accesses[ACCESSES];
};
static struct grain grains[GRAINS];
static unsigned schedule;

/* Those written in this schedule. */
static struct grain *written[GRAINS];
static size_t written_count;
static int copied_halves; /* bit per half */

/* Memory that nobody may touch, by grains of the model's map. */
enum { MAP_BYTES = 128 << 20 };
static char *map, *map_free;
static uint8_t *poisoned; /* a byte for each grain of the map */
enum { POISONINGS = 64 };
static struct {
    size_t first, count;
} poisonings[POISONINGS]; /* of this schedule */
static unsigned poisoning_count;

static struct grain *grain_at(uintptr_t address)
{
    size_t at = (address / GRAIN * UINT64_C(0x9e3779b97f4a7c15)) >> 48;
    for (size_t probes = 0; probes < GRAINS; probes++, at = (at + 1) % GRAINS) {
        struct grain *grain = &grains[at];
        if (grain->address == 0)
            grain->address = address;
        if (grain->address != address)
            continue;
        if (grain->schedule != schedule) {
            grain->schedule = schedule;
            grain->written = grain->copied = false;
            grain->next = 0;
            memset(grain->accesses, 0, sizeof grain->accesses);
        }
        return grain;
    }
    model_fail("more than %d grains of memory", GRAINS);
}

void grains_begin(unsigned number)
{
    schedule = number;
    written_count = 0;
    copied_halves = 0;
}

/* ---- what was there before ---- */

void memory_before_write(const void *address, size_t bytes)
{
    if (!logging || on_stacks(address))
        return;
    uintptr_t end = (uintptr_t)address + bytes;
    for (uintptr_t at = (uintptr_t)address & ~(uintptr_t)(GRAIN - 1); at < end; at += GRAIN) {
        struct grain *grain = grain_at(at);
        if (grain->written)
            continue;
        grain->written = true;
        memcpy(&grain->old, (void *)at, GRAIN);
        written[written_count++] = grain;
    }
}

void memory_undo(void)
{
    while (written_count > 0) {
        struct grain *grain = written[--written_count];
        memcpy((void *)grain->address, &grain->old, GRAIN);
    }
    while (poisoning_count > 0) {
        poisoning_count--;
        memset(poisoned + poisonings[poisoning_count].first, 0, poisonings[poisoning_count].count);
    }
}

void model_zero(void *address, size_t bytes)
{
    uint64_t *grain = address;
    for (size_t i = 0; i < bytes / GRAIN; i++)
        if (grain[i] != 0) {
            memory_before_write(&grain[i], GRAIN);
            grain[i] = 0;
        }
}

void model_fork_copy(int half)
{
    copied_halves |= 1 << half;
    for (size_t i = 0; i < written_count; i++) {
        struct grain *grain = written[i];
        if ((int)(grain->address / PAGE & 1) != half)
            continue;
        grain->copied = true;
        memcpy(&grain->copy, (void *)grain->address, GRAIN);
    }
}

/* What was not written when its half was copied is what it was before. */
void memory_as_copied(void)
{
    for (size_t i = 0; i < written_count; i++) {
        struct grain *grain = written[i];
        if ((copied_halves >> (grain->address / PAGE & 1) & 1) != 0)
            memcpy((void *)grain->address, grain->copied ? &grain->copy : &grain->old, GRAIN);
    }
}

/* ---- who may not touch it ---- */

void *model_map(size_t bytes, size_t alignment)
{
    if (map == NULL) {
        enum { LARGEST_ALIGNMENT = 16 << 20 };
        map = mmap(NULL, MAP_BYTES + LARGEST_ALIGNMENT, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        poisoned = mmap(NULL, MAP_BYTES / GRAIN, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED || (void *)poisoned == MAP_FAILED)
            model_fail("no memory for the model");
        map += -(uintptr_t)map & (LARGEST_ALIGNMENT - 1);
        map_free = map;
    }
    char *at = map_free + (-(uintptr_t)map_free & (alignment - 1));
    if (bytes > (size_t)(map + MAP_BYTES - at))
        return NULL;
    memory_before_write(&map_free, sizeof map_free);
    map_free = at + bytes;
    return at;
}

void model_poison(void *address, size_t bytes, bool on, const void *except)
{
    if (!logging)
        return;
    size_t first = (size_t)((char *)address - map) / GRAIN;
    if (poisoning_count == POISONINGS)
        model_fail("more than %d pieces of memory are poisoned", POISONINGS);
    poisonings[poisoning_count].first = first;
    poisonings[poisoning_count++].count = bytes / GRAIN;
    memset(poisoned + first, on, bytes / GRAIN);
    if (except != NULL)
        poisoned[(size_t)((const char *)except - map) / GRAIN] = on ? 2 : 0;
}

static void check_poison(const char *address, bool atomic, const void *pc)
{
    if (poisoning_count == 0 || address < map || address >= map + MAP_BYTES)
        return;
    uint8_t poison = poisoned[(size_t)(address - map) / GRAIN];
    if (poison == 0 || (poison == 2 && atomic))
        return;
    note("touches", address, 0, pc);
    model_fail("thread %d touches memory that was given back", self);
}

/* ---- races ---- */

static void race(const struct access *old, const void *address, bool write, const void *pc)
{
    note("races", address, 0, pc);
    note(old->write ? "with what wrote there" : "with what read there", address, old->thread,
         old->pc);
    model_fail("thread %d %s %p, thread %d %s it, and nothing orders them", self,
               write ? "writes" : "reads", address, old->thread, old->write ? "wrote" : "read");
}

static void access_grain(struct grain *grain, uint8_t bytes, bool write, bool atomic,
                         const void *pc)
{
    const uint32_t *known = memory_clock(self);
    struct access *mine = NULL;
    for (int i = 0; i < ACCESSES; i++) {
        struct access *old = &grain->accesses[i];
        if (old->when == 0)
            continue;
        if (old->thread == self) {
            if (old->bytes == bytes && old->write == write && old->atomic == atomic)
                mine = old;
        } else if ((old->bytes & bytes) != 0 && (old->write || write) && !(old->atomic && atomic) &&
                   old->when > known[old->thread]) {
            race(old, (const void *)grain->address, write, pc);
        }
    }
    if (mine == NULL)
        mine = &grain->accesses[grain->next++ % ACCESSES];
    /* What happens until the clock ticks next is known to others with the tick. */
    *mine = (struct access){pc, known[self] + 1, (uint8_t)self, bytes, write, atomic};
}

void memory_access(const void *address, size_t bytes, bool write, bool atomic, const void *pc)
{
    if (on_stacks(address))
        return;
    check_poison(address, atomic, pc);
    uintptr_t end = (uintptr_t)address + bytes;
    for (uintptr_t at = (uintptr_t)address & ~(uintptr_t)(GRAIN - 1); at < end; at += GRAIN) {
        unsigned low = at < (uintptr_t)address ? (unsigned)((uintptr_t)address - at) : 0;
        unsigned high = end - at < GRAIN ? (unsigned)(end - at) : GRAIN;
        access_grain(grain_at(at), (uint8_t)((0xffu << low) & (0xffu >> (GRAIN - high))), write,
                     atomic, pc);
    }
}

void memory_plain(const void *address, size_t bytes, bool write, const void *pc)
{
    if (exploring) {
        if (write && scenario->plain_points && !on_stacks(address))
            point();
        memory_access(address, bytes, write, false, pc);
    }
    if (write)
        memory_before_write(address, bytes);
}
