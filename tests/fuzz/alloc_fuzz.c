/* alloc_fuzz.c: fuzz target: the input is a program for the allocator, one operation after the
 * other, in up to CREW threads that take turns, with a shadow model (alloc_shadow.h), a kernel that
 * may refuse and a clock that moves on demand (alloc_kernel.h). Every input ends with all blocks
 * freed and all threads ended, and nothing may be left then.
 *
 * An operation is a byte and its operands; what is missing at the end of the input is 0. A slot is
 * two bytes, a size one to three (see size_from).
 */
#include "allocator/census.h"
#include "allocator/hooks.h"
#include "allocator/sample.h"
#include "allocator/tidemark_alloc.h"
#include "tests/fuzz/alloc_crew.h"
#include "tests/fuzz/alloc_kernel.h"
#include "tests/fuzz/alloc_mode.h"
#include "tests/fuzz/alloc_shadow.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#define MIB ((size_t)1024 * 1024)

enum {
    OPERATIONS = 3000, /* of an input at most */
    DEFAULT_RETAIN = 512 * 1024,
    DEFAULT_RETAIN_PERCENT = 3,
    ERRNO = 4711, /* one that nobody sets */
};
#define LIVE_MOST (24 * MIB)

static struct run {
    struct fuzz_input input;
    unsigned operations;
    unsigned thread;    /* whose turn it is */
    bool gone[CREW];    /* it has given up its heap for good */
    bool follows[CREW]; /* every allocation of it is told to the recorder */
    bool end_thread;
    bool has_refused; /* the kernel has, in this input */
} run;

static unsigned slot_from(struct fuzz_input *input)
{
    return fuzz_word(input) % SHADOW_SLOTS;
}

/* Small ones are the likeliest, then those around every border that the allocator has. */
static size_t size_from(struct fuzz_input *input)
{
    static const size_t borders[] = {
        0,      16,     128,    1024,    4096,    28672,   32768,   65536,
        131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216,
    };
    unsigned kind = fuzz_byte(input);
    if (kind < 128)
        return (size_t)kind * 8 + 1;
    if (kind < 192)
        return fuzz_word(input);
    size_t border = borders[kind % (sizeof borders / sizeof borders[0])];
    if (kind < 224)
        return border + kind / 16 % 2; /* the border, and just above it */
    return border + (size_t)fuzz_word(input) * 16;
}

/* An allocation of `size` bytes gave the block, or nothing: allowed where the kernel refused. */
static bool was_given(const void *block, unsigned long refusals)
{
    if (block != NULL)
        return true;
    fuzz_promise(errno == ENOMEM, "without memory errno is ENOMEM");
    fuzz_promise(kernel_refusals > refusals, "there is memory unless the kernel refuses it");
    return false;
}

static void release(unsigned slot)
{
    void *block = shadow_slots[slot].block;
    if (block == NULL)
        return;
    shadow_check(slot);
    shadow_drop(slot);
    errno = ERRNO;
    tm_free(block);
    fuzz_promise(errno == ERRNO, "free keeps errno");
}

enum how { MALLOC, CALLOC, ALIGNED };

static void take(unsigned slot, enum how how, size_t alignment, size_t size)
{
    unsigned long refusals = kernel_refusals;
    unsigned long told = shadow_told;
    void *block;
    release(slot);
    if (shadow_live_bytes + size + alignment > LIVE_MOST)
        return;
    errno = 0;
    if (how == CALLOC)
        block = size % 3 == 0 ? tm_calloc(3, size / 3) : tm_calloc(1, size);
    else if (how == ALIGNED)
        block = tm_aligned(alignment, size);
    else
        block = tm_malloc(size);
    if (!was_given(block, refusals))
        return;
    fuzz_promise(!run.follows[run.thread] || run.gone[run.thread] || run.has_refused ||
                     shadow_told > told,
                 "the recorder is told of every block");
    if (how == CALLOC)
        shadow_check_zero(block, size);
    shadow_take(slot, block, size, alignment);
}

