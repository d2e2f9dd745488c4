/* vfork.c: children that run on their parent's memory, from several threads at once: they allocate
 * and free there, execute something, or end. posix_spawn, popen and system make such children, too.
 */
#include "churn.h"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 30, STACK = 256 << 10 };

extern char **environ;

static void wait_for(pid_t child, int expected)
{
    int status;
    pid_t ended;
    assert(child > 0);
    do
        ended = waitpid(child, &status, 0);
    while (ended == -1);
    assert(WIFEXITED(status) && WEXITSTATUS(status) == expected);
}

static void *volatile from_child[16];

static int child_work(void *slot)
{
    void *volatile *kept = slot;
    for (int i = 1; i < 200; i++) {
        void *block = malloc((size_t)i * 50);
        memset(block, 1, (size_t)i * 50);
        free(block);
    }
    *kept = malloc(10000); /* its parent frees it */
    return 7;
}

static void *make_children(void *number)
{
    void *volatile *slot = &from_child[(uintptr_t)number];
    char *const command[] = {"true", NULL};
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(child_work((void *)slot));
        wait_for(child, 7);
        free(*slot);

        child = vfork();
        if (child == 0) {
            void *block = malloc(100);
            execve("/bin/true", command, environ);
            free(block);
            _exit(1);
        }
        wait_for(child, 0);

        assert(posix_spawn(&child, "/bin/true", NULL, NULL, command, environ) == 0);
        wait_for(child, 0);

        char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        child = clone(child_work, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)slot);
        wait_for(child, 7);
        munmap(stack, STACK);
        free(*slot);
    }
    return NULL;
}

int main(void)
{
    pthread_t makers[2];
    for (uintptr_t i = 0; i < 2; i++)
        assert(pthread_create(&makers[i], NULL, make_children, (void *)i) == 0);
    churn_all(20000);
    for (int i = 0; i < 2; i++)
        pthread_join(makers[i], NULL);
    char text[8] = "";
    FILE *pipe = popen("echo piped", "r");
    assert(pipe != NULL && fgets(text, sizeof text, pipe) != NULL);
    assert(strncmp(text, "piped", 5) == 0 && pclose(pipe) == 0 && system("exit 3") == 3 << 8);
    pid_t child = fork();
    if (child == 0) {
        churn_all(1000);
        _exit(0);
    }
    wait_for(child, 0);
    puts("ok");
    return 0;
}
