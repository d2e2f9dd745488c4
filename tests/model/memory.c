/* memory.c: memory as C11 has it, for the model checker; see model.h.
 *
 * Each thread has a clock: of each other thread, how many of its operations happened before what
 * it does now. A store carries the clock that whoever acquires it gets. Of each atomic word the
 * last stores are kept, and a load may return any of them but those that are overwritten by one
 * that the thread knows of, or older than one that it read before. What a thread knows of is more
 * than what happened before: sequentially consistent fences and membarrier add to it (`knows`),
 * though they do not order plain accesses (`before`).
 */
#include "tests/model/memory.h"

#include <stdlib.h>
#include <string.h>

struct thread_memory {
    struct clock before;   /* happened before */
    struct clock knows;    /* and what else it cannot miss */
    struct clock unfenced; /* of stores that it read relaxed: an acquire fence makes it `before` */
    struct clock released; /* `before` at the last release fence: what relaxed stores carry */
};
static struct thread_memory threads[WITH_MAIN];
static struct clock fences; /* what the last sequentially consistent fence knew */

static void join(struct clock *to, const struct clock *from)
{
    for (int i = 0; i < WITH_MAIN; i++)
        if (to->of[i] < from->of[i])
            to->of[i] = from->of[i];
}

/* ---- atomic words ---- */

enum { STORES = 4, WORDS = 1 << 12 };

struct store {
    uint64_t value;
    struct clock carries;
    int thread;
    uint32_t when; /* on the thread's clock */
    bool strict;   /* sequentially consistent */
};

struct word {
    uintptr_t address; /* 0: the entry is free */
    /* What all schedules together tell: */
    uint8_t by, written_by; /* bit per thread */
    bool quiet;             /* no points here */
    /* Of this schedule: */
    unsigned schedule;
    unsigned first, count;       /* stores: numbers first to count - 1 are kept */
    struct store stores[STORES]; /* number i at i % STORES */
    unsigned read[WITH_MAIN];    /* the newest store that each thread read or made */
};
static struct word words[WORDS];
static unsigned schedule = 1;

static uint64_t get(const void *address, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, address, bytes); /* little-endian */
    return value;
}

static void put(void *address, size_t bytes, uint64_t value)
{
    memory_before_write(address, bytes);
    memcpy(address, &value, bytes);
}

static struct word *word_at(const void *address)
{
    uintptr_t key = (uintptr_t)address;
    size_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 52;
    for (size_t probes = 0; probes < WORDS; probes++, at = (at + 1) % WORDS)
        if (words[at].address == key || words[at].address == 0) {
            words[at].address = key;
            return &words[at];
        }
    model_fail("more than %d atomic words", WORDS);
}

void model_no_points(const void *address, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        word_at((const char *)address + i)->quiet = true;
}

static void add_store(struct word *word, uint64_t value, const struct clock *carries, int thread,
                      bool strict)
{
    struct store *store = &word->stores[word->count++ % STORES];
    *store = (struct store){value, *carries, thread, threads[thread].before.of[thread], strict};
    if (word->count - word->first > STORES)
        word->first = word->count - STORES;
    word->read[thread] = word->count - 1;
}

static const struct store *newest(const struct word *word)
{
    return &word->stores[(word->count - 1) % STORES];
}

/* The word in this schedule. What plain writes made of it (an initialisation, a purge) is a store
 * that all know of. */
static struct word *current(const void *address, size_t bytes)
{
    static const struct clock nothing;
    struct word *word = word_at(address);
    if (word->schedule != schedule) {
        word->schedule = schedule;
        word->first = word->count = 0;
        memset(word->read, 0, sizeof word->read);
    }
    uint64_t value = get(address, bytes);
    if (word->count == 0 || newest(word)->value != value) {
        add_store(word, value, &nothing, 0, true);
        word->stores[(word->count - 1) % STORES].when = 0;
        word->first = word->count - 1;
    }
    return word;
}

/* An operation is about to be done: a point, if another thread does one there, too, and one of them
 * writes. */
static void arrive(const void *address, bool write)
{
    if (!exploring)
        return;
    struct word *word = word_at(address);
    uint8_t bit = (uint8_t)(1u << self);
    bool was = (word->by & (word->by - 1)) != 0 && word->written_by != 0;
    word->by |= bit;
    word->written_by |= write ? bit : 0;
    bool is = (word->by & (word->by - 1)) != 0 && word->written_by != 0;
    if (word->quiet)
        return;
    if (is && !was)
        begin_again();
    if (is)
        point();
}

/* The last operation of all, if it was a load. */
static struct {
    const void *address; /* NULL: it was none */
    uint64_t value;
    int thread;
} last_load;

static void tick(void)
{
    last_load.address = NULL;
    threads[self].before.of[self]++;
    threads[self].knows.of[self]++;
}

static bool acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME || order == __ATOMIC_ACQ_REL ||
           order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static void take(const struct store *store, int order)
{
    struct thread_memory *me = &threads[self];
    join(&me->unfenced, &store->carries);
    if (acquires(order)) {
        join(&me->before, &store->carries);
        join(&me->knows, &store->carries);
    }
}

static struct clock carried(int order)
{
    return releases(order) ? threads[self].before : threads[self].released;
}

/* The oldest store that the thread may still read. */
static unsigned oldest_for(const struct word *word, int order)
{
    unsigned oldest = word->read[self] > word->first ? word->read[self] : word->first;
    for (unsigned i = word->count - 1; i > oldest; i--) {
        const struct store *store = &word->stores[i % STORES];
        if (store->when <= threads[self].knows.of[store->thread] ||
            (store->strict && order == __ATOMIC_SEQ_CST))
            return i;
    }
    return oldest;
}

