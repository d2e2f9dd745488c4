/* threads.c: threads that end in every way there is: they return, call pthread_exit, are cancelled
 * at a cancellation point or anywhere, are detached, or end by the system call, of which neither
 * libc nor the library hears. Each leaves work to a destructor of its own, which allocates and
 * comes back as often as libc lets it.
 */
#include "tests/torture/torture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum ending { RETURNS, EXITS, CANCELLED, CANCELLED_ANYWHERE, RAW, DETACHED, ENDINGS };

struct visit {
    struct own own;
    enum ending ending;
    atomic_bool ready; /* it may be cancelled */
};

static pthread_key_t late_key, own_key;

/* In every round of destructors, also after the library's last one. */
static void work_late(void *block)
{
    free(block);
    block = malloc(200);
    CHECK(block != NULL);
    memset(block, 3, 200);
    pthread_setspecific(late_key, block);
}

static void end_visit(void *context)
{
    struct visit *visit = context;
    release_all(&visit->own);
    free(visit);
}

/* ---- the bodies ---- */

static void leave_work(struct visit *visit)
{
    void *late = malloc(1 + below(&visit->own.chance, 500));
    CHECK(late != NULL && pthread_setspecific(late_key, late) == 0);
}

/* Whatever ends it. */
static void *visit_until_cancelled(void *context)
{
    struct visit *visit = context;
    int before;
    leave_work(visit);
    churn(&visit->own, 50);
    /* No request may be under way where a thread ends anywhere (see the README's limits): it holds
     * still. */
    if (visit->ending == CANCELLED_ANYWHERE) {
        volatile unsigned spins = 0;
        atomic_store(&visit->ready, true);
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
        for (;;)
            spins = spins + 1;
    }
    atomic_store(&visit->ready, true);
    for (;;) {
        churn(&visit->own, 5);
        pthread_testcancel();
        sleep_us(50);
    }
    return NULL;
}

static void *visit_and_end(void *context)
{
    struct visit *visit = context;
    signals_thread();
    leave_work(visit);
    for (unsigned i = below(&visit->own.chance, 4); i > 0; i--)
        churn(&visit->own, 40);
    void *result = malloc(100); /* whoever joins frees it */
    CHECK(result != NULL);
    switch (visit->ending) {
    case EXITS:
        pthread_setspecific(own_key, visit); /* freed by its destructor */
        pthread_exit(result);
    case RAW:
        /* Blocks stay with others, and the heap stays behind. */
        churn(&visit->own, 40);
        syscall(SYS_exit, 0);
        abort();
    case DETACHED:
        free(result);
        result = NULL;
        break;
    default:
        break;
    }
    if (visit->ending == DETACHED || below(&visit->own.chance, 2) == 0)
        end_visit(visit);
    else
        pthread_setspecific(own_key, visit);
    return result;
}

/* ---- those that start and end them ---- */

static void join(pthread_t thread, void **result)
{
    int error = pthread_join(thread, result);
    if (error != 0)
        FAIL("pthread_join: %s", strerror(error));
}

static void cancel(pthread_t thread, struct visit *visit)
{
    void *result = NULL;
    while (!atomic_load(&visit->ready))
        sched_yield();
    CHECK(pthread_cancel(thread) == 0);
    join(thread, &result);
    CHECK(result == PTHREAD_CANCELED);
    end_visit(visit);
}

/* Its visit may be gone by now. */
static void receive(pthread_t thread)
{
    void *result = NULL;
    join(thread, &result);
    free(result);
}

static int start(pthread_t *thread, bool detached, void *(*body)(void *), void *context)
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
    if (detached)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(thread, &attributes, body, context);
    pthread_attr_destroy(&attributes);
    return error;
}

void use_thread(struct own *own)
{
    static const enum kind kinds[ENDINGS] = {
        [RETURNS] = COUNT_JOINED,      [EXITS] = COUNT_PTHREAD_EXIT,
        [CANCELLED] = COUNT_CANCELLED, [CANCELLED_ANYWHERE] = COUNT_CANCELLED_ANYWHERE,
        [RAW] = COUNT_RAW_EXIT,        [DETACHED] = COUNT_DETACHED,
    };
    pthread_t thread;
    struct visit *visit = calloc(1, sizeof *visit);
    CHECK(visit != NULL);
    enum ending ending = (enum ending)below(&own->chance, ENDINGS);
    visit->own.chance.state = draw(&own->chance);
    visit->ending = ending;
    bool cancelled = ending == CANCELLED || ending == CANCELLED_ANYWHERE;
    int error = start(&thread, ending == DETACHED,
                      cancelled ? visit_until_cancelled : visit_and_end, visit);
    if (error != 0)
        FAIL("pthread_create: %s", strerror(error));
    churn(own, 20);
    if (cancelled) {
        cancel(thread, visit);
    } else if (ending == RAW) {
        join(thread, NULL);
        end_visit(visit);
    } else if (ending != DETACHED) {
        receive(thread);
    }
    count(kinds[ending]);
}

static void *stay(void *context)
{
    struct visit *visit = context;
    for (;;)
        churn(&visit->own, 20);
    return NULL;
}

void leave_threads(struct own *own, unsigned number)
{
    for (unsigned i = 0; i < number; i++) {
        pthread_t thread;
        struct visit *visit = calloc(1, sizeof *visit);
        CHECK(visit != NULL);
        visit->own.chance.state = draw(&own->chance);
        CHECK(start(&thread, true, stay, visit) == 0);
    }
    churn(own, 20);
}

void threads_start(void)
{
    CHECK(pthread_key_create(&late_key, work_late) == 0);
    CHECK(pthread_key_create(&own_key, end_visit) == 0);
}
