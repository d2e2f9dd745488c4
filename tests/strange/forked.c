/* forked.c: threads that end with values of more keys than libc keeps in the thread itself, and
 * children forked meanwhile that make threads, too. glibc frees a thread's values and forgets them
 * only then: a child that was forked in between frees them again, and writes into them before. Its
 * own malloc notices neither as a rule. Ends with "ok" if all children did well.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 100, THREADS = 4, ROUNDS = 4, FORKS = 300, BLOCKS = 200, BLOCK = 512 };

static pthread_key_t keys[KEYS];

static void *set_all(void *value)
{
    for (int i = 0; i < KEYS; i++)
        if (pthread_setspecific(keys[i], value) != 0)
            abort();
    return NULL;
}

static void make_threads(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, set_all, &threads[0]) != 0)
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void *make_threads_for_ever(void *nothing)
{
    for (;;)
        make_threads();
    return nothing;
}

static void in_child(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        void *blocks[BLOCKS];
        make_threads();
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = malloc(BLOCK);
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    _exit(0);
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < KEYS; i++)
        if (pthread_key_create(&keys[i], NULL) != 0)
            abort();
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread, NULL, make_threads_for_ever, NULL) != 0)
            abort();
    for (int i = 0; i < FORKS; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            in_child();
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("child %d: status %x\n", i, (unsigned)status);
            return 1;
        }
    }
    puts("ok");
    fflush(stdout);
    _exit(0);
}