uint64_t memory_load(const void *address, size_t bytes, int order, const void *pc)
{
    /* One that repeats the one before, in a loop that waits, is nothing new. */
    if (last_load.address != address || last_load.thread != self ||
        last_load.value != get(address, bytes))
        arrive(address, false);
    if (!exploring)
        return get(address, bytes);
    memory_access(address, bytes, false, true, pc);
    tick();
    struct word *word = current(address, bytes);
    unsigned number = word->count - 1, oldest = oldest_for(word, order);
    if (number > oldest && !word->quiet && may_load_old(false)) {
        int back = choose((int)(number - oldest) + 1);
        if (back != 0)
            may_load_old(true);
        number -= (unsigned)back;
    }
    word->read[self] = number;
    const struct store *store = &word->stores[number % STORES];
    take(store, order);
    last_load.address = address;
    last_load.value = store->value;
    last_load.thread = self;
    note(number == word->count - 1 ? "loads" : "loads an older value", address, store->value, pc);
    return store->value;
}

void memory_store(void *address, size_t bytes, uint64_t value, int order, const void *pc)
{
    arrive(address, true);
    if (!exploring) {
        put(address, bytes, value);
        return;
    }
    memory_access(address, bytes, true, true, pc);
    tick();
    struct word *word = current(address, bytes);
    struct clock carries = carried(order);
    put(address, bytes, value);
    add_store(word, value, &carries, self, order == __ATOMIC_SEQ_CST);
    note("stores", address, value, pc);
    progress();
}

/* A store that goes on what the store before it carries. */
static void update(struct word *word, void *address, size_t bytes, uint64_t value, int order)
{
    struct clock carries = newest(word)->carries, mine = carried(order);
    join(&carries, &mine);
    put(address, bytes, value);
    add_store(word, value, &carries, self, order == __ATOMIC_SEQ_CST);
    progress();
}

static uint64_t changed(uint64_t old, enum update how, uint64_t with)
{
    switch (how) {
    case EXCHANGE:
        return with;
    case ADD:
        return old + with;
    case SUB:
        return old - with;
    case AND:
        return old & with;
    case OR:
        return old | with;
    case XOR:
        return old ^ with;
    default:
        return ~(old & with);
    }
}

uint64_t memory_update(void *address, size_t bytes, enum update how, uint64_t with, int order,
                       const void *pc)
{
    arrive(address, true);
    uint64_t old = get(address, bytes);
    uint64_t value = changed(old, how, with);
    if (bytes < 8)
        value &= (UINT64_C(1) << bytes * 8) - 1;
    if (!exploring) {
        put(address, bytes, value);
        return old;
    }
    memory_access(address, bytes, true, true, pc);
    tick();
    struct word *word = current(address, bytes);
    take(newest(word), order);
    update(word, address, bytes, value, order);
    note("updates to", address, value, pc);
    return old;
}

bool memory_compare_exchange(void *address, size_t bytes, uint64_t *expected, uint64_t value,
                             int order, int failed_order, const void *pc)
{
    arrive(address, true);
    uint64_t old = get(address, bytes);
    bool done = old == *expected;
    *expected = old;
    if (!exploring) {
        if (done)
            put(address, bytes, value);
        return done;
    }
    memory_access(address, bytes, true, true, pc);
    tick();
    struct word *word = current(address, bytes);
    take(newest(word), done ? order : failed_order);
    if (done)
        update(word, address, bytes, value, order);
    else
        word->read[self] = word->count - 1;
    note(done ? "compares and sets" : "finds other than expected", address, done ? value : old, pc);
    return done;
}

static void know_of_fences(int thread)
{
    join(&threads[thread].knows, &fences);
    join(&fences, &threads[thread].knows);
}

void memory_fence(int order)
{
    struct thread_memory *me = &threads[self];
    if (!exploring)
        return;
    if (acquires(order)) {
        join(&me->before, &me->unfenced);
        join(&me->knows, &me->unfenced);
    }
    if (releases(order))
        me->released = me->before;
    if (order == __ATOMIC_SEQ_CST)
        know_of_fences(self);
}

/* A fence in every thread, between two of the caller's. */
void model_barrier(void)
{
    if (!exploring)
        return;
    point();
    for (int round = 0; round < 2; round++)
        for (int thread = 0; thread < WITH_MAIN; thread++)
            know_of_fences(thread);
    note("makes all fence", NULL, 0, __builtin_return_address(0));
}

/* What it did until now is one operation more. */
void memory_hand_over(int a, int b)
{
    threads[a].before.of[a]++;
    threads[a].knows.of[a]++;
    join(&threads[b].before, &threads[a].before);
    join(&threads[b].knows, &threads[a].knows);
}

void memory_join(void)
{
    for (int a = 0; a < WITH_MAIN; a++)
        memory_hand_over(a, 0);
    for (int b = 0; b < WITH_MAIN; b++)
        memory_hand_over(0, b);
}

/* What others did is over, and known. */
void memory_alone(void)
{
    for (int a = 0; a < WITH_MAIN; a++)
        memory_hand_over(a, self);
}

const uint32_t *memory_clock(int thread)
{
    return threads[thread].before.of;
}

void memory_begin(void)
{
    schedule++;
    memset(threads, 0, sizeof threads);
    memset(&fences, 0, sizeof fences);
    last_load.address = NULL;
    grains_begin(schedule);
}
