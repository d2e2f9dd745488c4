/* fork_handler.c: forks while another thread allocates under a lock that a library holds during a
 * fork. With the allocator's locks taken before that one, the two wait for each other for ever. Run
 * preloaded.
 */
#include "tests/stress/fork_once.h"

#include <pthread.h>
#include <stdio.h>

void fork_handler_work(void);

static _Atomic bool stop;

static void *worker(void *context)
{
    (void)context;
    while (!stop) {
        fork_handler_work();
        usleep(20);
    }
    return NULL;
}

int main(void)
{
    alarm(60);
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, NULL) != 0)
        return 1;
    for (int i = 0; i < 1000; i++) {
        if (!fork_once())
            return 1;
    }
    stop = true;
    pthread_join(thread, NULL);
    puts("fork_handler: ok");
    return 0;
}
