/* processes.c: children of every kind, made while other threads do what they do. Each looks at what
 * it inherited, does the same as its parent for a while, and ends with a status that its parent
 * knows before: by exit with and without threads that go on, by a signal, by executing this program
 * again.
 */
#include "tests/torture/torture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    CHILDREN_MOST = 6, /* of one process at one time */
    DEPTH_MOST = 2,
};

enum ending {
    ENDS_AT_ONCE,
    ENDS_WITH_THREADS,
    ENDS_BY_EXIT,
    ENDS_BY_EXIT_WITH_THREADS,
    ENDS_BY_QUICK_EXIT,
    ENDS_BY_SIGNAL,
    ENDS_BY_EXEC,
    ENDS_BY_EXEC_OF_A_THREAD,
    ENDS_BY_ANOTHER_THREAD,
    ENDINGS
};

static atomic_int children;

/* What a child is to do, decided before it is made. Static in the child, as the thread that forked
 * may end before the others. */
struct plan {
    enum ending ending;
    bool quiet; /* the loader was at rest: it may use it */
    int status; /* as waitpid will tell */
    int number; /* of the exit, or signal */
    uint64_t seed;
};

void wait_for(pid_t child, int expected, const char *what)
{
    int status = 0;
    pid_t waited;
    do
        waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited != child)
        FAIL("waitpid(%d): %s", (int)child, strerror(errno));
    if (status != expected)
        FAIL("a child (%s, %d) ended with status 0x%x, not 0x%x", what, (int)child,
             (unsigned)status, (unsigned)expected);
}

/* ---- this program again ---- */

struct command {
    char seed[32], status[16];
    char *arguments[5];
};

static void make_command(struct command *command, uint64_t leaf_seed, int status)
{
    snprintf(command->seed, sizeof command->seed, "%llu", (unsigned long long)leaf_seed);
    snprintf(command->status, sizeof command->status, "%d", status);
    command->arguments[0] = (char *)(uintptr_t)program_path;
    command->arguments[1] = (char *)(uintptr_t) "--leaf";
    command->arguments[2] = command->seed;
    command->arguments[3] = command->status;
    command->arguments[4] = NULL;
}

/* Its signals are blocked until it has a handler. */
static void execute(uint64_t leaf_seed, int status)
{
    struct command command = {0};
    make_command(&command, leaf_seed, status);
    signals_block_requests(true);
    execv(program_path, command.arguments);
    FAIL("execv(%s): %s", program_path, strerror(errno));
}

static void *work_in_leaf(void *context)
{
    struct own *own = context;
    signals_thread();
    for (int i = 0; i < 10; i++)
        churn(own, 30);
    return NULL;
}

int leaf(uint64_t leaf_seed, int status)
{
    static struct own own, other;
    pthread_t thread;
    own.chance.state = leaf_seed;
    other.chance.state = ~leaf_seed;
    threads_start();
    signals_start(false);
    signals_block_requests(false);
    CHECK(pthread_create(&thread, NULL, work_in_leaf, &other) == 0);
    for (int i = 0; i < 10; i++)
        churn(&own, 30);
    use_thread(&own);
    use_signals(&own);
    CHECK(pthread_join(thread, NULL) == 0);
    release_all(&own);
    release_all(&other);
    check_shared();
    return status;
}

/* ---- in the child ---- */

static struct plan child_plan;

static void *exec_in_thread(void *nothing)
{
    execute(child_plan.seed, child_plan.number);
    return nothing;
}

static void *exit_in_thread(void *nothing)
{
    (void)nothing;
    sleep_us(500);
    exit(child_plan.number);
}

static void end_child(struct own *own, const struct plan *plan)
{
    pthread_t thread;
    switch (plan->ending) {
    case ENDS_AT_ONCE:
        _exit(plan->number);
    case ENDS_WITH_THREADS:
        leave_threads(own, 2);
        _exit(plan->number);
    case ENDS_BY_EXIT:
        exit(plan->number);
    case ENDS_BY_EXIT_WITH_THREADS:
        leave_threads(own, 2);
        exit(plan->number);
    case ENDS_BY_QUICK_EXIT:
        quick_exit(plan->number);
    case ENDS_BY_SIGNAL:
        leave_threads(own, 1);
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    case ENDS_BY_EXEC:
        execute(plan->seed, plan->number);
        break;
    case ENDS_BY_EXEC_OF_A_THREAD:
        leave_threads(own, 2);
        CHECK(pthread_create(&thread, NULL, exec_in_thread, NULL) == 0);
        for (;;)
            churn(own, 20);
    default:
        CHECK(pthread_create(&thread, NULL, exit_in_thread, NULL) == 0);
        pthread_exit(NULL);
    }
}

