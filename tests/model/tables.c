/* tables.c: models of the recorder's tables that are read without a lock: frames.c, and the sites
 * of sites.c. Threads with the same stack get the same frames and the same site, and find them
 * whole. Their stacks, and how they are unwound, are stood for here.
 */
#include "profiler/record/frames.h"
#include "profiler/record/stack.h"
#include "profiler/record/unwind.h"
#include "tests/model/model.h"

#include "profiler/record/sites.c" // NOLINT(bugprone-suspicious-include)

/* Stacks of three frames, whose return addresses lie at the ends of these. */
enum { FRAME_WORDS = 4, DEPTH = 3, STACK_WORDS = FRAME_WORDS * DEPTH };
static uintptr_t stacks[MODEL_THREADS + 1][STACK_WORDS];

struct tm_stack tm_stack_of(uintptr_t sp)
{
    for (int i = 1; i <= MODEL_THREADS; i++) {
        uintptr_t start = (uintptr_t)stacks[i], end = start + sizeof stacks[i];
        if (sp >= start && sp <= end)
            return (struct tm_stack){.sp = sp, .end = end, .own = true};
    }
    model_fail("no stack is at %#lx", (unsigned long)sp);
}

void tm_stack_open(const struct tm_stack *stack)
{
    (void)stack;
}

bool tm_stack_read(const struct tm_stack *stack, uintptr_t address, uintptr_t *word)
{
    return tm_stack_read_own(stack, address, word);
}

void tm_stack_proven(const struct tm_stack *stack, uintptr_t outermost)
{
    (void)stack, (void)outermost;
}

bool tm_unwind_ready(void)
{
    return true;
}

static struct tm_stack unwound; /* under the lock of frames.c, or it is a race */

void tm_unwind_begin(const struct tm_caller *caller, const struct tm_stack *stack)
{
    (void)caller;
    unwound = *stack;
}

bool tm_unwind_step(uintptr_t *ip, uintptr_t *behind, bool *exact)
{
    *exact = false;
    uintptr_t next = *behind + FRAME_WORDS * sizeof(uintptr_t);
    if (next > unwound.end)
        return false;
    *behind = next;
    return tm_stack_read_own(&unwound, next - sizeof(uintptr_t), ip);
}

/* ---- the scenarios ---- */

/* Threads 1 and 2 have the same stack; 3 another innermost function. */
static void setup(int thread)
{
    for (unsigned i = 0; i < DEPTH; i++)
        stacks[thread][(i + 1) * FRAME_WORDS - 1] = 0x1000 + i;
    if (thread == 3)
        stacks[thread][FRAME_WORDS - 1] = 0x2000;
    model_assert(tm_frames_start() && tm_reserve_once(&place, TABLE_BYTES));
}

static uint32_t taken[MODEL_THREADS + 1], site[MODEL_THREADS + 1];

static void take(int thread)
{
    struct tm_caller caller = {.ip = stacks[thread][FRAME_WORDS - 1],
                               .sp = (uintptr_t)&stacks[thread][FRAME_WORDS]};
    uint32_t number = tm_frames_take(&caller, 0);
    taken[thread] = number;
    for (unsigned i = 0; i < DEPTH; i++, number = tm_frames()[number].parent) {
        model_assert(tm_frames()[number].ip == stacks[thread][(i + 1) * FRAME_WORDS - 1]);
        model_assert(number != 0 && number < tm_frames_count());
    }
    model_assert(number == 0);
    site[thread] = site_of(taken[thread]);
    model_assert(tm_sites()[site[thread]].frame == taken[thread]);
    model_assert(site[thread] > OTHERS && site[thread] < tm_sites_count());
}

static void take_twice(int thread)
{
    take(thread);
    uint32_t before = taken[thread], site_before = site[thread];
    take(thread);
    model_assert(taken[thread] == before && site[thread] == site_before);
}

static void two_stacks(void)
{
    model_assert(taken[1] == taken[2] && taken[1] != taken[3]);
    model_assert(site[1] == site[2] && site[1] != site[3]);
    model_assert(tm_frames_count() == 1 + DEPTH + 1 && tm_sites_count() == OTHERS + 3);
}

static void one_stack(void)
{
    model_assert(taken[1] == taken[2] && site[1] == site[2]);
    model_assert(tm_frames_count() == 1 + DEPTH && tm_sites_count() == OTHERS + 2);
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"two-stacks", 3, setup, take, NULL, two_stacks, 2, 1, false},
        {"one-stack", 2, setup, take_twice, NULL, one_stack, 3, 2, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
