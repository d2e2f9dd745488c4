/* exact.c: allocates in every way that C knows, in amounts that exact_test.py knows by hand, each
 * from a function of its own, and takes snapshots in between. What only the placement decides, the
 * usable size of a span that grew, it prints.
 */
#include "tests/sites/program.h"

#include <malloc.h>
#include <pthread.h>

enum { MANY = 1000 };
static void *blocks[MANY];

static size_t usable_of(void *block)
{
    return malloc_usable_size(block);
}

/* ---- every function that allocates ---- */

static void *at_malloc(size_t size)
{
    return malloc(size);
}

static void *at_calloc(void)
{
    return calloc(10, 30);
}

static void *at_grow_in_place(void *block)
{
    return realloc(block, 110);
}

static void *at_grow(void *block)
{
    return realloc(block, 1000);
}

static void *at_shrink(void *block)
{
    return realloc(block, 100);
}

static void *at_start(size_t size)
{
    return malloc(size);
}

static void *at_span(size_t size)
{
    return malloc(size);
}

static void *at_span_grow(void *block)
{
    return realloc(block, 200000);
}

static void *at_span_shrink(void *block)
{
    return realloc(block, 60000);
}

static void *at_span_to_pool(void *block)
{
    return realloc(block, 20000);
}

static void *at_mapping(size_t size)
{
    return malloc(size);
}

static void *at_mapping_grow(void *block)
{
    return realloc(block, 20 << 20);
}

static void *at_mapping_shrink(void *block)
{
    return realloc(block, 5 << 20);
}

static void *at_mapping_stay(void *block)
{
    return realloc(block, 3 << 20);
}

static void *at_mapping_to_span(void *block)
{
    return realloc(block, 2 << 20);
}

static void *at_reallocarray(void)
{
    return reallocarray(NULL, 20, 50);
}

static void *at_aligned_alloc(void)
{
    return aligned_alloc(64, 200);
}

static void *at_posix_memalign(void)
{
    void *block = NULL;
    return posix_memalign(&block, 256, 300) == 0 ? block : NULL;
}

