/* legal.c: programs that look odd and break no rule: none may be stopped, and none may be told of
 * on stderr. Above all, blocks that hold what a freed block, or a mark that says so, looks like.
 */
#include "tests/misuse/misuse.h"

#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { SOME = 200 };

static char *some[SOME];
static size_t some_count;

static void take_some(size_t size)
{
    some_count = how_many(size, SOME);
    for (size_t i = 0; i < some_count; i++)
        some[i] = take(size);
}

static void give_some(void)
{
    for (size_t i = 0; i < some_count; i++)
        give(some[i]);
}

/* What lies in a new block is as a freed one left it: marks and all. */
static void untouched(size_t size)
{
    for (unsigned round = 0; round < 20; round++) {
        take_some(size);
        give_some();
    }
    go_on(size);
}

/* The same saved, written over and put back. */
static void saved_and_restored(size_t size)
{
    char *saved = take(size);
    for (unsigned round = 0; round < 10; round++) {
        take_some(size);
        for (size_t i = 0; i < some_count; i++) {
            memcpy(saved, some[i], size);
            memset(some[i], 0x41, size);
            memcpy(some[i], saved, size);
        }
        give_some();
    }
    give(saved);
    go_on(size);
}

/* The first bytes of freed blocks, in live ones at another place. */
static void copies_of_freed(size_t size)
{
    char left[SOME][64];
    size_t bytes = size < 64 ? size : 64;
    take_some(size);
    char *others[SOME] = {NULL};
    for (size_t i = 0; i < some_count; i++)
        others[i] = take(size);
    for (size_t i = 0; i < some_count; i++)
        memset(left[i], 0, sizeof left[i]);
    give_some();
    for (size_t i = 0; i < some_count; i++)
        if (malloc_usable_size(others[i]) < 32 * (size_t)KIB) /* larger ones may be unmapped */
            memcpy(left[i], opaque(some[i]), bytes);
    for (size_t i = 0; i < some_count; i++) {
        memcpy(opaque(others[i]), left[i], bytes);
        memcpy(opaque(others[i] + size - bytes), left[(i * 7) % some_count], bytes);
    }
    for (size_t i = 0; i < some_count; i++)
        give(others[i]);
    go_on(size);
}

/* Words of every kind, at every place. */
static void arbitrary_words(size_t size)
{
    take_some(size);
    for (size_t i = 0; i < some_count; i++) {
        uint64_t *words = opaque(some[i]);
        uint64_t own = (uint64_t)(uintptr_t)words;
        const uint64_t kinds[] = {0,
                                  UINT64_MAX,
                                  own,
                                  own ^ own >> 12,
                                  own >> 12,
                                  (uint64_t)(uintptr_t)some[(i + 1) % some_count],
                                  (uint64_t)(uintptr_t)some[(i + 1) % some_count] ^ own >> 12,
                                  ~own,
                                  own + size,
                                  own - size,
                                  (uint64_t)(uintptr_t)&some,
                                  UINT64_C(0xdeadbeefdeadbeef),
                                  size,
                                  size | 1};
        for (size_t k = 0; k < size / 8; k++)
            words[k] = kinds[(i + k) % (sizeof kinds / sizeof *kinds)];
    }
    give_some();
    go_on(size);
}

static void all_of_it_written(size_t size)
{
    take_some(size);
    for (size_t i = 0; i < some_count; i++)
        memset(some[i], (int)(i & 1 ? 0xff : i), malloc_usable_size(some[i]));
    for (size_t i = 0; i < some_count; i++)
        if (*(unsigned char *)(some[i] + size - 1) != (i & 1 ? 0xff : (unsigned char)i))
            corrupt("a block changed at", some[i]);
    give_some();
    for (size_t i = 1; i < 200; i++) {
        char *block = take(i);
        memset(block, 0xee, malloc_usable_size(block));
        give(block);
    }
    go_on(size);
}

static void of_nothing(size_t size)
{
    give(NULL);
    for (unsigned i = 0; i < 100; i++)
        some[i] = opaque(malloc(0));
    for (unsigned i = 0; i < 100; i++)
        give(some[i]);
    for (unsigned i = 0; i < 100; i++)
        give(opaque(calloc(0, size)));
    if (malloc_usable_size(NULL) != 0)
        corrupt("NULL has a size", NULL);
    go_on(size);
}

