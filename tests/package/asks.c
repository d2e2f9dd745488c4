/* asks.c: a program that asks Tidemark from within, through tidemark.h alone; install_test.py
 * builds it outside of the source tree with what pkg-config says, and as C++, and runs it under the
 * library and without.
 *
 *   asks there          prints 1 or 0
 *   asks snapshot SIZE  prints the path, or the error's number; SIZE is the room for the path
 *   asks record SITES   the same for recording, then leaks 4 MiB in leak_here() and takes a
 * snapshot asks threads        eight threads take five snapshots each; prints how many succeeded
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidemark.h>

enum { THREADS = 8, EACH = 5, BLOCKS = 4096, BLOCK = 1024 };

void *leaked[BLOCKS];

__attribute__((noinline)) void leak_here(void)
{
    int i;
    for (i = 0; i < BLOCKS; i++) {
        leaked[i] = malloc(BLOCK);
        if (leaked[i] != NULL)
            memset(leaked[i], 1, BLOCK);
    }
}

static int snapshot(size_t size)
{
    char path[4096] = "";
    if (tidemark_snapshot(size > 0 ? path : NULL, size) != 0)
        printf("%s\n", strerror(errno));
    else
        printf("%s\n", size > 0 ? path : "done");
    return 0;
}

static void *take_some(void *count)
{
    int i;
    for (i = 0; i < EACH; i++)
        if (tidemark_snapshot(NULL, 0) == 0)
            ++*(int *)count;
    return NULL;
}

static int threads(void)
{
    pthread_t thread[THREADS];
    int counts[THREADS] = {0};
    int i, sum = 0;
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, take_some, &counts[i]) != 0)
            return 1;
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        sum += counts[i];
    }
    printf("%d\n", sum);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "there") == 0)
        return printf("%d\n", tidemark_is_there()) < 0;
    if (argc == 2 && strcmp(argv[1], "threads") == 0)
        return threads();
    if (argc == 3 && strcmp(argv[1], "snapshot") == 0)
        return snapshot((size_t)atoi(argv[2]));
    if (argc == 3 && strcmp(argv[1], "record") == 0) {
        if (tidemark_record(atoi(argv[2])) != 0) {
            printf("%s\n", strerror(errno));
            return 0;
        }
        leak_here();
        return snapshot(4096);
    }
    fprintf(stderr, "usage: %s there | snapshot SIZE | record SITES | threads\n", argv[0]);
    return 2;
}
