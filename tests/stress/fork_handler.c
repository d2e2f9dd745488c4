/* fork_handler.c: forks while another thread allocates under a lock that a library holds during a
 * fork. With the allocator's locks taken before that one, the two wait for each other for ever. Run
 * preloaded.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
        pid_t child = fork();
        if (child == 0) {
            char *block = malloc(1000);
            memset(block, 1, 1000);
            free(block);
            _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    stop = true;
    pthread_join(thread, NULL);
    puts("fork_handler: ok");
    return 0;
}
