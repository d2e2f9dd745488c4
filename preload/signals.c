/* signals.c: owns the handler of the signal that asks for a snapshot, and notices when the program
 * takes that signal for itself.
 *
 * Why sigaction and signal are interposed: sending the signal to a program that has meanwhile put
 * its own handler there would make it do something else (nginx replaces its binary on SIGUSR2), so
 * the command must know before it sends. The kernel tells nobody whose handler is installed. The
 * two functions forward to libc and change one thing: where libc would hand out Tidemark's handler
 * as the old one, the program sees SIG_DFL, as if the library were not there. What the program
 * installs, SIG_DFL included, is installed: a program that resets the signal to die by it does die.
 * A handler that is installed past libc, by a system call of the program's own, is not noticed:
 * looking for one now and then would be a system call from inside malloc, which a strict seccomp
 * filter kills.
 */
#include "preload/signals.h"

#include "allocator/tidemark_alloc.h"
#include "preload/loading.h"
#include "profiler/format/snapshot.h"
#include "profiler/record/record.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define TM_EXPORT __attribute__((visibility("default")))

sighandler_t __sysv_signal(int signal_number, sighandler_t handler);

#ifdef __GLIBC__
/* libc's own names for what is interposed here. */
int libc_sigaction(int signal_number, const struct sigaction *action,
                   struct sigaction *old) __asm__("__sigaction");
sighandler_t libc_signal(int signal_number, sighandler_t handler) __asm__("ssignal");
#else
/* Another libc has no other names for them. */
static int libc_sigaction(int signal_number, const struct sigaction *action, struct sigaction *old)
{
    typedef int sigaction_fn(int, const struct sigaction *, struct sigaction *);
    static _Atomic(void *) next;
    return ((sigaction_fn *)tm_loading_next(&next, "sigaction"))(signal_number, action, old);
}

static sighandler_t libc_signal(int signal_number, sighandler_t handler)
{
    typedef sighandler_t signal_fn(int, sighandler_t);
    static _Atomic(void *) next;
    return ((signal_fn *)tm_loading_next(&next, "signal"))(signal_number, handler);
}
#endif

static void trim(void)
{
    int saved = errno;
    tm_trim_from_signal();
    errno = saved;
    __atomic_fetch_add(&tidemark_status.trims, 1, __ATOMIC_RELEASE);
}

/* A request that came with a value. */
static void on_value(int value)
{
    switch (value) {
    case TM_REQUEST_SNAPSHOT:
        tm_record_request();
        break;
    case TM_REQUEST_TRIM:
        trim();
        break;
    case TM_REQUEST_SITES_OFF:
        tm_record_sites(TM_SITES_OFF);
        break;
    case TM_REQUEST_SITES_SAMPLE:
        tm_record_sites(TM_SITES_SAMPLE);
        break;
    case TM_REQUEST_SITES_ALL:
        tm_record_sites(TM_SITES_ALL);
        break;
    default: /* the program's own business */
        break;
    }
}

static void on_signal(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)context;
    if (info->si_code == SI_USER || info->si_code == SI_TKILL)
        tm_record_request();
    else if (info->si_code == SI_QUEUE)
        on_value(info->si_value.sival_int);
}

/* The process whose handlers these are: a vfork child runs on its parent's memory. */
static pid_t process;

void tm_signals_start(int signal_number)
{
    struct sigaction action;
    struct sigaction old;
    process = getpid();
    if (signal_number == 0 || libc_sigaction(signal_number, NULL, &old) != 0)
        return;
    if ((old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL)
        return;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    /* All there are: sigfillset() leaves out libc's own, of which one ends a thread that may be
     * cancelled at any instruction, in the middle of a trim as well, whose locks would stay taken.
     */
    memset(&action.sa_mask, 0xff, sizeof action.sa_mask);
    if (libc_sigaction(signal_number, &action, NULL) == 0)
        __atomic_store_n(&tidemark_status.handler, 1, __ATOMIC_RELEASE);
}

/* Before a change, so that nobody who asks in between sends a signal that is the program's by then.
 * True if the signal was Tidemark's. */
static bool note_taken(int signal_number)
{
    if (signal_number != __atomic_load_n(&tidemark_status.signal, __ATOMIC_RELAXED) ||
        getpid() != process)
        return false;
    return __atomic_exchange_n(&tidemark_status.handler, 0, __ATOMIC_ACQ_REL) != 0;
}

/* sigaction() for the program: ours as the old handler is SIG_DFL, no flags, empty mask. */
static int change(int signal_number, const struct sigaction *action, struct sigaction *old)
{
    bool was_ours = action != NULL && note_taken(signal_number);
    int result = libc_sigaction(signal_number, action, old);
    if (result != 0 && was_ours)
        __atomic_store_n(&tidemark_status.handler, 1, __ATOMIC_RELEASE);
    if (result == 0 && old != NULL && (old->sa_flags & SA_SIGINFO) != 0 &&
        old->sa_sigaction == on_signal)
        memset(old, 0, sizeof *old);
    return result;
}

TM_EXPORT int sigaction(int signal_number, const struct sigaction *action, struct sigaction *old)
{
    return change(signal_number, action, old);
}

TM_EXPORT sighandler_t signal(int signal_number, sighandler_t handler)
{
    bool was_ours = note_taken(signal_number);
    sighandler_t old = libc_signal(signal_number, handler);
    if (old == SIG_ERR && was_ours)
        __atomic_store_n(&tidemark_status.handler, 1, __ATOMIC_RELEASE);
    return old == (sighandler_t)(void (*)(void))on_signal ? SIG_DFL : old;
}

/* What signal() is for a program built to the letter of X/Open: one shot, and not blocked in its
 * handler. */
TM_EXPORT sighandler_t __sysv_signal(int signal_number, sighandler_t handler)
{
    struct sigaction action, old;
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
    return change(signal_number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

TM_EXPORT __attribute__((alias("__sysv_signal"))) sighandler_t sysv_signal(int signal_number,
                                                                           sighandler_t handler);

void tm_signals_fork_child(void)
{
    process = getpid();
}
