/* schedule.c: the threads of a scenario and all their schedules, for the model checker; see
 * model.h.
 *
 * A thread is a coroutine on a stack of its own. So that thread-local variables and the thread
 * pointer are those of a thread, each borrows the thread pointer of a thread of libc's that was
 * started for that and sleeps for ever.
 *
 * A schedule is the list of what was chosen where there was more than one way to go on. The next
 * one has the same choices but the last that has another way left (stateless search, as in
 * Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded
 * programs", 2007). It begins where all the others did: grains.c undoes what the last one wrote.
 */
#include "tests/model/inner.h"

#include <asm/prctl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_BYTES = 128 * 1024, CHOICES = 4096, NOTES = 4096 };

enum state { GONE, READY, SLEEPING, WAITING };

static struct thread {
    void *pointer; /* the thread pointer that it borrows */
    enum state state;
    const _Atomic int *waits_for; /* the word, while it is WAITING */
    bool started;
    void (*run)(int thread);
    jmp_buf context;
} threads[WITH_MAIN];
static char stacks[WITH_MAIN][STACK_BYTES] __attribute__((aligned(64)));

int self;
bool exploring, logging;
const struct model_scenario *scenario;

static struct {
    uint16_t taken, ways;
} trail[CHOICES];
static unsigned trail_length, trail_at;
static int switches, old_loads; /* so many in this schedule */
static bool again;

static struct {
    const char *what;
    const void *address, *pc;
    uint64_t value;
    int thread;
} notes[NOTES];
static unsigned noted;

/* ---- threads ---- */

bool on_stacks(const void *address)
{
    return (uintptr_t)address - (uintptr_t)stacks < sizeof stacks;
}

int model_self(void)
{
    return self;
}

unsigned model_time(void)
{
    return noted;
}

static void *lend(void *thread)
{
    __atomic_store_n(&((struct thread *)thread)->pointer, __builtin_thread_pointer(),
                     __ATOMIC_RELEASE);
    for (;;)
        pause();
    return NULL;
}

static void borrow_pointers(void)
{
    threads[0].pointer = __builtin_thread_pointer();
    for (int i = 1; i < WITH_MAIN; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, lend, &threads[i]) != 0)
            model_fail("no thread can be made");
        while (__atomic_load_n(&threads[i].pointer, __ATOMIC_ACQUIRE) == NULL)
            usleep(100);
    }
}

static void set_thread_pointer(void *pointer)
{
    long result = SYS_arch_prctl;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)ARCH_SET_FS), "S"(pointer)
                     : "rcx", "r11", "memory");
}

static void first_steps(void)
{
    threads[self].run(self);
    model_end();
}

static void go_to(int thread)
{
    self = thread;
    set_thread_pointer(threads[thread].pointer);
    if (thread != 0 && !threads[thread].started) {
        static ucontext_t context;
        threads[thread].started = true;
        getcontext(&context);
        context.uc_stack.ss_sp = stacks[thread];
        context.uc_stack.ss_size = STACK_BYTES;
        context.uc_link = NULL;
        makecontext(&context, first_steps, 0);
        setcontext(&context);
    }
    _longjmp(threads[thread].context, 1);
}

/* Goes on with another thread, until somebody goes on with this one. */
static void switch_to(int thread)
{
    if (thread != self && _setjmp(threads[self].context) == 0)
        go_to(thread);
}

static void start(int thread, void (*run)(int thread))
{
    threads[thread].state = READY;
    threads[thread].started = false;
    threads[thread].run = run;
}

/* ---- choices ---- */

int choose(int ways)
{
    if (ways <= 1 || !exploring)
        return 0;
    if (trail_at == trail_length) {
        if (trail_length == CHOICES)
            model_fail("a schedule has more than %d choices: does a thread wait for ever?",
                       CHOICES);
        trail[trail_length].taken = 0;
        trail[trail_length++].ways = (uint16_t)ways;
    } else if (trail[trail_at].ways != ways) {
        model_fail("the same schedule went another way the second time: what decided that is not "
                   "under the model's control");
    }
    return trail[trail_at++].taken;
}

static bool next_schedule(void)
{
    for (; trail_length > 0; trail_length--)
        if (trail[trail_length - 1].taken + 1 < trail[trail_length - 1].ways) {
            trail[trail_length - 1].taken++;
            return true;
        }
    return false;
}

bool may_load_old(bool taken)
{
    old_loads += taken;
    return old_loads < scenario->old_loads;
}

void begin_again(void)
{
    again = true;
}

static int ready_others(int *others)
{
    int count = 0;
    for (int i = 1; i < WITH_MAIN; i++)
        if (i != self && threads[i].state == READY)
            others[count++] = i;
    return count;
}

void point(void)
{
    int others[WITH_MAIN];
    if (!exploring || switches >= scenario->switches)
        return;
    int way = choose(1 + ready_others(others));
    if (way == 0)
        return;
    switches++;
    switch_to(others[way - 1]);
}

void progress(void)
{
    for (int i = 1; i < WITH_MAIN; i++)
        if (threads[i].state == SLEEPING)
            threads[i].state = READY;
}

/* The calling thread cannot go on, or is at its end. */
static void leave(void)
{
    int others[WITH_MAIN];
    int count = ready_others(others);
    if (count == 0) {
        progress(); /* time passes */
        count = ready_others(others);
        if (threads[self].state == READY)
            return;
    }
    if (count == 0)
        for (int i = 1; i < WITH_MAIN; i++)
            if (threads[i].state == WAITING)
                model_fail("thread %d waits, and nobody is left to wake it", i);
    switch_to(count == 0 ? 0 : others[choose(count)]);
}

