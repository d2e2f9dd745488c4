/* threads.c: threads come and go by the thousand, end with blocks that others free,
 * and free at the very end; the program ends, in each way that there is, while others record.
 */
#include "tests/sites_stress/stress.h"

#include <stdatomic.h>

enum { CHURN = 20000, GROWTH_LIMIT_KIB = 2048, ENDINGS = 40 };

static long resident_kib(void)
{
    long size = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%ld %ld", &size, &resident) == 2);
    fclose(statm);
    return resident * 4;
}

/* ---- churn ---- */

static void *allocate_and_leave(void *nothing)
{
    (void)nothing;
    void *block = malloc(100);
    free(opaque(block));
    return opaque(malloc(60)); /* whoever joins frees it */
}

static void churn_once(void)
{
    pthread_t thread;
    void *left = NULL;
    CHECK(pthread_create(&thread, NULL, allocate_and_leave, NULL) == 0);
    CHECK(pthread_join(thread, &left) == 0);
    free(left);
}

/* What is kept of a thread does not outlive it. */
static void churn(void)
{
    for (int i = 0; i < CHURN / 10; i++)
        churn_once();
    long before = resident_kib();
    for (int i = 0; i < CHURN; i++)
        churn_once();
    long grown = resident_kib() - before;
    if (grown > GROWTH_LIMIT_KIB)
        fprintf(stderr, "%ld KiB more after %d threads\n", grown, CHURN);
    CHECK(grown <= GROWTH_LIMIT_KIB);
}

/* ---- the last frees of a thread ---- */

static pthread_key_t key;

/* Again and again, as long as libc lets it: after the library was told of the thread's end, too. */
static void free_late(void *block)
{
    free(block);
    allocate_from_stack(4, 100);
    pthread_setspecific(key, opaque(malloc(40)));
}

static void *leave_to_destructors(void *nothing)
{
    pthread_setspecific(key, opaque(malloc(40)));
    allocate_from_stack(2, 10);
    return nothing;
}

static void late_frees(void)
{
    CHECK(pthread_key_create(&key, free_late) == 0);
    for (int i = 0; i < 2000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, leave_to_destructors, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

/* ---- the end of the program ---- */

static void *allocate_for_ever(void *number)
{
    for (unsigned i = (unsigned)(uintptr_t)number * 1000;; i++)
        allocate_from_stack(i % 13, i % 5003);
    return NULL;
}

static void allocate_at_exit(void)
{
    for (unsigned i = 0; i < 50; i++)
        allocate_from_stack(i % 7, i + 9000);
}

static void allocate_at_abort(int number)
{
    /* abort() raises it outside malloc. */
    allocate_from_stack(3, (unsigned)number);
    _exit(0);
}

/* In a child: threads that record, and one that ends it all. */
static void end_by(unsigned way, unsigned turn)
{
    pthread_t threads[3];
    CHECK(atexit(allocate_at_exit) == 0 && at_quick_exit(allocate_at_exit) == 0);
    signal(SIGABRT, allocate_at_abort);
    alarm(HANGS_AFTER_SECONDS / 2);
    for (uintptr_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_for_ever, (void *)i) == 0);
    struct timespec pause = {0, turn * 100000};
    nanosleep(&pause, NULL);
    switch (way) {
    case 0:
        exit(0);
    case 1:
        quick_exit(0);
    case 2:
        _exit(0);
    default:
        abort();
    }
}

static void endings(void)
{
    for (unsigned turn = 0; turn < ENDINGS; turn++) {
        int status = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            end_by(turn % 4, turn);
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0)
            fprintf(stderr, "ending %u: status %x\n", turn % 4, (unsigned)status);
    }
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"churn", churn},
        {"late_frees", late_frees},
        {"endings", endings},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
