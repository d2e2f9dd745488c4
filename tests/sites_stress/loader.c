/* loader.c: the loader's lock and recording. Unwinding is what makes profilers hang: it wants the
 * loader's lock, which a thread holds that waits for something that the allocating thread has. The
 * first cases prove that no such wait is possible: while one thread holds the loader's lock, in a
 * constructor, in a destructor, and in a callback of dl_iterate_phdr, another allocates from stacks
 * that were never seen, and must be done before the first goes on. The others do all of that at
 * once for some seconds.
 */
#include "tests/sites_stress/stress.h"

#include <link.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { NEW_STACKS = 500, LOOPS_MS = 1200 };

void plugin_comes(void);
void plugin_goes(void);
typedef void *plugin_work_fn(size_t size);
typedef int thrower_work_fn(int depth);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void (*coming)(void), (*going)(void); /* what the plugin's constructor and destructor do */
static atomic_bool stop;

void plugin_comes(void)
{
    if (coming != NULL)
        coming();
}

void plugin_goes(void)
{
    if (going != NULL)
        going();
}

/* Each count of frames between is another stack; they are never the same twice, as `place` moves
 * all by some words. */
__attribute__((noinline)) static void allocate_from(unsigned frames, unsigned place)
{
    char between[16 + 16 * (place % 61)];
    opaque(between);
    if (frames == 0)
        allocate(1 + place);
    else
        allocate_from(frames - 1, place);
    opaque(between);
}

static void allocate_from_new_stacks(void)
{
    static atomic_uint turn;
    for (unsigned i = 0; i < NEW_STACKS; i++) {
        unsigned place = atomic_fetch_add(&turn, 1);
        allocate_from(place % 23, place / 23);
    }
}

/* ---- one holds the lock, the other must get on ---- */

static sem_t held, done, opening;

static void *allocate_while_held(void *nothing)
{
    sem_wait(&held);
    allocate_from_new_stacks();
    sem_post(&done);
    return nothing;
}

/* Called under the loader's lock. */
static void let_the_other_allocate(void)
{
    struct timespec end;
    sem_post(&held);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += HANGS_AFTER_SECONDS / 2;
    int waited;
    do
        waited = sem_timedwait(&done, &end);
    while (waited != 0 && errno == EINTR);
    CHECK(waited == 0);
    allocate(100);
}

static void while_held(void (*hold)(void))
{
    pthread_t other;
    sem_init(&held, 0, 0);
    sem_init(&done, 0, 0);
    CHECK(pthread_create(&other, NULL, allocate_while_held, NULL) == 0);
    hold();
    CHECK(pthread_join(other, NULL) == 0);
}

static void open_and_close(void)
{
    void *plugin = dlopen(beside("libsites_plugin.so"), RTLD_NOW);
    CHECK(plugin != NULL);
    plugin_work_fn *work = (plugin_work_fn *)dlsym(plugin, "plugin_work");
    CHECK(work != NULL);
    free(work(200));
    CHECK(dlclose(plugin) == 0);
}

static void in_constructor(void)
{
    coming = let_the_other_allocate;
    while_held(open_and_close);
}

static void in_destructor(void)
{
    going = let_the_other_allocate;
    while_held(open_and_close);
}

static int on_object(struct dl_phdr_info *info, size_t size, void *first)
{
    (void)info, (void)size;
    if (*(bool *)first)
        let_the_other_allocate();
    *(bool *)first = false;
    return 0;
}

static void iterate(void)
{
    bool first = true;
    dl_iterate_phdr(on_object, &first);
    CHECK(!first);
}

static void in_iterate(void)
{
    while_held(iterate);
}

/* The same where recording begins under the lock: the unwinder is loaded by a thread that has to
 * wait for it, and only that thread does. */
static void start_and_let_the_other_allocate(void)
{
    ask_for_sites(TM_REQUEST_SITES_ALL);
    let_the_other_allocate();
    if (status_here()->unwinder == 2)
        CHECK(is_recording());
}

static void wait_for_the_unwinder(void)
{
    for (unsigned i = 0; i < 5000 && status_here()->unwinder == 2; i++) {
        allocate(100);
        sleep_ms(1);
    }
    CHECK(status_here()->unwinder != 2);
    allocate_from_new_stacks();
}

static void start_in_constructor(void)
{
    coming = start_and_let_the_other_allocate;
    while_held(open_and_close);
    wait_for_the_unwinder();
}

