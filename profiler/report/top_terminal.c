/* top_terminal.c: the terminal of `tidemark top`: raw input, the other screen, its size, and the
 * way back on every exit: a return, a signal that ends the command, a stop (^Z) and a fault.
 *
 * Plain ANSI sequences and termios: everything that draws tables today understands the half a dozen
 * used here, and a library for terminals would be one more package on every machine of a fleet.
 */
#include "profiler/report/top.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The other screen, no cursor; and back. */
static const char ENTER[] = "\033[?1049h\033[?25l";
static const char LEAVE[] = "\033[?25h\033[?1049l";

static struct termios cooked;
static volatile sig_atomic_t begun, ended, changed;

static void say(const char *text, size_t size)
{
    ssize_t wrote = write(STDOUT_FILENO, text, size);
    (void)wrote; /* a terminal that is gone needs no more */
}

void tm_terminal_end(void)
{
    if (!begun)
        return;
    begun = 0;
    say(LEAVE, sizeof LEAVE - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &cooked);
}

static bool enter(void)
{
    struct termios raw = cooked;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0)
        return false;
    begun = 1;
    say(ENTER, sizeof ENTER - 1);
    return true;
}

static void on_end(int number)
{
    ended = number;
}

static void on_change(int number)
{
    (void)number;
    changed = 1;
}

/* A fault of the command's own: the default action once the terminal is as it was. */
static void on_fault(int number)
{
    tm_terminal_end();
    signal(number, SIG_DFL);
    raise(number);
}

/* ^Z: the shell gets its terminal back until SIGCONT. */
static void on_stop(int number)
{
    int saved = errno;
    (void)number;
    bool was = begun != 0;
    tm_terminal_end();
    raise(SIGSTOP);
    if (was)
        enter();
    changed = 1;
    errno = saved;
}

bool tm_terminal_begin(void)
{
    static const struct {
        int number;
        void (*handler)(int number);
    } handlers[] = {{SIGINT, on_end},    {SIGTERM, on_end},  {SIGHUP, on_end},
                    {SIGQUIT, on_end},   {SIGTSTP, on_stop}, {SIGWINCH, on_change},
                    {SIGSEGV, on_fault}, {SIGBUS, on_fault}, {SIGABRT, on_fault},
                    {SIGFPE, on_fault}};
    if (tcgetattr(STDIN_FILENO, &cooked) != 0)
        return false;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        struct sigaction action = {.sa_handler = handlers[i].handler};
        sigaction(handlers[i].number, &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    atexit(tm_terminal_end);
    return enter();
}

void tm_terminal_size(unsigned *columns, unsigned *lines)
{
    struct winsize size;
    *columns = 80;
    *lines = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 && size.ws_row != 0) {
        *columns = size.ws_col;
        *lines = size.ws_row;
    }
}

int tm_terminal_ended(void)
{
    return ended;
}

bool tm_terminal_changed(void)
{
    bool was = changed != 0;
    changed = 0;
    return was;
}

/* The next byte within so many milliseconds; -1: none; -2: there is no terminal any more. */
static int next_byte(int wait_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char byte;
    if (poll(&input, 1, wait_ms) <= 0)
        return -1;
    ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (got == 1)
        return byte;
    return (input.revents & POLLHUP) != 0 || (got < 0 && errno != EINTR && errno != EAGAIN) ? -2
                                                                                            : -1;
}

int tm_terminal_key(void)
{
    enum { ESCAPE = 27, SEQUENCE_MS = 25 };
    int byte = next_byte(0);
    if (byte == -2)
        return TM_KEY_GONE;
    if (byte < 0)
        return TM_KEY_NONE;
    if (byte != ESCAPE)
        return byte;
    int second = next_byte(SEQUENCE_MS);
    if (second != '[' && second != 'O')
        return ESCAPE;
    int last = next_byte(SEQUENCE_MS);
    while (last >= 0 && (last < '@' || last > '~')) /* parameters of a longer sequence */
        last = next_byte(SEQUENCE_MS);
    switch (last) {
    case 'A':
        return TM_KEY_UP;
    case 'B':
        return TM_KEY_DOWN;
    case 'C':
        return TM_KEY_RIGHT;
    case 'D':
        return TM_KEY_LEFT;
    default:
        return ESCAPE;
    }
}
