/* realloc.c: blocks that grow in place or move. Three patterns: `vector`, many arrays of numbers
 * whose capacity doubles (every other one: grows by half) when it is reached; `string`, many texts
 * that become a few bytes longer at each step, each time by a realloc to the exact length; `big`,
 * one buffer that grows to 64 MiB by 1 MiB at a time. What was written before is checked after.
 */
#include "bench.h"

enum pattern { ALL, VECTOR, STRING, BIG };
enum {
    VECTORS = 256,
    STRINGS = 256,
    LONGEST = 2048,
    STEP = 1024 * 1024,
    STEPS = 64,
    BIG_ONE_IN = 32
};

static unsigned pattern = ALL;
static uint64_t rounds = 400;
static uint64_t threads = 1;

struct vector {
    uint64_t *numbers;
    uint32_t length, capacity;
    uint32_t goal; /* length at which it is dropped */
};

struct string {
    char *text;
    uint32_t length;
};

/* Each thread's. */
struct state {
    struct vector vectors[VECTORS];
    struct string strings[STRINGS];
};

static void *grown(struct bench_thread *thread, void *block, size_t size)
{
    void *moved = realloc(block, size);
    if (!moved)
        bench_out_of_memory("realloc", size);
    thread->operations++;
    return moved;
}

_Noreturn static void lost(const char *what, const void *block, size_t at)
{
    bench_fail("the %s at %p lost what was written to element %zu when it grew", what, block, at);
}

/* --- Vectors -------------------------------------------------------------------------------- */

static uint64_t number_at(uint32_t vector, uint32_t index)
{
    return ((uint64_t)vector << 32 | index) * 0x9e3779b97f4a7c15u;
}

static void append(struct bench_thread *thread, struct vector *vector, uint32_t index)
{
    if (vector->length == vector->capacity) {
        uint32_t more = index % 2 ? vector->capacity / 2 : vector->capacity;
        vector->capacity += more < 2 ? 2 : more;
        vector->numbers =
            grown(thread, vector->numbers, vector->capacity * sizeof *vector->numbers);
    }
    vector->numbers[vector->length] = number_at(index, vector->length);
    vector->length++;
}

static void drop_vector(struct vector *vector, uint32_t index)
{
    for (uint32_t i = 0; i < vector->length; i++) {
        if (vector->numbers[i] != number_at(index, i))
            lost("vector", vector->numbers, i);
    }
    free(vector->numbers);
    *vector = (struct vector){0};
}

/* Random vectors get a few numbers at a time; each in the end as many as its goal. Most stay small.
 */
static void grow_vectors(struct bench_thread *thread, struct vector *vectors)
{
    for (uint32_t i = 0; i < VECTORS * 32; i++) {
        uint32_t index = bench_below(&thread->random, VECTORS);
        struct vector *vector = &vectors[index];
        if (!vector->goal)
            vector->goal = (uint32_t)bench_log_between(&thread->random, 4, 4096);
        for (uint32_t more = 1 + vector->length / 4; more > 0; more--)
            append(thread, vector, index);
        if (vector->length >= vector->goal)
            drop_vector(vector, index);
    }
}

/* --- Strings -------------------------------------------------------------------------------- */

static void drop_string(struct string *string, uint32_t index)
{
    for (uint32_t i = 0; i < string->length; i++) {
        if (string->text[i] != (char)(index + i))
            lost("string", string->text, i);
    }
    free(string->text);
    *string = (struct string){0};
}

static void grow_strings(struct bench_thread *thread, struct string *strings)
{
    for (uint32_t i = 0; i < STRINGS * 64; i++) {
        uint32_t index = bench_below(&thread->random, STRINGS);
        struct string *string = &strings[index];
        uint32_t more = 1 + bench_below(&thread->random, 24);
        string->text = grown(thread, string->text, string->length + more + 1);
        for (; more > 0; more--, string->length++)
            string->text[string->length] = (char)(index + string->length);
        string->text[string->length] = 0;
        if (string->length > LONGEST || bench_below(&thread->random, 200) == 0)
            drop_string(string, index);
    }
}

/* --- One big buffer ------------------------------------------------------------------------- */

static void grow_big(struct bench_thread *thread)
{
    char *buffer = NULL;
    for (size_t step = 0; step < STEPS; step++) {
        buffer = grown(thread, buffer, (step + 1) * STEP);
        memset(buffer + step * STEP, (int)(step + 1), STEP);
    }
    for (size_t at = 0; at < (size_t)STEPS * STEP; at += 512) {
        if (buffer[at] != (char)(at / STEP + 1))
            lost("buffer", buffer, at);
    }
    free(buffer);
}

static void work(struct bench_thread *thread)
{
    struct state *state = (struct state *)thread->context + thread->index;
    uint64_t count = bench_share(thread, rounds);
    for (uint64_t round = 0; round < count; round++) {
        if (pattern == VECTOR || pattern == ALL)
            grow_vectors(thread, state->vectors);
        if (pattern == STRING || pattern == ALL)
            grow_strings(thread, state->strings);
        if ((pattern == BIG || pattern == ALL) && round % BIG_ONE_IN == 0)
            grow_big(thread);
    }
    for (uint32_t i = 0; i < VECTORS; i++)
        drop_vector(&state->vectors[i], i);
    for (uint32_t i = 0; i < STRINGS; i++)
        drop_string(&state->strings[i], i);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "pattern",
         .help = "what grows",
         .choice = &pattern,
         .choices = "all|vector|string|big"},
        {.name = "rounds",
         .help = "each of 4,000 reallocs of vectors, 16,000 of strings; one in 32 grows the buffer",
         .number = &rounds,
         .least = 1,
         .most = UINT32_MAX},
        {.name = "threads",
         .help = "threads that share the rounds",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {0}};
    bench_start(argc, argv, "Vectors, strings and a big buffer that grow by realloc.", options);
    rounds = bench_scaled(rounds);
    struct bench_run run =
        bench_threads(threads, work, bench_table(threads * sizeof(struct state)));
    return bench_finish(run.operations, run.seconds);
}
