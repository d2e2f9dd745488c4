/* config.c: reads TIDEMARK=key=value,key=value. It runs in the constructor, before main and perhaps
 * before other libraries are ready, so it works in place on the environment's string and on memory
 * of its caller, and never allocates. A comma always ends a value: an out path cannot have one.
 */
#include "preload/config.h"

#include "profiler/record/text.h"

#include <signal.h>
#include <string.h>

enum {
    SIGNAL_FIRST_OF_LIBC = 32, /* 32 and 33 are glibc's own: thread cancellation and setuid */
    SIGNAL_LAST_OF_LIBC = 33,
    SIGNAL_LAST = 64,
};

static const uint64_t MILLISECOND = 1000000;
static const uint64_t TIMELINE_DEFAULT = 100; /* ms */
static const uint64_t TIMELINE_LONGEST =
    3600 * 1000; /* ms: longer than that is `off` in all but name */
static const char OUT_DEFAULT[] = "/tmp/tidemark.%e.%p.%n.heap";

/* A stretch of the variable. */
struct piece {
    const char *start, *end;
};

static size_t length_of(struct piece piece)
{
    return (size_t)(piece.end - piece.start);
}

static bool equals(struct piece piece, const char *word)
{
    return length_of(piece) == strlen(word) && memcmp(piece.start, word, length_of(piece)) == 0;
}

static bool takes(struct piece *piece, const char *prefix)
{
    size_t length = strlen(prefix);
    if (length_of(*piece) < length || memcmp(piece->start, prefix, length) != 0)
        return false;
    piece->start += length;
    return true;
}

/* The whole piece as a number. */
static bool is_number(struct piece piece, uint64_t *number)
{
    return tm_text_parse(&piece.start, piece.end, number) && piece.start == piece.end;
}

/* Signals that must stay what they are: they cannot be caught, or tell of a fault, or of a child.
 */
static bool may_ask(int number)
{
    static const int taken[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE,
                                SIGILL,  SIGTRAP, SIGSYS,  SIGABRT, SIGCHLD};
    if (number < 1 || number > SIGNAL_LAST ||
        (number >= SIGNAL_FIRST_OF_LIBC && number <= SIGNAL_LAST_OF_LIBC))
        return false;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (number == taken[i])
            return false;
    return true;
}

/* 0: none. -1: no signal, or one that may not be used. */
static int parse_signal(struct piece value)
{
    uint64_t number = 0;
    if (equals(value, "none") || equals(value, "0"))
        return 0;
    if (is_number(value, &number))
        return number <= SIGNAL_LAST && may_ask((int)number) ? (int)number : -1;
    takes(&value, "SIG");
    if (equals(value, "RTMIN"))
        return SIGRTMIN;
    if (equals(value, "RTMAX"))
        return SIGRTMAX;
    uint64_t range = (uint64_t)(SIGRTMAX - SIGRTMIN);
    if (takes(&value, "RTMIN+"))
        return is_number(value, &number) && number <= range ? SIGRTMIN + (int)number : -1;
    if (takes(&value, "RTMAX-"))
        return is_number(value, &number) && number <= range ? SIGRTMAX - (int)number : -1;
    for (int i = 1; i < SIGNAL_FIRST_OF_LIBC; i++) {
        const char *name = sigabbrev_np(i);
        if (name != NULL && equals(value, name))
            return may_ask(i) ? i : -1;
    }
    return -1;
}

static bool is_out_pattern(struct piece value)
{
    if (value.start == value.end || length_of(value) >= TM_OUT_BYTES || value.end[-1] == '/')
        return false;
    for (const char *p = value.start; p < value.end; p++)
        if (*p == '%') {
            p++;
            if (p == value.end || strchr("pne%", *p) == NULL)
                return false;
        }
    return true;
}

/* An interval in ms. */
static bool parse_interval(struct piece value, uint64_t *interval)
{
    uint64_t number = 0;
    if (equals(value, "off")) {
        *interval = 0;
        return true;
    }
    if (!tm_text_parse(&value.start, value.end, &number))
        return false;
    if (number == 0 && value.start == value.end) {
        *interval = 0;
        return true;
    }
    if (equals(value, "s") && number <= TIMELINE_LONGEST / 1000)
        number *= 1000;
    else if (!equals(value, "ms"))
        return false;
    if (number == 0 || number > TIMELINE_LONGEST)
        return false;
    *interval = number;
    return true;
}

static bool parse_retain(struct piece value, struct tm_config *config)
{
    uint64_t number = 0;
    unsigned shift = 0;
    if (!tm_text_parse(&value.start, value.end, &number))
        return false;
    if (equals(value, "%")) {
        if (number > 1000)
            return false;
        config->retain_percent = (unsigned)number;
        config->retain_bytes = 0;
        config->retain_set = true;
        return true;
    }
    if (equals(value, "K"))
        shift = 10;
    else if (equals(value, "M"))
        shift = 20;
    else if (equals(value, "G"))
        shift = 30;
    else if (value.start != value.end)
        return false;
    if (number > (uint64_t)PTRDIFF_MAX >> shift)
        return false;
    config->retain_bytes = (size_t)(number << shift);
    config->retain_percent = 0;
    config->retain_set = true;
    return true;
}

