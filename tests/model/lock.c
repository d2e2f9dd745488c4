/* lock.c: models of allocator/lock.c: mutual exclusion, no lost wake-up, and the thread that passes
 * through while it forks.
 */
#include "allocator/lock.h"

#include "tests/model/model.h"

static struct tm_lock lock, other;
static unsigned entered; /* plain: an overlap is a race, and a lost one is missed in the sum */

static void enter(int thread)
{
    (void)thread;
    tm_lock(&lock);
    entered++;
    tm_unlock(&lock);
}

static void enter_twice(int thread)
{
    enter(thread);
    enter(thread);
}

static void all_entered(void)
{
    model_assert(lock.word == 0);
    model_assert(entered == 3);
}

static void all_entered_twice(void)
{
    model_assert(lock.word == 0);
    model_assert(entered == 4);
}

/* Thread 1 holds both locks, as fork.c does, and takes and leaves them once more meanwhile, as the
 * fork handlers of others do that allocate. */
static void fork_or_enter(int thread)
{
    if (thread != 1) {
        enter(thread);
        return;
    }
    tm_lock(&other);
    tm_lock(&lock);
    tm_lock_all_taken();
    entered++;
    tm_lock(&lock);
    tm_lock(&other);
    tm_unlock(&other);
    tm_unlock(&lock);
    model_assert(lock.word != 0 && other.word != 0);
    entered++; /* still alone: a race if it is not */
    tm_lock_all_over();
    tm_unlock(&lock);
    tm_unlock(&other);
}

static void all_entered_and_forked(void)
{
    model_assert(lock.word == 0 && other.word == 0);
    model_assert(entered == 4);
}

static void try_or_enter(int thread)
{
    if (thread != 1 || !tm_lock_try(&lock)) {
        enter(thread);
        return;
    }
    entered++;
    tm_unlock(&lock);
}

int main(int argc, char **argv)
{
    static const struct model_scenario scenarios[] = {
        {"three-threads", 3, NULL, enter, NULL, all_entered, 4, 2, false},
        {"twice", 2, NULL, enter_twice, NULL, all_entered_twice, 5, 2, false},
        {"passing-through", 3, NULL, fork_or_enter, NULL, all_entered_and_forked, 2, 1, false},
        {"try", 3, NULL, try_or_enter, NULL, all_entered, 4, 1, false},
    };
    return model_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
