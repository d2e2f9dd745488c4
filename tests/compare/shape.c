/* shape.c: a program whose resident memory is known, for the tests of `tidemark compare`.
 *
 * usage: shape PLAN: steps, carried out in order:
 *   aN  allocate N MiB by one request and write to every page     f   free what was allocated last
 *   wN  wait N ms                                                  xN  exit with status N
 *   c   fork a child that carries out the rest of the plan; this process waits for it and exits
 *   d   like c, but this process exits at once: the child is an orphan
 *   vN  run a vfork child, which shares this process's memory, for N ms
 *   tN  fork a child that lives for N ms, and wait for it
 *   sN  die of signal N
 *   e   say "last words" on stderr
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 64 };

static void *blocks[BLOCKS];
static int count;

static void allocate(size_t mib)
{
    char *block = malloc(mib << 20);
    if (!block || count == BLOCKS)
        abort();
    for (size_t at = 0; at < mib << 20; at += 4096)
        *(volatile char *)(block + at) = 1;
    blocks[count++] = block;
}

static void wait_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void hand_to_child(int wait)
{
    pid_t child = fork();
    if (child == 0)
        return;
    int status = 0;
    if (child > 0 && wait)
        waitpid(child, &status, 0);
    _exit(child > 0 ? 0 : 1);
}

/* What a vfork child does here is more than POSIX allows and no more than Linux does: it waits and
 * exits. */
static void vfork_ms(long ms)
{
    pid_t child = vfork();
    if (child == 0) {
        wait_ms(ms);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
}

static void twin_ms(long ms)
{
    pid_t child = fork();
    if (child == 0) {
        wait_ms(ms);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
}

int main(int argc, char **argv)
{
    for (char *at = argc > 1 ? argv[1] : ""; *at;) {
        char step = *at++;
        long number = isdigit((unsigned char)*at) ? strtol(at, &at, 10) : 0;
        if (step == 'a')
            allocate((size_t)number);
        else if (step == 'f' && count > 0)
            free(blocks[--count]);
        else if (step == 'w')
            wait_ms(number);
        else if (step == 'x')
            return (int)number;
        else if (step == 'c' || step == 'd')
            hand_to_child(step == 'c');
        else if (step == 'v')
            vfork_ms(number);
        else if (step == 't')
            twin_ms(number);
        else if (step == 's')
            raise((int)number);
        else if (step == 'e')
            fputs("last words\n", stderr);
    }
    return 0;
}