static void aligned(size_t size)
{
    for (size_t alignment = 8; alignment <= (size_t)4 * MIB; alignment *= 2) {
        void *block = NULL;
        if (posix_memalign(&block, alignment, size) != 0)
            cannot("posix_memalign failed");
        if ((uintptr_t)block % alignment != 0)
            corrupt("posix_memalign returned a misaligned block", block);
        memset(block, 0x41, size);
        give(block);
        give(opaque(aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)));
        void *grown = opaque(realloc(opaque(memalign(alignment, size)), size + 100));
        if (grown == NULL)
            cannot("realloc failed");
        give(grown);
    }
    give(opaque(valloc(size)));
    go_on(size);
}

static void realloc_to_0(size_t size)
{
    take_some(size);
    for (size_t i = 0; i < some_count; i++) {
        void *nothing = opaque(realloc(some[i], 0));
        if (nothing != NULL)
            give(nothing);
    }
    go_on(size);
}

static void reallocs(size_t size)
{
    char *block = NULL;
    for (size_t step = 0; step < 40; step++) {
        size_t to = 1 + size * (step % 7) / 3;
        block = opaque(realloc(block, to));
        if (block == NULL)
            cannot("realloc failed");
        memset(block, (int)step, to);
    }
    give(block);
    go_on(size);
}

/* ---- whose block it is ---- */

static void *give_them(void *ignored_one)
{
    (void)ignored_one;
    give_some();
    return NULL;
}

static void *take_them(void *size)
{
    take_some((size_t)(uintptr_t)size);
    return NULL;
}

static void in_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) != 0 || pthread_join(thread, NULL) != 0)
        cannot("a thread cannot be made");
}

static void by_others(size_t size)
{
    for (unsigned round = 0; round < 5; round++) {
        take_some(size);
        in_thread(give_them, NULL);
        in_thread(take_them, at_address(size));
        give_some();
        in_thread(take_them, at_address(size));
        in_thread(give_them, NULL);
    }
    go_on(size);
}

static void in_a_child(size_t size)
{
    take_some(size);
    pid_t child = fork();
    if (child < 0)
        cannot("fork failed");
    if (child == 0) {
        give_some();
        go_on(size);
    }
    int status = 0;
    while (waitpid(child, &status, 0) != child)
        ;
    if (status != 0)
        abort();
    give_some();
    _exit(0); /* the child said it */
}

/* As glibc does in a child of several threads: what was freed at the fork is freed again, by libc.
 */
static void again_by_libc_in_a_child(size_t size)
{
    char *block = take(size);
    take_some(size);
    with_a_thread();
    give(block);
    pid_t child = fork();
    if (child < 0)
        cannot("fork failed");
    if (child == 0) {
        glob_t of_block = {.gl_pathv = (char **)block};
        globfree(&of_block);
        give_some();
        take_some(size);
        go_on(size);
    }
    int status = 0;
    while (waitpid(child, &status, 0) != child)
        ;
    if (status != 0)
        abort();
    _exit(0); /* the child said it */
}

static pthread_key_t key;

static void at_thread_exit(void *block)
{
    give(block);
    give(take(100));
}

static void *leave_it_to_the_key(void *size)
{
    pthread_setspecific(key, take((size_t)(uintptr_t)size));
    return NULL;
}

static void leave_it_to_cleanup(void *block)
{
    give(block);
}

static void *cancelled(void *size)
{
    void *block = take((size_t)(uintptr_t)size);
    pthread_cleanup_push(leave_it_to_cleanup, block);
    for (;;)
        pause();
    pthread_cleanup_pop(1);
    return NULL;
}

static void as_a_thread_ends(size_t size)
{
    pthread_t thread;
    if (pthread_key_create(&key, at_thread_exit) != 0)
        cannot("a key cannot be made");
    for (unsigned i = 0; i < 20; i++)
        in_thread(leave_it_to_the_key, at_address(size));
    if (pthread_create(&thread, NULL, cancelled, at_address(size)) != 0)
        cannot("a thread cannot be made");
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    go_on(size);
}

static size_t size_at_exit;

static void at_exit(void)
{
    give_some();
    go_on(size_at_exit);
}

