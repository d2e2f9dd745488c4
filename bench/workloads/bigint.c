/* bigint.c: numbers of arbitrary length, each result of an operation a block of its own that dies a
 * few operations later, mostly in the reverse order. So do programs that factor integers (cfrac, as
 * in the suites after D. Grunwald and B. Zorn, "The measured cost of conservative garbage
 * collection", 1993, is the usual example) and interpreters that box their numbers. The sizes vary
 * slowly, with the number of digits.
 *
 * Each number carries its value modulo a prime; the digits' own value is compared with it each time
 * a number grew to its full length.
 */
#include "bench.h"

enum { MOST_DIGITS = 24, PRIME = 2147483647 };

static uint64_t operations = 60 * 1000 * 1000;
static uint64_t threads = 1;

struct number {
    uint32_t length;
    uint32_t residue;  /* of the value modulo PRIME */
    uint32_t digits[]; /* in base 2^32, the least first */
};

static struct number *new_number(struct bench_thread *thread, uint32_t length)
{
    size_t size = sizeof(struct number) + length * sizeof(uint32_t);
    struct number *number = malloc(size);
    if (!number)
        bench_out_of_memory("malloc", size);
    number->length = length;
    thread->operations++;
    return number;
}

static struct number *small_number(struct bench_thread *thread, uint32_t value)
{
    struct number *number = new_number(thread, 1);
    number->digits[0] = value;
    number->residue = value % PRIME;
    return number;
}

static struct number *product(struct bench_thread *thread, const struct number *a,
                              const struct number *b)
{
    struct number *number = new_number(thread, a->length + b->length);
    memset(number->digits, 0, number->length * sizeof *number->digits);
    for (uint32_t i = 0; i < b->length; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < a->length; j++) {
            carry += (uint64_t)a->digits[j] * b->digits[i] + number->digits[i + j];
            number->digits[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        number->digits[i + a->length] = (uint32_t)carry;
    }
    number->residue = (uint32_t)((uint64_t)a->residue * b->residue % PRIME);
    return number;
}

/* The first has at least as many digits. */
static struct number *sum(struct bench_thread *thread, const struct number *a,
                          const struct number *b)
{
    struct number *number = new_number(thread, a->length + 1);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < a->length; i++) {
        carry += (uint64_t)a->digits[i] + (i < b->length ? b->digits[i] : 0);
        number->digits[i] = (uint32_t)carry;
        carry >>= 32;
    }
    number->digits[a->length] = (uint32_t)carry;
    number->length -= carry == 0;
    number->residue = (uint32_t)(((uint64_t)a->residue + b->residue) % PRIME);
    return number;
}

static void check(const struct number *number)
{
    uint64_t residue = 0;
    for (uint32_t i = number->length; i-- > 0;)
        residue = (residue << 32 | number->digits[i]) % PRIME;
    if (residue != number->residue)
        bench_fail("a number of %u digits at %p has the residue %u, but %u is right: its block was "
                   "written to by another owner",
                   number->length, (const void *)number, (unsigned)residue, number->residue);
}

/* x * (a * b + c) + a, where the smaller operands are temporaries of their own. */
static struct number *next_number(struct bench_thread *thread, const struct number *x)
{
    uint64_t bits = bench_next(&thread->random);
    struct number *a = small_number(thread, (uint32_t)bits);
    struct number *b = small_number(thread, (uint32_t)(bits >> 32));
    struct number *ab = product(thread, a, b);
    struct number *c = small_number(thread, (uint32_t)(bits >> 16));
    struct number *factor = sum(thread, ab, c);
    free(c);
    free(ab);
    free(b);
    struct number *long_product = product(thread, x, factor);
    struct number *result = sum(thread, long_product, a);
    free(long_product);
    free(factor);
    free(a);
    return result;
}

static void work(struct bench_thread *thread)
{
    uint64_t count = bench_share(thread, operations);
    struct number *x = small_number(thread, 1);
    while (thread->operations < count) {
        struct number *next = next_number(thread, x);
        free(x);
        x = next;
        if (x->length >= MOST_DIGITS) {
            check(x);
            next = small_number(thread, x->digits[x->length - 1] | 1);
            free(x);
            x = next;
        }
    }
    check(x);
    free(x);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {{.name = "operations",
                                            .help = "numbers made in all, about",
                                            .number = &operations,
                                            .least = 1,
                                            .most = UINT32_MAX},
                                           {.name = "threads",
                                            .help = "threads that share the operations",
                                            .number = &threads,
                                            .least = 1,
                                            .most = BENCH_MOST_THREADS},
                                           {0}};
    bench_start(argc, argv, "Temporaries of arithmetic with long numbers.", options);
    operations = bench_scaled(operations);
    struct bench_run run = bench_threads(threads, work, NULL);
    return bench_finish(run.operations, run.seconds);
}
