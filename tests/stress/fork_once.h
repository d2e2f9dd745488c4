/* fork_once.h: one fork whose child allocates, for programs that fork while other threads are at
 * work. */
#ifndef TIDEMARK_TESTS_STRESS_FORK_ONCE_H
#define TIDEMARK_TESTS_STRESS_FORK_ONCE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* True if the child could allocate and free, and ended well. */
static inline bool fork_once(void)
{
    pid_t child = fork();
    if (child == 0) {
        char *block = malloc(1000);
        memset(block, 1, 1000);
        free(block);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

#endif
