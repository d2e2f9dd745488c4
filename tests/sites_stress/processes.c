/* processes.c: forks from several threads at once, of which the children record, take snapshots and
 * end; vfork, exec and posix_spawn; a fork in a signal handler; a program that becomes a daemon and
 * closes every descriptor there is. The children find the descriptors that they would find, no lock
 * is held by a thread that they do not have, and nobody writes where the program does not expect
 * it.
 */
#include "tests/sites_stress/stress.h"

#include <spawn.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { THREADS = 4, LOOPS_MS = 1200, DESCRIPTORS = 64 };

extern char **environ;

static atomic_bool stop;

static uint64_t open_descriptors(void)
{
    uint64_t mask = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        mask |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
    return mask;
}

/* Another stack for each depth and place. */
__attribute__((noinline)) static void allocate_from(unsigned depth, unsigned place)
{
    char between[16 + place % 67 * 16];
    opaque(between);
    if (depth == 0)
        allocate(1 + place % 3000);
    else
        allocate_from(depth - 1, place);
    opaque(between);
}

static void wait_for(pid_t child)
{
    int status = 0;
    pid_t waited;
    CHECK(child > 0);
    do
        waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    CHECK(waited == child);
    if (status != 0)
        fprintf(stderr, "a child ended with status %x\n", (unsigned)status);
    CHECK(status == 0);
}

static void *record_from_new_threads(void *nothing)
{
    allocate(100);
    return nothing;
}

/* ---- forks ---- */

/* What a child does: it allocates, from known stacks and from new ones, has a thread and libraries
 * of its own, and takes a snapshot. */
static void in_child(unsigned turn)
{
    pthread_t thread;
    alarm(HANGS_AFTER_SECONDS / 2);
    for (unsigned i = 0; i < 30; i++)
        allocate_from(i % 7, turn * 31 + i);
    if (turn % 3 == 0) {
        CHECK(pthread_create(&thread, NULL, record_from_new_threads, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    if (turn % 5 == 0) {
        void *library = dlopen("libm.so.6", RTLD_NOW);
        CHECK(library != NULL && dlclose(library) == 0);
    }
    if (turn % 11 == 0) {
        kill(getpid(), SIGUSR2);
        wait_settled(20000);
        CHECK(status_here()->failed == 0);
    }
    if (turn % 7 == 0) {
        pid_t child = fork();
        if (child == 0) {
            allocate_from(3, turn);
            _exit(0);
        }
        wait_for(child);
    }
    _exit(0);
}

static void *fork_and_allocate(void *number)
{
    unsigned turn = (unsigned)(uintptr_t)number * 1000;
    while (!atomic_load(&stop)) {
        for (unsigned i = 0; i < 20; i++)
            allocate_from(i % 9, turn + i);
        pid_t child = fork();
        if (child == 0)
            in_child(turn);
        wait_for(child);
        turn++;
    }
    return NULL;
}

static void run_threads(void *(*body)(void *), unsigned count)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    sleep_ms(LOOPS_MS);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void forks_from_threads(void)
{
    run_threads(fork_and_allocate, THREADS);
}

static void *churn_threads(void *nothing)
{
    while (!atomic_load(&stop)) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, record_from_new_threads, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return nothing;
}

/* Threads record for the first time while another forks and takes descriptors. */
static void descriptors_stay(void)
{
    pthread_t churning[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&churning[i], NULL, churn_threads, NULL) == 0);
    int expected = dup(0);
    close(expected);
    uint64_t before = open_descriptors();
    uint64_t end = now_ms() + LOOPS_MS;
    while (now_ms() < end) {
        for (int i = 0; i < 100; i++) {
            int fd = dup(0);
            CHECK(fd == expected);
            close(fd);
        }
        pid_t child = fork();
        if (child == 0)
            _exit(open_descriptors() == before ? 0 : 3);
        wait_for(child);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(churning[i], NULL) == 0);
}

/* ---- fork while recording begins ---- */

static void spin_us(uint64_t us)
{
    for (uint64_t end = now_ns() + us * 1000; now_ns() < end;)
        continue;
}

/* The unwinder is loaded by a thread, which the child does not have; it can open libraries all the
 * same, and gets an unwinder of its own. */
static void fork_while_unwinder_is_loaded(void)
{
    if (is_recording())
        return; /* it is loaded before main */
    for (unsigned i = 0; i < 150; i++) {
        pid_t starter = fork();
        CHECK(starter >= 0);
        if (starter == 0) {
            ask_for_sites(TM_REQUEST_SITES_ALL);
            allocate(100);
            spin_us(i * 20);
            pid_t child = fork();
            if (child == 0) {
                alarm(10);
                void *library = dlopen("libm.so.6", RTLD_NOW);
                CHECK(library != NULL && dlclose(library) == 0);
                for (unsigned wait = 0; status_here()->unwinder == 2 && wait < 5000; wait++) {
                    allocate(wait + 1);
                    sleep_ms(1);
                }
                CHECK(status_here()->unwinder != 2);
                allocate_from(5, i);
                _exit(0);
            }
            wait_for(child);
            _exit(0);
        }
        wait_for(starter);
    }
}

/* ---- a fork in a handler ---- */

static volatile sig_atomic_t handlers_run;

static void fork_in_handler(int number)
{
    int saved = errno;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    wait_for(child);
    handlers_run = handlers_run + 1;
    errno = saved;
    (void)number;
}

/* Another stack for each depth and place, one size. */
__attribute__((noinline)) static void allocate_same_from(unsigned depth, unsigned place)
{
    char between[16 + place % 67 * 16];
    opaque(between);
    if (depth == 0)
        allocate(64);
    else
        allocate_same_from(depth - 1, place);
    opaque(between);
}

/* As crash handlers and watchdogs do, while stacks are taken. Blocks of one size, some of which
 * stay, so that no pages are asked for or given back meanwhile: a fork that interrupts the
 * allocator while it holds the lock of its arenas waits for ever, whether or not anything is
 * recorded. */
static void forks_in_handler(void)
{
    enum { STAY = 200 };
    void *stay[STAY];
    struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 2000}, {0, 2000}};
    for (int i = 0; i < STAY; i++)
        CHECK((stay[i] = opaque(malloc(64))) != NULL);
    allocate_same_from(3, 1);
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    uint64_t end = now_ms() + LOOPS_MS;
    for (unsigned i = 0; now_ms() < end; i++)
        allocate_same_from(i % 300, i);
    memset(&timer, 0, sizeof timer);
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    CHECK(handlers_run > 0);
    for (int i = 0; i < STAY; i++)
        free(stay[i]);
}

