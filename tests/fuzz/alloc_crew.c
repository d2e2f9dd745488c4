/* alloc_crew.c: see alloc_crew.h. A turn is handed over by semaphores, which order all that both
 * sides do to memory. */
#include "tests/fuzz/alloc_crew.h"

#include "allocator/tidemark_alloc.h"
#include "tests/fuzz/fuzz.h"

#include <pthread.h>
#include <semaphore.h>

static struct member {
    pthread_t thread;
    bool runs;
    sem_t turn, done;
    void (*work)(void *context); /* NULL: it is to end */
    void *context;
} crew[CREW];

static void *live(void *argument)
{
    struct member *self = argument;
    for (;;) {
        while (sem_wait(&self->turn) != 0)
            ;
        if (self->work == NULL)
            break;
        self->work(self->context);
        sem_post(&self->done);
    }
    tm_thread_exit();
    return NULL;
}

static void start(struct member *member)
{
    sem_init(&member->turn, 0, 0);
    sem_init(&member->done, 0, 0);
    fuzz_promise(pthread_create(&member->thread, NULL, live, member) == 0, "threads can be made");
    member->runs = true;
}

void crew_run(unsigned number, void (*work)(void *context), void *context)
{
    struct member *member = &crew[number];
    if (!member->runs)
        start(member);
    member->work = work;
    member->context = context;
    sem_post(&member->turn);
    while (sem_wait(&member->done) != 0)
        ;
}

void crew_end(unsigned number)
{
    struct member *member = &crew[number];
    if (!member->runs)
        return;
    member->work = NULL;
    sem_post(&member->turn);
    pthread_join(member->thread, NULL);
    sem_destroy(&member->turn);
    sem_destroy(&member->done);
    member->runs = false;
}

bool crew_runs(unsigned number)
{
    return crew[number].runs;
}