static int start_on_object(struct dl_phdr_info *info, size_t size, void *first)
{
    (void)info, (void)size;
    if (*(bool *)first) {
        sem_post(&opening);
        sleep_ms(100);
        start_and_let_the_other_allocate();
    }
    *(bool *)first = false;
    return 0;
}

static void *open_when_told(void *nothing)
{
    sem_wait(&opening);
    open_and_close();
    return nothing;
}

/* And a third opens a library: it has to wait for the lock of the list, with all others that the
 * loader has in its hands. */
static void start_in_iterate(void)
{
    bool first = true;
    pthread_t other, opener;
    sem_init(&opening, 0, 0);
    status_here(); /* dlsym, which in the callback would wait for whoever is in dlopen, and he for
                      it */
    sem_init(&held, 0, 0);
    sem_init(&done, 0, 0);
    CHECK(pthread_create(&other, NULL, allocate_while_held, NULL) == 0);
    CHECK(pthread_create(&opener, NULL, open_when_told, NULL) == 0);
    dl_iterate_phdr(start_on_object, &first);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(pthread_join(opener, NULL) == 0);
    wait_for_the_unwinder();
}

/* What failed is there to be asked for, whatever was allocated from meanwhile. */
static void error_stays(void)
{
    for (unsigned i = 0; i < 50; i++) {
        CHECK(dlsym(RTLD_DEFAULT, "a_name_that_nothing_has") == NULL);
        allocate_from(i % 23, i);
        const char *error = dlerror();
        CHECK(error != NULL && strstr(error, "a_name_that_nothing_has") != NULL);
        allocate_from(i % 23, i + 1000);
        CHECK(dlerror() == NULL);
    }
}

/* ---- all at once ---- */

static void under_mutex(void)
{
    pthread_mutex_lock(&mutex);
    allocate_from(3, (unsigned)now_ns() % 1000);
    pthread_mutex_unlock(&mutex);
}

static void *loop_plugin(void *nothing)
{
    while (!atomic_load(&stop))
        open_and_close();
    return nothing;
}

/* Threads that call it at the same time would only wait for each other's closing. */
static void *loop_thrower(void *nothing)
{
    while (!atomic_load(&stop)) {
        void *thrower = dlopen(beside("libsites_thrower.so"), RTLD_NOW);
        CHECK(thrower != NULL);
        thrower_work_fn *work = (thrower_work_fn *)dlsym(thrower, "thrower_work");
        CHECK(work != NULL);
        for (int depth = 0; depth < 20; depth++)
            CHECK(work(depth) == 30);
        CHECK(dlclose(thrower) == 0);
    }
    return nothing;
}

static void *loop_mutex(void *nothing)
{
    while (!atomic_load(&stop)) {
        under_mutex();
        allocate_from_new_stacks();
    }
    return nothing;
}

static int allocate_on_object(struct dl_phdr_info *info, size_t size, void *nothing)
{
    (void)info, (void)size, (void)nothing;
    under_mutex();
    return 0;
}

static void *loop_iterate(void *nothing)
{
    while (!atomic_load(&stop))
        dl_iterate_phdr(allocate_on_object, NULL);
    return nothing;
}

static void *loop_switch(void *nothing)
{
    while (!atomic_load(&stop)) {
        ask_for_sites(TM_REQUEST_SITES_ALL);
        sleep_ms(7);
        ask_for_sites(TM_REQUEST_SITES_OFF);
        sleep_ms(3);
    }
    return nothing;
}

static void run_loops(bool switching)
{
    void *(*const loops[])(void *) = {loop_plugin, loop_plugin,  loop_thrower,
                                      loop_mutex,  loop_iterate, loop_switch};
    size_t count = sizeof loops / sizeof loops[0] - !switching;
    pthread_t threads[sizeof loops / sizeof loops[0]];
    coming = going = under_mutex;
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, loops[i], NULL) == 0);
    sleep_ms(LOOPS_MS);
    atomic_store(&stop, true);
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void loops(void)
{
    run_loops(false);
}

static void loops_switched(void)
{
    run_loops(true);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"in_constructor", in_constructor},
        {"in_destructor", in_destructor},
        {"in_iterate", in_iterate},
        {"start_in_constructor", start_in_constructor},
        {"start_in_iterate", start_in_iterate},
        {"error_stays", error_stays},
        {"loops", loops},
        {"loops_switched", loops_switched},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