/* ---- other programs ---- */

__attribute__((noinline)) static pid_t execute(char **arguments)
{
    pid_t child = vfork();
    if (child == 0) {
        execvp(arguments[0], arguments);
        _exit(127);
    }
    return child;
}

static void *spawn_and_allocate(void *number)
{
    for (unsigned turn = (unsigned)(uintptr_t)number; !atomic_load(&stop); turn++) {
        char *arguments[] = {"true", NULL};
        pid_t child = 0;
        allocate_from(turn % 11, turn);
        if (turn % 2 == 0)
            CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
        else
            child = execute(arguments);
        wait_for(child);
    }
    return NULL;
}

static void other_programs(void)
{
    run_threads(spawn_and_allocate, 2);
}

/* ---- daemons ---- */

/* Every descriptor is closed and used again, for a file that only the program writes to. */
static void descriptors_used_again(void)
{
    char path[] = "/tmp/tidemark-daemon-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    unlink(path);
    allocate_from(3, 4);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(setsid() >= 0);
        for (int fd = 0; fd < DESCRIPTORS; fd++)
            if (fd != file)
                close(fd);
        for (int fd = 0; fd < DESCRIPTORS; fd++)
            if (fd != file)
                CHECK(dup2(file, fd) == fd);
        for (unsigned i = 0; i < 2000; i++)
            allocate_from(i % 20, i);
        kill(getpid(), SIGUSR2);
        wait_settled(20000);
        ask_for_sites(TM_REQUEST_SITES_OFF);
        ask_for_sites(TM_REQUEST_SITES_ALL);
        for (unsigned i = 0; i < 2000; i++)
            allocate_from(i % 20, i + 1);
        for (int fd = 0; fd < DESCRIPTORS; fd++)
            CHECK(fcntl(fd, F_GETFD) >= 0);
        _exit(status_here()->failed == 0 ? 0 : 3);
    }
    wait_for(child);
    CHECK(lseek(file, 0, SEEK_END) == 0);
    close(file);
}

int main(int argc, char **argv)
{
    static const struct stress_case cases[] = {
        {"forks_from_threads", forks_from_threads},
        {"descriptors_stay", descriptors_stay},
        {"fork_while_unwinder_is_loaded", fork_while_unwinder_is_loaded},
        {"forks_in_handler", forks_in_handler},
        {"other_programs", other_programs},
        {"descriptors_used_again", descriptors_used_again},
    };
    return run_stress(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