static void in_atexit(size_t size)
{
    take_some(size);
    size_at_exit = size;
    atexit(at_exit);
    exit(0);
}

static char *of_constructor;

__attribute__((constructor)) static void take_early(void)
{
    of_constructor = take(100);
}

__attribute__((destructor)) static void give_late(void)
{
    give(of_constructor);
    if (size_at_exit == 1)
        go_on(64);
}

static void in_destructor(size_t size)
{
    (void)size;
    size_at_exit = 1;
    exit(0);
}

/* ---- contexts ---- */

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    give_some();
    take_some(64);
    handled = 1;
}

/* raise() is synchronous: the program is in no other call meanwhile. */
static void in_a_signal_handler(size_t size)
{
    static char alternate[256 * KIB];
    stack_t where = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaltstack(&where, NULL);
    sigaction(SIGUSR1, &action, NULL);
    take_some(size);
    raise(SIGUSR1);
    if (!handled)
        cannot("no signal came");
    give_some();
    go_on(size);
}

static ucontext_t here, there;

static void on_a_block(void)
{
    give_some();
    take_some(48);
    give_some();
}

/* The stack is a block itself. */
static void on_a_stack_of_its_own(size_t size)
{
    char *stack = take(256 * (size_t)KIB);
    take_some(size);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = 256 * (size_t)KIB;
    there.uc_link = &here;
    makecontext(&there, on_a_block, 0);
    swapcontext(&here, &there);
    give(stack);
    go_on(size);
}

static void over_longjmp(size_t size)
{
    static jmp_buf back;
    take_some(size);
    if (setjmp(back) == 0) {
        give_some();
        longjmp(back, 1);
    }
    go_on(size);
}

/* What libc allocated and the program is to free. */
static void of_libc(size_t size)
{
    char *line = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && getline(&line, &bytes, maps) > 0)
        give(strdup(line));
    if (maps != NULL)
        fclose(maps);
    give(line);
    if (asprintf(&text, "%zu", size) > 0)
        give(text);
    give(realpath("/proc/self/exe", NULL));
    give(getcwd(NULL, 0));
    FILE *memory = open_memstream(&text, &bytes);
    if (memory != NULL) {
        fprintf(memory, "%*d", (int)(size > 100000 ? 100000 : size), 1);
        fclose(memory);
        give(text);
    }
    void *library = dlopen("libm.so.6", RTLD_NOW);
    if (library != NULL)
        dlclose(library);
    go_on(size);
}

/* free() keeps errno, on every way. */
static void with_errno(size_t size)
{
    take_some(size);
    for (size_t i = 0; i < some_count; i++) {
        errno = 12345;
        give(some[i]);
        if (errno != 12345)
            corrupt("free changed errno of", some[i]);
    }
    go_on(size);
}

static void with_trims(size_t size)
{
    for (unsigned round = 0; round < 5; round++) {
        take_some(size);
        for (size_t i = 0; i < some_count; i += 2)
            give(some[i]);
        malloc_trim(0);
        for (size_t i = 1; i < some_count; i += 2)
            give(some[i]);
        malloc_trim(0);
    }
    go_on(size);
}

const struct misuse_case misuse_cases[] = {
    {"untouched", untouched, 1},
    {"saved_and_restored", saved_and_restored, 1},
    {"copies_of_freed", copies_of_freed, 1},
    {"arbitrary_words", arbitrary_words, 1},
    {"all_of_it_written", all_of_it_written, 1},
    {"of_nothing", of_nothing, 1},
    {"aligned", aligned, 1},
    {"realloc_to_0", realloc_to_0, 1},
    {"reallocs", reallocs, 1},
    {"by_others", by_others, 1},
    {"in_a_child", in_a_child, 1},
    {"again_by_libc_in_a_child", again_by_libc_in_a_child, 1},
    {"as_a_thread_ends", as_a_thread_ends, 1},
    {"in_atexit", in_atexit, 1},
    {"in_destructor", in_destructor, 0},
    {"in_a_signal_handler", in_a_signal_handler, 1},
    {"on_a_stack_of_its_own", on_a_stack_of_its_own, 1},
    {"over_longjmp", over_longjmp, 1},
    {"of_libc", of_libc, 1},
    {"with_errno", with_errno, 1},
    {"with_trims", with_trims, 1},
    {NULL, NULL, 0},
};
