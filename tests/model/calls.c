/* calls.c: models of what heaps are called for (tm_heap_calls): a heap that has seen a call does
 * what it was for, or nobody would tell it again.
 */
#include "allocator/heap_inner.h"
#include "allocator/tidemark_alloc.h"
#include "tests/model/blocks.h"
#include "tests/model/model.h"

static uint32_t calls_before, trims_before;
static struct tm_heap *called;

static void setup(int thread)
{
    no_points_at_counters();
    if (thread == 2) {
        take_block(0, 64);
        called = tm_heap;
        calls_before = called->calls_seen;
        trims_before = called->trim_seen;
    }
}

static void call_for_trim(int thread)
{
    if (thread == 1)
        tm_heap_call_for_trim();
    else
        tm_heap_attend(tm_heap);
}

static void was_trimmed(void)
{
    model_assert((called->calls_seen == calls_before) == (called->trim_seen == trims_before));
}

static void call_for_samples(int thread)
{
    if (thread == 1)
        tm_sample_set(TM_SAMPLE_SOME, 1000, 0);
    else
        tm_heap_attend(tm_heap);
}

static void takes_samples(void)
{
    model_assert((called->calls_seen == calls_before) == (called->sampler.mode == TM_SAMPLE_OFF));
}

/* Threads that get their first heaps at the same time, while another goes through all. */
static struct tm_heap *first[4];

static void first_heap(int thread)
{
    if (thread == 3) {
        tm_heap_call_for_trim();
        tm_trim();
        tm_fork_prepare();
        tm_fork_parent();
    } else {
        take_block(thread, 64);
        first[thread] = tm_heap;
    }
}

static void two_heaps(void)
{
    model_assert(first[1] != first[2] && first[1]->id != first[2]->id);
    model_assert(first[1]->in_use && first[2]->in_use);
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"call-for-trim", 2, setup, call_for_trim, NULL, was_trimmed, 3, 2, false},
        {"call-for-samples", 2, setup, call_for_samples, NULL, takes_samples, 3, 2, false},
        {"first-heaps", 3, setup, first_heap, NULL, two_heaps, 2, 0, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
