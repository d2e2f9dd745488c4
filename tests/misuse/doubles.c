/* doubles.c: blocks that are freed twice. In each case the block was not handed out again between
 * the two frees: a third party's block freed in its place no allocator can tell from the program's.
 */
#include "tests/misuse/misuse.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHERS = 64 };

static void at_once(size_t size)
{
    char *block = take(size);
    announce_block(block);
    give(block);
    give(block);
    go_on(size);
}

static void thrice(size_t size)
{
    char *block = take(size);
    announce_block(block);
    give(block);
    give(block);
    give(block);
    go_on(size);
}

/* Sizes of other classes are used meanwhile. */
static void later(size_t size)
{
    char *block = take(size);
    announce_block(block);
    give(block);
    for (size_t i = 0; i < 1000; i++) {
        give(take((size <= 4 * (size_t)KIB ? 2 * size : 0) + 24 + i * 7));
    }
    give(block);
    go_on(size);
}

/* Another block of its class is freed in between: it is not the first of any list. */
static void after_another(size_t size)
{
    char *block = take(size), *other = take(size);
    announce_block(block);
    give(block);
    give(other);
    give(block);
    go_on(size);
}

/* Others of its class are freed, and most are taken and freed again. */
static void after_reuse(size_t size)
{
    size_t count = how_many(size, OTHERS);
    for (unsigned attempt = 0; attempt < 8; attempt++) {
        char *others[OTHERS];
        char *block = take(size);
        for (size_t i = 0; i < count; i++)
            others[i] = take(size);
        size_t usable = malloc_usable_size(block);
        give(block);
        for (size_t i = 0; i < count; i++)
            give(others[i]);
        bool came_back = false;
        for (size_t i = 0; i < count / 2; i++) {
            others[i] = take(size);
            came_back = came_back || others[i] == block;
        }
        for (size_t i = 0; i < count / 2; i++)
            give(others[i]);
        if (came_back)
            continue;
        announce(block, usable, usable);
        give(block);
        go_on(size);
    }
    cannot("it is handed out again before the others");
}

/* realloc moves it, and the program frees the old one. */
static void after_realloc(size_t size)
{
    char *block = take(size);
    char *fence = take(size);
    size_t usable = malloc_usable_size(block);
    char *moved = opaque(realloc(block, 4 * size + 1000));
    if (moved == block)
        cannot("realloc grows it in place");
    announce(block, usable, usable);
    keep(fence, size);
    keep(moved, 4 * size + 1000);
    give(block);
    go_on(size);
}

static void aligned_to(size_t alignment, size_t size)
{
    char *block = opaque(memalign(alignment, size));
    if (block == NULL)
        cannot("memalign failed");
    announce_block(block);
    give(block);
    give(block);
    go_on(size);
}

static void aligned_64(size_t size)
{
    aligned_to(64, size);
}

static void aligned_page(size_t size)
{
    aligned_to(4096, size);
}

static void aligned_1m(size_t size)
{
    aligned_to(MIB, size);
}

/* Nearly all of many blocks are freed and malloc_trim() gives back what it can. */
static void trimmed(size_t size, bool all)
{
    enum { MANY = 4000 };
    static char *many[MANY];
    size_t count = how_many(size, MANY);
    for (size_t i = 0; i < count; i++) {
        many[i] = take(size);
        many[i][0] = 1;
    }
    char *block = many[count / 2];
    announce_block(block);
    if (!all) {
        keep(many[0], size);
        keep(many[count - 1], size);
    }
    for (size_t i = all ? 0 : 1; i < (all ? count : count - 1); i++)
        give(many[i]);
    malloc_trim(0);
    give(block);
    go_on(size);
}

static void after_trim(size_t size)
{
    trimmed(size, false);
}

static void after_trim_of_all(size_t size)
{
    trimmed(size, true);
}

/* ---- with threads ---- */

static void *in_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, function, argument) != 0 ||
        pthread_join(thread, &result) != 0)
        cannot("a thread cannot be made");
    return result;
}

static void *give_it(void *block)
{
    give(block);
    return NULL;
}

static void *give_it_twice(void *block)
{
    give(block);
    give(block);
    return NULL;
}

static void *take_and_give(void *size)
{
    char *block = take((size_t)(uintptr_t)size);
    announce_block(block);
    give(block);
    return block;
}

