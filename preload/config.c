/* config.c: reads TIDEMARK=key=value,key=value. It runs in the constructor, before main and perhaps
 * before other libraries are ready, so it works in place on the environment's string and on memory
 * of its caller, and never allocates. A comma always ends a value: an out path cannot have one.
 */
#include "preload/config.h"

#include "profiler/format/snapshot.h"
#include "profiler/record/memory_limit.h"
#include "profiler/record/text.h"

#include <signal.h>
#include <string.h>

enum {
    SIGNAL_FIRST_OF_LIBC = 32, /* 32 and 33 are glibc's own: thread cancellation and setuid */
    SIGNAL_LAST_OF_LIBC = 33,
    SIGNAL_LAST = 64,
    RETAIN_MOST = 1000, /* percent */
};

static const uint64_t MILLISECOND = 1000000;
static const uint64_t TIMELINE_DEFAULT = 100; /* ms */
static const uint64_t TIMELINE_LONGEST =
    3600 * 1000;                                 /* ms: longer than that is `off` in all but name */
static const uint64_t RATE_DEFAULT = 512 * 1024; /* bytes */
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

/* "USR2". NULL: it has no name. */
static const char *name_of_signal(int number)
{
#ifdef __GLIBC__
    return sigabbrev_np(number);
#else
    static const char *const names[] = {
        [SIGHUP] = "HUP",   [SIGINT] = "INT",   [SIGQUIT] = "QUIT",   [SIGUSR1] = "USR1",
        [SIGUSR2] = "USR2", [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",   [SIGTERM] = "TERM",
        [SIGURG] = "URG",   [SIGXCPU] = "XCPU", [SIGWINCH] = "WINCH", [SIGIO] = "IO",
        [SIGPWR] = "PWR",
    };
    return number < (int)(sizeof names / sizeof names[0]) ? names[number] : NULL;
#endif
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
        const char *name = name_of_signal(i);
        if (name != NULL && equals(value, name))
            return may_ask(i) ? i : -1;
    }
    return -1;
}

