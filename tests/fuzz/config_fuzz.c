/* config_fuzz.c: fuzz target: the input is the value of TIDEMARK. Whatever it is, the settings that
 * come out are ones that can be had, every complaint is one line of plain text, and the lines in
 * which a snapshot tells the configuration give the same configuration when they are read again.
 */
#include "preload/config.h"

#include "profiler/format/snapshot.h"
#include "profiler/record/memory_limit.h"
#include "profiler/record/text.h"
#include "tests/fuzz/fuzz.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static unsigned said;

uint64_t tm_memory_limit(void)
{
    return UINT64_C(8) << 30;
}

/* The linker leads the library's lines here (--wrap). NOLINTBEGIN */
void __wrap_tm_say(struct tm_text *text);

void __wrap_tm_say(struct tm_text *text)
{
    static const char prefix[] = "tidemark: TIDEMARK has ";
    said++;
    fuzz_promise(strlen(text->start) == text->used, "a line is as long as it says");
    fuzz_promise(strncmp(text->start, prefix, sizeof prefix - 1) == 0,
                 "a line says who speaks, and of what");
    for (const char *p = text->start; *p != '\0'; p++)
        fuzz_promise((unsigned char)*p >= ' ' && *p != 0x7f, "a line has no control characters");
}
/* NOLINTEND */

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void check(const struct tm_config *config)
{
    const struct tm_record_settings *record = &config->record;
    fuzz_promise(record->signal >= 0 && record->signal <= 64 && record->signal != SIGKILL &&
                     record->signal != SIGSTOP && record->signal != SIGSEGV,
                 "the signal can be caught");
    fuzz_promise(record->exit_kind <= TM_EXIT_SNAPSHOT, "exit is one of three");
    fuzz_promise(record->sites <= TM_SITES_ALL, "sites is one of three");
    fuzz_promise(record->rate_bytes >= 1 && record->rate_bytes <= PTRDIFF_MAX,
                 "a rate is some bytes");
    fuzz_promise(record->timeline_ns <= UINT64_C(3600) * 1000000000, "an interval ends");
    fuzz_promise(ends(record->out, sizeof record->out) && record->out[0] != '\0', "out is a path");
    fuzz_promise(ends(record->lines, sizeof record->lines), "the lines end");
    fuzz_promise(config->retain_bytes <= PTRDIFF_MAX && config->retain_percent <= 1000,
                 "retain is bytes or percent");
}

static bool same(const struct tm_config *a, const struct tm_config *b)
{
    return a->record.signal == b->record.signal && a->record.exit_kind == b->record.exit_kind &&
           a->record.timeline_ns == b->record.timeline_ns && a->record.sites == b->record.sites &&
           a->record.rate_bytes == b->record.rate_bytes &&
           a->record.by_thread == b->record.by_thread && a->record.seed == b->record.seed &&
           a->record.children == b->record.children && a->record.live == b->record.live &&
           a->record.at_bytes == b->record.at_bytes && strcmp(a->record.out, b->record.out) == 0 &&
           a->retain_set == b->retain_set && a->retain_bytes == b->retain_bytes &&
           a->retain_percent == b->retain_percent;
}

/* The lines as a value of TIDEMARK: the line on retain says "default" where it was not given. */
static void read_again(const struct tm_config *first)
{
    static struct tm_config second;
    char lines[TM_LINES_BYTES];
    memcpy(lines, first->record.lines, sizeof lines);
    char *rest = strstr(lines, "\nretain=default\n");
    if (rest)
        rest[1] = '\0';
    for (char *p = lines; *p != '\0'; p++)
        if (*p == '\n')
            *p = ',';
    fuzz_promise(tm_config_read(lines, true, &second) == 0, "the lines are a good configuration");
    fuzz_promise(same(first, &second), "the lines tell the configuration");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tm_config config;
    static struct tm_config untrusted;
    static struct tm_config nothing;
    char *value = fuzz_string(data, size);

    said = 0;
    unsigned complaints = tm_config_read(value, true, &config);
    fuzz_promise(complaints == said, "there is a line for each complaint");
    check(&config);
    read_again(&config);

    said = 0;
    tm_config_read(value, false, &untrusted);
    tm_config_read(NULL, false, &nothing);
    fuzz_promise(said == 0 && same(&untrusted, &nothing),
                 "of one who is not trusted nothing is taken");

    tm_config_read(NULL, true, &nothing);
    if (!same(&config, &nothing))
        fuzz_reached();
    free(value);
    return 0;
}
