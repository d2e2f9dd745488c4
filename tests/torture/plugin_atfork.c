/* plugin_atfork.c: handlers for fork as other libraries have them: they allocate, under a lock of
 * their own, before the fork and after it on both sides.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 20, BYTES = 3000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *blocks[BLOCKS];

static void allocate(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BYTES * (i + 1));
        if (blocks[i] == NULL)
            abort();
        memset(blocks[i], (int)i, BYTES * (i + 1));
    }
}

static void release(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i][0] != i || blocks[i][BYTES * (i + 1) - 1] != i)
            abort();
        free(blocks[i]);
    }
}

static void before(void)
{
    pthread_mutex_lock(&lock);
    allocate();
}

static void after(void)
{
    release();
    allocate();
    release();
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(before, after, after);
}