static void *at_memalign(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

static void *at_memalign_span(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

static void *at_valloc(void)
{
    return valloc(3000);
}

static char *at_strdup(const char *text)
{
    return strdup(text);
}

static void *at_zero(void)
{
    return malloc(0);
}

/* Snapshots: nothing of it, all of it, the first half of at_malloc's freed, all freed. */
static void kinds(void)
{
    void *other[64];
    int count = 0;
    take_snapshot();
    for (int i = 0; i < MANY; i++)
        blocks[i] = at_malloc(100);
    for (int i = 0; i < 3; i++)
        other[count++] = at_calloc();
    for (int i = 0; i < 4; i++)
        other[count++] = at_grow_in_place(at_start(100));
    for (int i = 0; i < 5; i++)
        other[count++] = at_grow(at_start(100));
    other[count++] = at_shrink(at_start(1000));
    for (int i = 0; i < 6; i++)
        other[count++] = at_span(40000);
    void *grown = at_span_grow(at_start(40000));
    printf("grown %zu\n", usable_of(grown));
    other[count++] = grown;
    other[count++] = at_span_shrink(at_start(200000));
    other[count++] = at_span_to_pool(at_start(60000));
    other[count++] = at_mapping(10 << 20);
    other[count++] = at_mapping_grow(at_start(10 << 20));
    other[count++] = at_mapping_shrink(at_start(10 << 20));
    other[count++] = at_mapping_stay(at_mapping_shrink(at_start(10 << 20)));
    other[count++] = at_mapping_to_span(at_start(10 << 20));
    for (int i = 0; i < 7; i++)
        other[count++] = at_reallocarray();
    for (int i = 0; i < 2; i++)
        other[count++] = at_aligned_alloc();
    for (int i = 0; i < 3; i++)
        other[count++] = at_posix_memalign();
    other[count++] = at_memalign(4096, 5000);
    other[count++] = at_memalign_span(8192, 1000);
    other[count++] = at_valloc();
    for (int i = 0; i < 2; i++)
        other[count++] = at_strdup("a text of thirty-one characters");
    other[count++] = at_zero();
    take_snapshot();
    for (int i = 0; i < MANY / 2; i++)
        free(blocks[i]);
    take_snapshot();
    for (int i = MANY / 2; i < MANY; i++)
        free(blocks[i]);
    while (count > 0)
        free(other[--count]);
    take_snapshot();
}

/* ---- what lived for a short time ---- */

static void *at_temporary(void)
{
    return malloc(50);
}

static void *at_not_temporary(void)
{
    return malloc(50);
}

static void *at_freed_elsewhere(void)
{
    return malloc(50);
}

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

static void temporary(void)
{
    for (int i = 0; i < 500; i++)
        free(at_temporary());
    for (int i = 0; i < 500; i++) {
        void *first = at_not_temporary();
        void *second = at_temporary();
        free(first);
        free(second);
    }
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        void *block = at_freed_elsewhere();
        pthread_create(&thread, NULL, free_it, block);
        pthread_join(thread, NULL);
    }
    take_snapshot();
}

static void *at_lived(void)
{
    return malloc(200);
}

static void *at_lived_span(void)
{
    return malloc(50000);
}

/* Prints between which bounds, in ms, each batch lived. */
static void lifetimes(void)
{
    static const long pauses[] = {0, 100, 700};
    enum { BATCH = 100 };
    for (int i = 0; i < 3; i++) {
        double before = now_ms();
        for (int j = 0; j < BATCH; j++)
            blocks[j] = j == 0 ? at_lived_span() : at_lived();
        double between = now_ms();
        if (pauses[i] != 0)
            sleep_ms(pauses[i]);
        double slept = now_ms();
        for (int j = 0; j < BATCH; j++)
            free(blocks[j]);
        printf("batch %d %f %f\n", BATCH, slept - between, now_ms() - before);
    }
    void *survivor = at_lived();
    double born = now_ms();
    sleep_ms(100);
    take_snapshot();
    printf("age %f\n", now_ms() - born);
    free(survivor);
}

/* ---- the highest point ---- */

static void *at_first(void)
{
    return malloc(1024);
}

static void *at_second(void)
{
    return malloc(2048);
}

static void *at_third(void)
{
    return malloc(100 * 1024);
}

static void peak(void)
{
    static void *first[MANY], *second[MANY], *third[30];
    for (int i = 0; i < MANY; i++)
        first[i] = at_first();
    for (int i = 0; i < MANY; i++)
        second[i] = at_second();
    for (int i = 0; i < MANY; i++)
        free(first[i]);
    for (int i = 0; i < 30; i++)
        third[i] = at_third();
    take_snapshot(); /* the highest point is now */
    for (int i = 0; i < MANY; i++)
        free(second[i]);
    for (int i = 0; i < 15; i++)
        free(third[i]);
    for (int i = 0; i < MANY; i++)
        first[i] = at_first();
    take_snapshot();
    for (int i = 0; i < 30; i++)
        third[i] = at_third();
    for (int i = 0; i < 30; i++)
        third[i] = at_third();
    take_snapshot(); /* a new one */
}

/* ---- threads ---- */

static pthread_barrier_t barrier;
static void *shared[MANY];
static void *large[2];

static void *at_thread_small(void)
{
    return malloc(64);
}

static void *at_thread_large(void)
{
    return malloc(100000);
}

static void *at_thread_mapping(void)
{
    return malloc(9 << 20);
}

static void *at_every_thread(void)
{
    return malloc(640);
}

static _Thread_local void *kept[30];

static void keep_some(int count)
{
    for (int i = 0; i < count; i++)
        kept[i] = at_every_thread();
}

static void say_thread(const char *name)
{
    printf("thread %s %d\n", name, (int)gettid());
}

/* Its first request is a large one. */
static void *first_is_large(void *nothing)
{
    large[0] = at_thread_large();
    keep_some(10);
    say_thread("large");
    return nothing;
}

static void *first_is_mapping(void *nothing)
{
    large[1] = at_thread_mapping();
    keep_some(20);
    say_thread("mapping");
    return nothing;
}

static void *allocates(void *nothing)
{
    say_thread("allocates");
    for (int i = 0; i < MANY; i++)
        shared[i] = at_thread_small();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    keep_some(30);
    return nothing;
}

/* Its first request frees another's block; it never allocates. */
static void *only_frees(void *nothing)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 300; i++)
        free(shared[i]);
    pthread_barrier_wait(&barrier);
    return nothing;
}

