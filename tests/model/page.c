/* page.c: a model of the live page (profiler/record/live.c): threads write its slot, each at a
 * time, and a reader that takes what it finds twice the same, and with an even number, has what was
 * written together.
 *
 * The reader is another process, for which the kernel copies the memory: here a load for each word,
 * in their order, as x86-64 makes them; so they are acquiring ones.
 */
#include "tests/model/model.h"

#include "profiler/record/live.c" // NOLINT(bugprone-suspicious-include)

enum { WORDS = 4 }; /* that tell: `sequence`, and three that are written together */

static void setup(int thread)
{
    if (thread == 1) {
        memory = model_map(TM_LIVE_BYTES, 4096);
        next.owner = 7;
        publish();
    }
}

/* As write_slot() does, under `busy`. */
static void write_next(uint64_t what)
{
    if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    next.written_ns = next.pool_bytes = next.snapshots = what;
    publish();
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

static void read_words(uint64_t *to)
{
    const uint64_t *words[WORDS] = {&slot_at(0)->sequence, &slot_at(0)->written_ns,
                                    &slot_at(0)->pool_bytes, &slot_at(0)->snapshots};
    for (unsigned i = 0; i < WORDS; i++)
        to[i] = __atomic_load_n(words[i], __ATOMIC_ACQUIRE);
}

static void write_or_read(int thread)
{
    uint64_t first[WORDS], second[WORDS];
    if (thread != 3) {
        write_next((uint64_t)thread);
        return;
    }
    read_words(first);
    read_words(second);
    for (unsigned i = 0; i < WORDS; i++)
        if (first[i] != second[i])
            return;
    model_assert((first[0] & 1) != 0 || (first[1] == first[2] && first[2] == first[3]));
}

static void written(void)
{
    model_assert((slot_at(0)->sequence & 1) == 0 && slot_at(0)->written_ns != 0);
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"slot", 3, setup, write_or_read, NULL, written, 2, 2, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