static void change(unsigned slot, size_t size)
{
    const struct shadow_block before = shadow_slots[slot];
    unsigned long refusals = kernel_refusals;
    if (shadow_live_bytes + size > LIVE_MOST)
        return;
    if (before.block != NULL)
        shadow_check(slot);
    errno = 0;
    unsigned char *moved = tm_realloc(before.block, size);
    if (before.block != NULL && size == 0) {
        fuzz_promise(moved == NULL, "realloc to 0 frees");
        shadow_drop(slot);
        return;
    }
    if (!was_given(moved, refusals)) {
        if (before.block != NULL)
            shadow_check(slot);
        return;
    }
    if (before.block != NULL) {
        shadow_check_moved(slot, moved, size < before.usable ? size : before.usable);
        shadow_drop(slot);
    }
    shadow_take(slot, moved, size, 16);
}

static void take_many(unsigned slot, unsigned count, enum how how, size_t size)
{
    for (unsigned i = 0; i < count; i++)
        take((slot + i) % SHADOW_SLOTS, how, 16, size);
}

static void release_many(unsigned slot, unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i += step)
        release((slot + i) % SHADOW_SLOTS);
}

/* One slot over and over: pages bounce. */
static void churn(unsigned slot, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        take(slot, MALLOC, 16, size);
        release(slot);
    }
}

static void ask_impossible(unsigned which)
{
    static const size_t sizes[] = {SIZE_MAX, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4095};
    size_t size = sizes[which % 4];
    void *block;
    errno = 0;
    switch (which / 4 % 4) {
    case 0:
        block = tm_malloc(size);
        break;
    case 1:
        block = tm_calloc(size / 2, 3);
        break;
    case 2:
        block = tm_aligned((size_t)1 << which % 48, size);
        break;
    default:
        block = tm_realloc(NULL, size);
    }
    fuzz_promise(block == NULL && errno == ENOMEM, "what cannot be had is refused with ENOMEM");
}

static void change_sampling(struct fuzz_input *input)
{
    enum tm_sample_mode mode = (enum tm_sample_mode)(fuzz_byte(input) % 3);
    uint64_t rate = UINT64_C(1) << fuzz_byte(input) % 24;
    tm_sample_set(mode, rate, fuzz_byte(input) % 8);
    memset(run.follows, 0, sizeof run.follows);
    if (fuzz_byte(input) % 4 != 0) {
        tm_sample_follow_now();
        run.follows[run.thread] = mode == TM_SAMPLE_ALL && !run.gone[run.thread];
    }
}

static void refuse(struct fuzz_input *input)
{
    unsigned kinds = fuzz_byte(input) & KERNEL_ANY;
    unsigned after = fuzz_byte(input) % 64;
    kernel_refuse(kinds, after, 1 + fuzz_byte(input) % 32);
    run.has_refused = true;
}

/* What concerns the process and not one block. */
static void housekeeping(unsigned operation, struct fuzz_input *input)
{
    struct tm_census_look look;
    size_t bytes;
    switch (operation) {
    case 16:
        tm_trim();
        break;
    case 17:
        tm_trim_from_signal();
        break;
    case 18:
        bytes = size_from(input);
        tm_set_retain(bytes, fuzz_byte(input));
        break;
    case 19:
        kernel_clock_pass(fuzz_word(input));
        break;
    case 20:
        refuse(input);
        break;
    case 21:
        kernel_relent();
        break;
    case 22:
        shadow_check_census();
        break;
    case 23:
        tm_census_look(1 + fuzz_byte(input) % 8, fuzz_word(input), &look);
        break;
    case 24:
        tm_fork_prepare();
        tm_fork_parent();
        break;
    case 25:
        change_sampling(input);
        break;
    case 26:
        tm_thread_ends_soon();
        run.follows[run.thread] = false;
        break;
    case 27:
        tm_thread_exit();
        run.gone[run.thread] = true;
        break;
    default:
        run.end_thread = true;
    }
}