__attribute__((noreturn)) static void in_child(struct own *own, unsigned depth,
                                               const struct plan *plan)
{
    atomic_store(&children, 0);
    if (plan->quiet)
        loader_child();
    /* The blocks of the thread that forked are as they were, and those that nobody had in hand. */
    check_all(own);
    check_shared();
    own->chance.state = plan->seed;
    for (unsigned steps = below(&own->chance, 6); steps > 0; steps--)
        step(own, depth + 1, plan->quiet);
    churn(own, 100);
    if (below(&own->chance, 4) == 0)
        signals_settle();
    release_all(own);
    child_plan = *plan;
    end_child(own, &child_plan);
    abort();
}

/* ---- in the parent ---- */

/* What was forked while the loader was at work has it as it was: no child of it may use it, nor
 * make a thread: glibc (2.36) frees a thread's copy of thread-local storage and forgets it only
 * then, so that a child that was forked in between frees it again when it uses that thread's stack.
 */
static struct plan make_plan(struct chance *chance, bool may_load)
{
    struct plan plan = {
        .ending = (enum ending)below(chance, ENDINGS),
        .number = 10 + (int)below(chance, 100),
        .quiet = may_load && below(chance, 2) == 0,
        .seed = draw(chance),
    };
    /* What exit runs is in a list whose lock the loader holds as well. */
    bool by_exit = plan.ending == ENDS_BY_EXIT || plan.ending == ENDS_BY_EXIT_WITH_THREADS ||
                   plan.ending == ENDS_BY_QUICK_EXIT || plan.ending == ENDS_BY_ANOTHER_THREAD;
    bool with_threads = plan.ending == ENDS_WITH_THREADS || plan.ending == ENDS_BY_SIGNAL ||
                        plan.ending == ENDS_BY_EXEC_OF_A_THREAD;
    if ((by_exit || with_threads) && !may_load)
        plan.ending = below(chance, 2) == 0 ? ENDS_AT_ONCE : ENDS_BY_EXEC;
    else if (by_exit || with_threads)
        plan.quiet = true;
    plan.status = plan.number << 8;
    if (plan.ending == ENDS_BY_SIGNAL)
        plan.status = plan.number = SIGKILL;
    return plan;
}

static void count_ending(enum ending ending)
{
    if (ending == ENDS_BY_EXEC || ending == ENDS_BY_EXEC_OF_A_THREAD)
        count(COUNT_EXECS);
    else if (ending == ENDS_BY_SIGNAL)
        count(COUNT_KILLED);
    else if (ending == ENDS_BY_EXIT_WITH_THREADS)
        count(COUNT_EXITS_WITH_THREADS);
}

void use_fork(struct own *own, unsigned depth, bool may_load)
{
    static const char *const names[ENDINGS] = {
        "_exit",
        "_exit with threads",
        "exit",
        "exit with threads",
        "quick_exit",
        "SIGKILL",
        "exec",
        "exec from a thread",
        "exit by another thread",
    };
    if (depth >= DEPTH_MOST)
        return;
    if (atomic_fetch_add(&children, 1) >= CHILDREN_MOST) {
        atomic_fetch_sub(&children, 1);
        return;
    }
    struct plan plan = make_plan(&own->chance, may_load);
    if (plan.quiet)
        loader_quiet();
    pid_t child = fork();
    int error = errno;
    if (child == 0)
        in_child(own, depth, &plan);
    if (plan.quiet)
        loader_loud();
    if (child < 0)
        FAIL("fork: %s", strerror(error));
    churn(own, 30);
    wait_for(child, plan.status, names[plan.ending]);
    count(depth == 0 ? COUNT_FORKS : COUNT_FORKS_IN_CHILDREN);
    count_ending(plan.ending);
    atomic_fetch_sub(&children, 1);
}

void use_spawn(struct own *own)
{
    struct command command = {0};
    pid_t child = -1;
    int status = 10 + (int)below(&own->chance, 100);
    make_command(&command, draw(&own->chance), status);
    signals_block_requests(true);
    if (below(&own->chance, 2) == 0) {
        CHECK(posix_spawn(&child, program_path, NULL, NULL, command.arguments, environ) == 0);
    } else {
        child = vfork();
        if (child == 0) {
            execv(program_path, command.arguments);
            _exit(127);
        }
    }
    signals_block_requests(false);
    CHECK(child > 0);
    churn(own, 30);
    wait_for(child, status << 8, "vfork or posix_spawn");
    count(COUNT_SPAWNS);
}