static bool is_out_pattern(struct piece value)
{
    if (value.start == value.end || length_of(value) >= TM_OUT_BYTES || value.end[-1] == '/')
        return false;
    for (const char *p = value.start; p < value.end; p++) {
        if (*p == '\n') /* a snapshot tells the configuration in lines */
            return false;
        if (*p == '%') {
            p++;
            if (p == value.end || strchr("pne%", *p) == NULL)
                return false;
        }
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

/* 65536, 64K, 8M, 1G. */
static bool parse_bytes(struct piece value, uint64_t *bytes)
{
    uint64_t number = 0;
    unsigned shift = 0;
    if (!tm_text_parse(&value.start, value.end, &number))
        return false;
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
    *bytes = number << shift;
    return true;
}

/* 10% */
static bool parse_percent(struct piece value, uint64_t most, unsigned *percent)
{
    uint64_t number = 0;
    if (!tm_text_parse(&value.start, value.end, &number) || !equals(value, "%") || number > most)
        return false;
    *percent = (unsigned)number;
    return true;
}

static bool parse_retain(struct piece value, struct tm_config *config)
{
    uint64_t bytes = 0;
    unsigned percent = 0;
    if (!parse_percent(value, RETAIN_MOST, &percent) && !parse_bytes(value, &bytes))
        return false;
    config->retain_bytes = (size_t)bytes;
    config->retain_percent = percent;
    config->retain_set = true;
    return true;
}

/* A percentage is of the limit that holds when the process starts; false also if that is not known.
 */
static bool parse_at(struct piece value, uint64_t *at_bytes)
{
    unsigned percent = 0;
    if (equals(value, "off")) {
        *at_bytes = 0;
        return true;
    }
    if (parse_percent(value, 100, &percent)) {
        uint64_t bytes = tm_memory_limit() / 100 * percent;
        if (bytes == 0)
            return false;
        *at_bytes = bytes;
        return true;
    }
    return parse_bytes(value, at_bytes);
}

static bool parse_rate(struct piece value, uint64_t *rate_bytes)
{
    uint64_t bytes = 0;
    if (!parse_bytes(value, &bytes) || bytes == 0)
        return false;
    *rate_bytes = bytes;
    return true;
}

static bool parse_yes_or_no(struct piece value, bool *yes)
{
    if (!equals(value, "yes") && !equals(value, "no"))
        return false;
    *yes = equals(value, "yes");
    return true;
}

/* The place of the value among the words; -1: it is none of them. */
static int place_among(struct piece value, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (equals(value, words[i]))
            return i;
    return -1;
}

static const char *const exits[] = {
    [TM_EXIT_NONE] = "none", [TM_EXIT_SUMMARY] = "summary", [TM_EXIT_SNAPSHOT] = "snapshot"};
static const char *const sites[] = {
    [TM_SITES_OFF] = "off", [TM_SITES_SAMPLE] = "sample", [TM_SITES_ALL] = "all"};
static const char *const checks[] = {"fast", "full"}; /* by config->check_full */
enum {
    EXITS = sizeof exits / sizeof exits[0],
    SITES = sizeof sites / sizeof sites[0],
    CHECKS = sizeof checks / sizeof checks[0],
};

static void line(struct tm_text *text, const char *key, const char *value)
{
    tm_text_add(text, key);
    tm_text_add(text, "=");
    tm_text_add(text, value);
    tm_text_add(text, "\n");
}

static void line_of_number(struct tm_text *text, const char *key, uint64_t number, const char *unit)
{
    tm_text_add(text, key);
    tm_text_add(text, "=");
    tm_text_number(text, number);
    tm_text_add(text, unit);
    tm_text_add(text, "\n");
}

/* The configuration in force, as the snapshot's CONFIG section carries it. */
static void describe(struct tm_config *config, uint64_t interval)
{
    struct tm_record_settings *record = &config->record;
    struct tm_text text = tm_text_in(record->lines, sizeof record->lines);
    line(&text, "sites", sites[record->sites]);
    line_of_number(&text, "rate", record->rate_bytes, "");
    line(&text, "threads", record->by_thread ? "yes" : "no");
    line_of_number(&text, "seed", record->seed, "");
    if (record->signal == 0)
        line(&text, "signal", "none");
    else
        line_of_number(&text, "signal", (uint64_t)record->signal, "");
    line(&text, "out", record->out);
    line(&text, "exit", exits[record->exit_kind]);
    if (record->at_bytes == 0)
        line(&text, "at", "off");
    else
        line_of_number(&text, "at", record->at_bytes, "");
    if (interval == 0)
        line(&text, "timeline", "off");
    else
        line_of_number(&text, "timeline", interval, "ms");
    line(&text, "children", record->children ? "yes" : "no");
    line(&text, "live", record->live ? "yes" : "no");
    if (!config->retain_set)
        line(&text, "retain", "default");
    else if (config->retain_percent != 0)
        line_of_number(&text, "retain", config->retain_percent, "%");
    else
        line_of_number(&text, "retain", config->retain_bytes, "");
    line(&text, "check", checks[config->check_full]);
}

static void complain(struct piece key, struct piece value, const char *allowed)
{
    char memory[1024];
    struct tm_text text = tm_text_in(memory, sizeof memory);
    tm_text_add(&text, "tidemark: TIDEMARK has ");
    if (allowed == NULL) {
        tm_text_add(&text, "the unknown key ");
        tm_text_quoted(&text, key.start, length_of(key));
        tm_text_add(&text, ", which is ignored; known are sites, rate, threads, seed, signal, out, "
                           "exit, at, timeline, children, live, "
                           "retain, check (key=value,key=value)");
    } else {
        tm_text_bytes(&text, key.start, length_of(key));
        tm_text_add(&text, "=");
        tm_text_quoted(&text, value.start, length_of(value));
        tm_text_add(&text, ", which is ignored; allowed: ");
        tm_text_add(&text, allowed);
    }
    tm_say(&text);
}

/* Takes what says whether and how call sites are recorded. Returns what is allowed if the value is
 * not, NULL if all is well. */
static const char *take_recording(struct tm_record_settings *record, struct piece key,
                                  struct piece value, bool *known)
{
    *known = true;
    if (equals(key, "sites")) {
        int kind = place_among(value, sites, SITES);
        if (kind < 0)
            return "off, sample (some allocations, see rate), all (every allocation)";
        record->sites = (uint32_t)kind;
    } else if (equals(key, "rate")) {
        if (!parse_rate(value, &record->rate_bytes))
            return "the mean bytes between two samples, at least 1 (65536, 512K, 2M, 1G)";
    } else if (equals(key, "threads")) {
        if (!parse_yes_or_no(value, &record->by_thread))
            return "yes (call sites are kept apart by thread), no";
    } else if (equals(key, "seed")) {
        uint64_t seed = 0;
        if (!is_number(value, &seed))
            return "a number that makes the samples those of another run with it; 0: others in "
                   "each process";
        record->seed = seed;
    } else {
        *known = false;
        return "";
    }
    return NULL;
}

/* The same for the other keys. */
static const char *take_pair(struct tm_config *config, struct piece key, struct piece value,
                             bool *known, uint64_t *interval)
{
    struct tm_record_settings *record = &config->record;
    *known = true;
    if (equals(key, "signal")) {
        int number = parse_signal(value);
        if (number < 0)
            return "a signal's name (USR2), RTMIN+N, RTMAX-N, its number, or none; "
                   "not one of a fault, KILL, STOP or CHLD";
        record->signal = number;
    } else if (equals(key, "out")) {
        if (!is_out_pattern(value))
            return "a file's path of at most 511 bytes in one line, in which %p is the pid, %n the "
                   "number, %e the program and %% a percent sign";
        memcpy(record->out, value.start, length_of(value));
        record->out[length_of(value)] = '\0';
    } else if (equals(key, "exit")) {
        int kind = place_among(value, exits, EXITS);
        if (kind < 0)
            return "none, summary, snapshot";
        record->exit_kind = (enum tm_record_exit_kind)kind;
    } else if (equals(key, "at")) {
        if (!parse_at(value, &record->at_bytes))
            return "the RSS at which to take a snapshot, in bytes (500M, 2G) or percent of the "
                   "memory limit (80%, if that is known), or off";
    } else if (equals(key, "timeline")) {
        if (!parse_interval(value, interval))
            return "an interval from 1ms to 3600s (100ms, 1s), or off";
    } else if (equals(key, "children")) {
        if (!parse_yes_or_no(value, &record->children))
            return "yes (child processes are profiled, too), no";
    } else if (equals(key, "live")) {
        if (!parse_yes_or_no(value, &record->live))
            return "yes (`tidemark top` and `tidemark metrics` find counters of the process), no";
    } else if (equals(key, "retain")) {
        if (!parse_retain(value, config))
            return "bytes (65536, 64K, 8M, 1G) or percent of what is in use (10%)";
    } else if (equals(key, "check")) {
        int check = place_among(value, checks, CHECKS);
        if (check < 0)
            return "fast (what costs next to nothing), full (hardened: slower, more memory)";
        config->check_full = check == 1;
    } else {
        return take_recording(record, key, value, known);
    }
    return NULL;
}

unsigned tm_config_read(const char *value, bool trusted, struct tm_config *config)
{
    unsigned complaints = 0;
    uint64_t interval = TIMELINE_DEFAULT;
    tm_say_start();
    memset(config, 0, sizeof *config);
    config->record.closed = !trusted;
    config->record.signal = trusted ? SIGUSR2 : 0;
    config->record.sites = TM_SITES_OFF;
    config->record.rate_bytes = RATE_DEFAULT;
    config->record.children = true;
    config->record.live = trusted;
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