void model_end(void)
{
    threads[self].state = GONE;
    leave();
    abort(); /* nobody goes on with it */
}

void model_sleep(void)
{
    if (!exploring)
        return;
    note("sleeps", NULL, 0, __builtin_return_address(0));
    threads[self].state = SLEEPING;
    leave();
}

void model_wait(_Atomic int *word, int value)
{
    if (!exploring)
        model_fail("thread %d waits where no other runs", self);
    point();
    if (*(volatile int *)word != value)
        return;
    note("waits for", (const void *)word, (uint64_t)value, __builtin_return_address(0));
    threads[self].state = WAITING;
    threads[self].waits_for = word;
    leave();
}

void model_wake(_Atomic int *word, int count)
{
    point();
    while (count-- > 0) {
        int waiting[WITH_MAIN], found = 0;
        for (int i = 1; i < WITH_MAIN; i++)
            if (threads[i].state == WAITING && threads[i].waits_for == word)
                waiting[found++] = i;
        if (found == 0)
            return;
        int woken = waiting[choose(found)];
        threads[woken].state = READY;
        note("wakes", (const void *)word, (uint64_t)woken, __builtin_return_address(0));
    }
}

static void (*spawned[WITH_MAIN])(void);

static void run_spawned(int thread)
{
    spawned[thread]();
}

void model_spawn(void (*body)(void))
{
    int thread = scenario->threads + 1;
    while (thread < WITH_MAIN && threads[thread].state != GONE)
        thread++;
    if (thread == WITH_MAIN)
        model_fail("more than %d threads", MODEL_THREADS);
    spawned[thread] = body;
    memory_hand_over(self, thread);
    start(thread, run_spawned);
    note("starts a thread", NULL, (uint64_t)thread, __builtin_return_address(0));
}

void model_fork_child(void)
{
    for (int i = 1; i < WITH_MAIN; i++)
        if (i != self)
            threads[i].state = GONE;
    memory_as_copied();
    memory_alone();
    note("goes on as the child", NULL, 0, __builtin_return_address(0));
}

/* ---- failures ---- */

void note(const char *what, const void *address, uint64_t value, const void *pc)
{
    if (!exploring)
        return;
    unsigned at = noted++ % NOTES;
    notes[at].what = what;
    notes[at].address = address;
    notes[at].value = value;
    notes[at].pc = pc;
    notes[at].thread = self;
}

extern char __executable_start[];

/* "function at file:line" of each note, by binutils; where it is not installed, numbers. */
static void say_notes(void)
{
    enum { LAST = 60 };
    unsigned first = noted > LAST ? noted - LAST : 0;
    for (unsigned i = first; i < noted; i++) {
        char command[256], line[256] = "?";
        snprintf(command, sizeof command,
                 "addr2line -s -f -p -e /proc/%d/exe %#" PRIxPTR " 2>/dev/null", (int)getpid(),
                 (uintptr_t)notes[i % NOTES].pc - (uintptr_t)__executable_start - 1);
        FILE *output = popen(command, "r");
        if (output != NULL && fgets(line, sizeof line, output) != NULL)
            line[strcspn(line, "\n")] = '\0';
        if (output != NULL)
            pclose(output);
        fprintf(stderr, "%*s%d %s %p: %#" PRIx64 "   %s\n", 4 * notes[i % NOTES].thread, "",
                notes[i % NOTES].thread, notes[i % NOTES].what, notes[i % NOTES].address,
                notes[i % NOTES].value, line);
    }
}

void model_fail(const char *format, ...)
{
    va_list arguments;
    set_thread_pointer(threads[0].pointer);
    exploring = logging = false;
    fflush(stdout);
    fprintf(stderr, "%s: ", scenario == NULL ? "model" : scenario->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; the schedule, in its order:\n");
    say_notes();
    _exit(1);
}

/* ---- all of it ---- */

/* Each in turn, to its end. */
static void run_alone(void (*run)(int thread))
{
    for (int i = 1; run != NULL && i <= scenario->threads; i++) {
        start(i, run);
        switch_to(i);
    }
}

static void run_schedule(void)
{
    trail_at = noted = 0;
    switches = old_loads = 0;
    memory_begin();
    logging = true;
    for (int i = 1; i <= scenario->threads; i++)
        start(i, scenario->body);
    exploring = true;
    leave();
    exploring = false;
    memory_join();
    run_alone(scenario->finish);
    if (scenario->check != NULL)
        scenario->check();
    logging = false;
    memory_undo();
}

unsigned long model_explore(const struct model_scenario *which)
{
    unsigned long count = 0;
    scenario = which;
    if (threads[0].pointer == NULL)
        borrow_pointers();
    run_alone(scenario->setup);
    do {
        again = false;
        run_schedule();
        count++;
        if (again)
            trail_length = 0;
    } while (again || next_schedule());
    return count;
}

int model_main(const struct model_scenario *scenarios, size_t count, int argc, char **argv)
{
    int explored = 0;
    for (size_t i = 0; i < count; i++) {
        bool wanted = argc == 1;
        for (int j = 1; j < argc; j++)
            wanted = wanted || strcmp(argv[j], scenarios[i].name) == 0;
        if (!wanted)
            continue;
        /* Each in a process of its own: they begin with the same memory. */
        fflush(stdout);
        pid_t child = fork();
        int status = 1;
        if (child == 0) {
            printf("%-28s %8lu schedules\n", scenarios[i].name, model_explore(&scenarios[i]));
            exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            return 1;
        explored++;
    }
    if (explored == 0)
        fprintf(stderr, "%s: no such scenario\n", argv[0]);
    return explored == 0;
}
