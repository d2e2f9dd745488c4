/* fork_streams.c: forks while another thread flushes all streams, one of which allocates as it is
 * written to. fork takes libc's lock of all streams last; an allocator that is held up before that
 * deadlocks with it. Then many threads that never allocate: libc frees for them when they are gone,
 * and nothing may stay of that. Run preloaded.
 */
#include "tests/stress/fork_once.h"

#include <pthread.h>
#include <stdio.h>

static _Atomic bool stop;

static ssize_t write_and_allocate(void *cookie, const char *bytes, size_t size)
{
    (void)cookie, (void)bytes;
    void *blocks[20];
    for (int i = 0; i < 20; i++)
        blocks[i] = malloc(40000);
    for (int i = 0; i < 20; i++)
        free(blocks[i]);
    return (ssize_t)size;
}

static void *flush_all(void *context)
{
    FILE *stream = context;
    while (!stop) {
        fputs("something", stream);
        fflush(NULL);
        usleep(20);
    }
    return NULL;
}

static bool forks_with_streams(void)
{
    cookie_io_functions_t functions = {.write = write_and_allocate};
    FILE *stream = fopencookie(NULL, "w", functions);
    pthread_t thread;
    if (stream == NULL || pthread_create(&thread, NULL, flush_all, stream) != 0)
        return false;
    bool good = true;
    for (int i = 0; i < 500 && good; i++)
        good = fork_once();
    stop = true;
    pthread_join(thread, NULL);
    fclose(stream);
    return good;
}

static long resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (statm != NULL)
        fclose(statm);
    return resident;
}

static void *idle(void *context)
{
    usleep(1000);
    return context;
}

static void start_idle_threads(int batches)
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (int batch = 0; batch < batches; batch++) {
        for (int i = 0; i < 20; i++) {
            pthread_t thread;
            while (pthread_create(&thread, &detached, idle, NULL) != 0)
                usleep(1000);
        }
        usleep(3000);
    }
    pthread_attr_destroy(&detached);
}

int main(void)
{
    alarm(100);
    if (!forks_with_streams())
        return 1;
    start_idle_threads(20);
    long before = resident_pages();
    start_idle_threads(150);
    long grown = resident_pages() - before;
    printf("fork_streams: %ld pages more after 3000 threads\n", grown);
    return grown > 500;
}
