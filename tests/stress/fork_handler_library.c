/* fork_handler_library.c: a library as there are many: a lock, handlers that hold it during a fork,
 * and requests made under it. */
#include <pthread.h>
#include <stdlib.h>

void fork_handler_work(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before(void)
{
    pthread_mutex_lock(&lock);
}

static void after(void)
{
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(before, after, after);
}

void fork_handler_work(void)
{
    void *blocks[50];
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 50; i++)
        blocks[i] = malloc(40000);
    for (int i = 0; i < 50; i++)
        free(blocks[i]);
    pthread_mutex_unlock(&lock);
}