/* What concerns blocks. */
static void work_on_blocks(unsigned operation, struct fuzz_input *input)
{
    unsigned slot = slot_from(input);
    unsigned count;
    size_t alignment;
    switch (operation) {
    case 0:
    case 1:
        take(slot, MALLOC, 16, size_from(input));
        break;
    case 2:
        take(slot, CALLOC, 16, size_from(input));
        break;
    case 3:
        alignment = (size_t)1 << fuzz_byte(input) % 24;
        take(slot, ALIGNED, alignment, size_from(input));
        break;
    case 4:
    case 5:
        change(slot, size_from(input));
        break;
    case 6:
    case 7:
        release(slot);
        break;
    case 8:
    case 9:
        count = fuzz_byte(input) + 1U;
        take_many(slot, count, operation == 8 ? MALLOC : CALLOC, size_from(input));
        break;
    case 10:
    case 11:
        count = fuzz_word(input) % SHADOW_SLOTS;
        release_many(slot, count, 1 + fuzz_byte(input) % 8);
        break;
    case 12:
        count = fuzz_byte(input);
        churn(slot, count, size_from(input));
        break;
    case 13:
        ask_impossible(slot);
        break;
    case 14:
        errno = ERRNO;
        tm_free(NULL);
        fuzz_promise(errno == ERRNO && tm_usable_size(NULL) == 0, "NULL is no block");
        break;
    default:
        if (shadow_slots[slot].block != NULL)
            shadow_check(slot);
    }
}

/* Runs in the thread whose turn it is, until that ends. */
static void turn(void *context)
{
    struct run *self = context;
    while (self->input.at < self->input.end && !self->end_thread) {
        if (++self->operations > OPERATIONS) {
            self->input.at = self->input.end;
            return;
        }
        unsigned operation = fuzz_byte(&self->input) % 32;
        if (operation < 16) {
            work_on_blocks(operation, &self->input);
        } else if (operation < 29) {
            housekeeping(operation, &self->input);
        } else {
            self->thread = fuzz_byte(&self->input) % CREW;
            return;
        }
    }
}

static void release_all(void *context)
{
    (void)context;
    for (unsigned i = 0; i < SHADOW_SLOTS; i++)
        release(i);
    tm_sample_set(TM_SAMPLE_OFF, 1, 0);
}

static void give_up(void *context)
{
    (void)context;
    tm_thread_ends_soon();
}

static void trim(void *context)
{
    (void)context;
    tm_trim();
}

/* Threads without a heap end; the others give up theirs and are there for the next input. */
static void settle(void)
{
    for (unsigned i = 0; i < CREW; i++) {
        if (run.gone[i])
            crew_end(i);
        else if (crew_runs(i))
            crew_run(i, give_up, NULL);
    }
    memset(run.gone, 0, sizeof run.gone);
}

/* Everything is free: nothing is told as live, and what was taken went back. */
static void end(void)
{
    struct tm_census_counters counters;
    kernel_relent();
    crew_run(run.thread, release_all, NULL);
    settle();
    tm_set_retain(DEFAULT_RETAIN, DEFAULT_RETAIN_PERCENT);
    kernel_clock_pass(60000);
    crew_run(0, trim, NULL);
    shadow_check_census();
    shadow_record_end(run.has_refused);
    tm_census_counters(&counters);
    if (counters.span_bytes + counters.mapping_bytes != 0 ||
        (counters.pool_bytes > MIB && !alloc_mode_full))
        fprintf(stderr, "left: pools %llu, spans %llu, mappings %llu\n",
                (unsigned long long)counters.pool_bytes, (unsigned long long)counters.span_bytes,
                (unsigned long long)counters.mapping_bytes);
    fuzz_promise(counters.span_bytes == 0 && counters.mapping_bytes == 0,
                 "freed spans are not in use");
    fuzz_promise(alloc_mode_full || counters.pool_bytes <= MIB, "pools go back when all is freed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started) {
        tm_start();
        if (alloc_mode_full)
            tm_set_check_full();
        shadow_record_start();
        started = true;
    }
    tm_sample_seed(1);
    run = (struct run){.input = {data, data + size}};
    while (run.input.at < run.input.end) {
        crew_run(run.thread, turn, &run);
        if (run.end_thread) {
            crew_end(run.thread);
            run.gone[run.thread] = run.follows[run.thread] = false;
            run.end_thread = false;
        }
    }
    if (run.operations > 1)
        fuzz_reached();
    end();
    return 0;
}