static void *take_it(void *size)
{
    return take((size_t)(uintptr_t)size);
}

static _Atomic unsigned ready;

static void wait_for(unsigned count)
{
    while (atomic_load(&ready) < count)
        sched_yield();
}

static void *give_when_ready(void *block)
{
    atomic_fetch_add(&ready, 1);
    wait_for(2);
    give(block);
    return NULL;
}

/* The thread is there before: what libc takes from the heap for it may come to lie at its place. */
static void by_another_thread(size_t size)
{
    pthread_t thread;
    char *block = take(size);
    announce_block(block);
    if (pthread_create(&thread, NULL, give_when_ready, block) != 0)
        cannot("a thread cannot be made");
    wait_for(1);
    give(block);
    atomic_fetch_add(&ready, 1);
    pthread_join(thread, NULL);
    go_on(size);
}

static void first_by_another_thread(size_t size)
{
    char *block = take(size);
    announce_block(block);
    in_thread(give_it, block);
    give(block);
    go_on(size);
}

static void twice_by_another_thread(size_t size)
{
    char *block = take(size);
    announce_block(block);
    in_thread(give_it_twice, block);
    go_on(size);
}

/* Its thread is gone when it is freed the second time. */
static void of_an_ended_thread(size_t size)
{
    give(in_thread(take_and_give, at_address(size)));
    go_on(size);
}

static void twice_of_an_ended_thread(size_t size)
{
    char *block = in_thread(take_it, at_address(size));
    announce_block(block);
    give(block);
    give(block);
    go_on(size);
}

static void by_two_threads(size_t size)
{
    pthread_t threads[2];
    char *block = take(size);
    announce_block(block);
    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, give_when_ready, block) != 0)
            cannot("a thread cannot be made");
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    go_on(size);
}

/* Two blocks of a thread that has ended since. */
static void *take_two(void *two)
{
    char **blocks = two;
    size_t size = (size_t)(uintptr_t)blocks[0];
    blocks[0] = take(size);
    blocks[1] = take(size);
    return NULL;
}

static void *give_at_one_instant(void *block)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 2)
        ;
    give(block);
    return NULL;
}

/* Were it counted out twice, its pool would look empty while the other is live. */
static void at_one_instant(size_t size)
{
    pthread_t threads[2];
    char *blocks[2] = {at_address(size), NULL};
    in_thread(take_two, blocks);
    keep(blocks[1], size);
    announce_block(blocks[0]);
    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, give_at_one_instant, blocks[0]) != 0)
            cannot("a thread cannot be made");
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    go_on(size);
}

/* Freed before fork and by the child, which ends as this process would have. */
static void by_a_child(char *block, size_t size)
{
    announce_block(block);
    give(block);
    pid_t child = fork();
    if (child < 0)
        cannot("fork failed");
    if (child == 0) {
        give(block);
        go_on(size);
    }
    int status = 0;
    while (waitpid(child, &status, 0) != child)
        ;
    if (WIFSIGNALED(status))
        abort();
    _exit(0);
}

static void in_a_child(size_t size)
{
    by_a_child(take(size), size);
}

static void in_a_child_of_threads(size_t size)
{
    with_a_thread();
    by_a_child(take(size), size);
}

const struct misuse_case misuse_cases[] = {
    {"at_once", at_once, 1},
    {"thrice", thrice, 1},
    {"later", later, 1},
    {"after_another", after_another, 1},
    {"after_reuse", after_reuse, 1},
    {"after_realloc", after_realloc, 1},
    {"aligned_64", aligned_64, 1},
    {"aligned_page", aligned_page, 1},
    {"aligned_1m", aligned_1m, 1},
    {"after_trim", after_trim, 1},
    {"after_trim_of_all", after_trim_of_all, 1},
    {"by_another_thread", by_another_thread, 1},
    {"first_by_another_thread", first_by_another_thread, 1},
    {"twice_by_another_thread", twice_by_another_thread, 1},
    {"of_an_ended_thread", of_an_ended_thread, 1},
    {"twice_of_an_ended_thread", twice_of_an_ended_thread, 1},
    {"by_two_threads", by_two_threads, 1},
    {"at_one_instant", at_one_instant, 1},
    {"in_a_child", in_a_child, 1},
    {"in_a_child_of_threads", in_a_child_of_threads, 1},
    {NULL, NULL, 0},
};