/* Snapshots: after the threads' end; when the first thread freed what they left. */
static void threads(void)
{
    static void *(*const bodies[])(void *) = {first_is_large, first_is_mapping, allocates,
                                              only_frees};
    pthread_t thread[4];
    use_static_output();
    say_thread("main");
    keep_some(1);
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, bodies[i], NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    take_snapshot();
    for (int i = 300; i < MANY; i++)
        free(shared[i]);
    free(large[0]);
    free(large[1]);
    take_snapshot();
}

/* ---- on and off while it runs ---- */

static void *at_before(size_t size)
{
    return malloc(size);
}

static void *at_recorded(size_t size)
{
    return malloc(size);
}

static void *at_off(size_t size)
{
    return malloc(size);
}

static void *at_again(size_t size)
{
    return malloc(size);
}

static void *at_sampled(size_t size)
{
    return malloc(size);
}

static void *at_last(size_t size)
{
    return malloc(size);
}

enum { SOME = 90 };

static void get(void *(*site)(size_t), void **to)
{
    static const size_t sizes[] = {48, 2000, 70000};
    for (int i = 0; i < SOME; i++)
        to[i] = site(sizes[i % 3]);
}

static void put(void **from, int first, int end)
{
    for (int i = first; i < end; i++)
        free(from[i]);
}

/* Of each lot 30 blocks are freed in every later state, three sizes in turns. */
static void switching(void)
{
    static void *before[SOME], *recorded[SOME], *off[SOME], *again[SOME], *sampled[SOME],
        *last[SOME];
    sleep_ms(20); /* so that no time is that of the start, which the clock's tick would make it */
    get(at_before, before);
    ask(TM_REQUEST_SITES_ALL);
    get(at_recorded, recorded);
    put(before, 0, 30);
    ask(TM_REQUEST_SITES_OFF);
    get(at_off, off);
    put(recorded, 0, 30);
    take_snapshot();
    ask(TM_REQUEST_SITES_ALL);
    get(at_again, again);
    put(before, 30, 60);
    put(recorded, 30, 60);
    put(off, 0, 30);
    take_snapshot();
    ask(TM_REQUEST_SITES_SAMPLE);
    get(at_sampled, sampled);
    put(again, 0, 30);
    put(recorded, 60, 75);
    ask(TM_REQUEST_SITES_ALL);
    get(at_last, last);
    put(sampled, 0, SOME);
    put(again, 30, 60);
    put(recorded, 75, 90);
    put(off, 30, SOME);
    take_snapshot();
    put(before, 60, SOME);
    put(again, 60, SOME);
    put(last, 0, SOME);
    ask(TM_REQUEST_SITES_OFF);
    take_snapshot();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"kinds", kinds}, {"temporary", temporary}, {"lifetimes", lifetimes},
                 {"peak", peak},   {"threads", threads},     {"switching", switching}};
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].name, argv[1]) == 0) {
            use_static_output();
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "usage: %s kinds|temporary|lifetimes|peak|threads|switching\n", argv[0]);
    return 2;
}
