/* foreign.c: a program frees, resizes and measures blocks that libc's own malloc allocated for
 * behind.c: small and large ones, aligned ones, those of another thread's arena. They have to go
 * back to where they came from.
 *
 * usage: foreign [ADDRESS]   ADDRESS: free what no malloc allocated, while there are two of them:
 *                            stack, static, mapping, wild
 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCKS = 300 };

static void *(*behind_malloc)(size_t size);
static void *(*behind_memalign)(size_t alignment, size_t size);
static size_t (*behind_in_use)(void);

static size_t size_of(int i)
{
    return i % 50 == 0 ? (size_t)i * 4001 : (size_t)i * 7;
}

static void fill(char **blocks)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 3 == 0 ? behind_memalign(64, size_of(i)) : behind_malloc(size_of(i));
        memset(blocks[i], i & 127, size_of(i));
    }
}

static void *fill_in_thread(void *blocks)
{
    fill(blocks);
    return NULL;
}

/* Each is resized, in different ways, and freed by the program's own functions. */
static void end(char **blocks)
{
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = size_of(i);
        assert(malloc_usable_size(blocks[i]) >= size);
        if (i % 4 == 0) {
            blocks[i] = realloc(blocks[i], size * 3 + 1);
            assert(malloc_usable_size(blocks[i]) >= size * 3 + 1);
        } else if (i % 4 == 1)
            blocks[i] = realloc(blocks[i], size / 2 + 1);
        size_t kept = i % 4 == 1 && size > 0 ? size / 2 : size;
        for (size_t at = 0; at < kept; at++)
            assert(blocks[i][at] == (i & 127));
        errno = 42;
        free(blocks[i]);
        assert(errno == 42);
    }
}

static void free_what_is_none(const char *address)
{
    static long in_data[8] __attribute__((aligned(16)));
    long on_stack[8] __attribute__((aligned(16))) = {0};
    in_data[1] = on_stack[1] = 0x31; /* a header, but no chunk behind it */
    void *none = (void *)(uintptr_t)0x123450;
    if (strcmp(address, "static") == 0)
        none = in_data + 2;
    else if (strcmp(address, "stack") == 0)
        none = on_stack + 2;
    else if (strcmp(address, "mapping") == 0)
        none = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*release)(void *) = free;
    release(none);
}

int main(int argc, char **argv)
{
    behind_malloc = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "behind_malloc");
    behind_memalign = (void *(*)(size_t, size_t))dlsym(RTLD_DEFAULT, "behind_memalign");
    behind_in_use = (size_t(*)(void))dlsym(RTLD_DEFAULT, "behind_in_use");
    assert(behind_malloc != NULL && behind_memalign != NULL && behind_in_use != NULL);
    if (argc > 1) {
        assert(behind_malloc(16) != NULL);
        free_what_is_none(argv[1]);
        return 0;
    }
    static char *blocks[BLOCKS];
    fill(blocks);
    size_t full = behind_in_use();
    assert(full > 100000); /* they are libc's */
    end(blocks);
    /* What glibc keeps in its thread cache counts as in use. */
    assert(behind_in_use() < full / 2);

    pthread_t thread;
    assert(pthread_create(&thread, NULL, fill_in_thread, blocks) == 0);
    pthread_join(thread, NULL);
    end(blocks);
    assert(behind_in_use() < full / 2);
    puts("ok");
    return 0;
}