static bool parse_exit(struct piece value, enum tm_record_exit_kind *kind)
{
    if (equals(value, "none"))
        *kind = TM_EXIT_NONE;
    else if (equals(value, "summary"))
        *kind = TM_EXIT_SUMMARY;
    else if (equals(value, "snapshot"))
        *kind = TM_EXIT_SNAPSHOT;
    else
        return false;
    return true;
}

/* The configuration in force, as the snapshot's CONFIG section carries it. */
static void describe(struct tm_config *config, uint64_t interval)
{
    static const char *const exits[] = {"none", "summary", "snapshot"};
    struct tm_text text = tm_text_in(config->record.lines, sizeof config->record.lines);
    tm_text_add(&text, "signal=");
    if (config->record.signal == 0)
        tm_text_add(&text, "none");
    else
        tm_text_number(&text, (uint64_t)config->record.signal);
    tm_text_add(&text, "\nout=");
    tm_text_add(&text, config->record.out);
    tm_text_add(&text, "\nexit=");
    tm_text_add(&text, exits[config->record.exit_kind]);
    tm_text_add(&text, "\ntimeline=");
    tm_text_number(&text, interval);
    tm_text_add(&text, "ms\nretain=");
    if (!config->retain_set) {
        tm_text_add(&text, "default");
    } else if (config->retain_percent != 0) {
        tm_text_number(&text, config->retain_percent);
        tm_text_add(&text, "%");
    } else {
        tm_text_number(&text, config->retain_bytes);
    }
    tm_text_add(&text, "\n");
}

static void complain(struct piece key, struct piece value, const char *allowed)
{
    char memory[1024];
    struct tm_text text = tm_text_in(memory, sizeof memory);
    tm_text_add(&text, "tidemark: TIDEMARK has ");
    if (allowed == NULL) {
        tm_text_add(&text, "the unknown key ");
        tm_text_quoted(&text, key.start, length_of(key));
        tm_text_add(&text, ", which is ignored; known are signal, out, exit, timeline, retain "
                           "(key=value,key=value)");
    } else {
        tm_text_bytes(&text, key.start, length_of(key));
        tm_text_add(&text, "=");
        tm_text_quoted(&text, value.start, length_of(value));
        tm_text_add(&text, ", which is ignored; allowed: ");
        tm_text_add(&text, allowed);
    }
    tm_say(&text);
}

/* Takes one key=value. Returns what is allowed if the value is not, NULL if all is well. */
static const char *take_pair(struct tm_config *config, struct piece key, struct piece value,
                             bool *known, uint64_t *interval)
{
    *known = true;
    if (equals(key, "signal")) {
        int number = parse_signal(value);
        if (number < 0)
            return "a signal's name (USR2), RTMIN+N, RTMAX-N, its number, or none; "
                   "not one of a fault, KILL, STOP or CHLD";
        config->record.signal = number;
    } else if (equals(key, "out")) {
        if (!is_out_pattern(value))
            return "a file's path of at most 511 bytes, in which %p is the pid, %n the number, "
                   "%e the program and %% a percent sign";
        memcpy(config->record.out, value.start, length_of(value));
        config->record.out[length_of(value)] = '\0';
    } else if (equals(key, "exit")) {
        if (!parse_exit(value, &config->record.exit_kind))
            return "none, summary, snapshot";
    } else if (equals(key, "timeline")) {
        if (!parse_interval(value, interval))
            return "an interval from 1ms to 3600s (100ms, 1s), or off";
    } else if (equals(key, "retain")) {
        if (!parse_retain(value, config))
            return "bytes (65536, 64K, 8M, 1G) or percent of what is in use (10%)";
    } else {
        *known = false;
        return "";
    }
    return NULL;
}

unsigned tm_config_read(const char *value, bool trusted, struct tm_config *config)
{
    unsigned complaints = 0;
    uint64_t interval = TIMELINE_DEFAULT;
    tm_say_start();
    memset(config, 0, sizeof *config);
    config->record.signal = trusted ? SIGUSR2 : 0;
    memcpy(config->record.out, OUT_DEFAULT, sizeof OUT_DEFAULT);

    if (trusted && value != NULL) {
        const char *at = value;
        while (*at != '\0') {
            const char *end = at + strcspn(at, ",");
            const char *equal = memchr(at, '=', (size_t)(end - at));
            struct piece key = {at, equal != NULL ? equal : end};
            struct piece rest = {equal != NULL ? equal + 1 : end, end};
            at = *end == ',' ? end + 1 : end;
            if (key.start == end) /* an empty place: `a=b,,c=d` or a comma at the end */
                continue;
            bool known = false;
            const char *allowed = take_pair(config, key, rest, &known, &interval);
            if (allowed != NULL) {
                complaints++;
                complain(key, rest, known ? allowed : NULL);
            }
        }
    }
    config->record.timeline_ns = interval * MILLISECOND;
    describe(config, interval);
    return complaints;
}
