/* diff_check.c: what of several snapshots compares, and what does not, and why; see diff.h. Only
 * different programs refuse the comparison as a whole; all else takes away the figures that it
 * spoils.
 */
#include "profiler/report/diff.h"
#include "profiler/report/report_format.h"
#include "profiler/report/who.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two snapshots of one process may put its start so far apart: the clock of the time of day is set
 * and slewed, that of the time since the start is not. */
static const uint64_t start_apart_ns = UINT64_C(10) * 1000000000;

static void __attribute__((format(printf, 2, 3)))
note(struct tm_diff_check *check, const char *words, ...)
{
    if (check->note_count == TM_DIFF_NOTES)
        return;
    char *text = check->notes[check->note_count++];
    va_list arguments;
    va_start(arguments, words);
    vsnprintf(text, sizeof check->notes[0], words, arguments);
    va_end(arguments);
}

/* ---- programs and processes ---- */

static char *exe_of(const struct tm_snapshot_file *snapshot)
{
    return strndup(snapshot->exe.bytes, snapshot->exe.length);
}

static uint64_t start_of(const struct tm_snapshot_file *snapshot)
{
    return snapshot->process.realtime_ns - snapshot->process.since_start_ns;
}

/* Where the program was loaded; 0: unknown. */
static uint64_t base_of(const struct tm_snapshot_file *snapshot, const char *exe)
{
    for (size_t i = 0; i < snapshot->map_count; i++)
        if (strcmp(tm_snapshot_string(snapshot, snapshot->maps[i].path), exe) == 0)
            return snapshot->maps[i].start;
    return 0;
}

static void check_program(const struct tm_snapshot_file *a, const struct tm_snapshot_file *b,
                          const char *const paths[2], bool force, struct tm_diff_check *check)
{
    char *exe[2] = {exe_of(a), exe_of(b)};
    if (!exe[0] || !exe[1]) {
        snprintf(check->refusal, sizeof check->refusal, "there is not enough memory");
        free(exe[0]);
        free(exe[1]);
        return;
    }
    const char *id[2] = {tm_build_id_of(a, exe[0]), tm_build_id_of(b, exe[1])};
    bool known = *id[0] && *id[1];
    bool same_path = strcmp(exe[0], exe[1]) == 0;
    if (known ? strcmp(id[0], id[1]) != 0 : !same_path) {
        check->one_program = false;
        if (!force)
            snprintf(
                check->refusal, sizeof check->refusal,
                "these are snapshots of different %s, so their figures do not compare: '%.150s' "
                "is of %.150s (build id %.40s), '%.150s' of %.150s (build id %.40s); give "
                "--force to compare them all the same",
                same_path ? "builds of a program" : "programs", paths[0], exe[0],
                *id[0] ? id[0] : "unknown", paths[1], exe[1], *id[1] ? id[1] : "unknown");
        else
            note(check,
                 "The %s differ (%.150s, build id %.40s; %.150s, build id %.40s): their call sites "
                 "are matched by the names of functions.",
                 same_path ? "builds" : "programs", exe[0], *id[0] ? id[0] : "unknown", exe[1],
                 *id[1] ? id[1] : "unknown");
    }
    uint64_t starts[2] = {start_of(a), start_of(b)};
    uint64_t apart = starts[0] > starts[1] ? starts[0] - starts[1] : starts[1] - starts[0];
    if (a->process.pid != b->process.pid || !same_path || apart > start_apart_ns ||
        base_of(a, exe[0]) != base_of(b, exe[1]))
        check->one_process = false;
    free(exe[0]);
    free(exe[1]);
}

static void check_circumstances(const struct tm_snapshot_file *a, const struct tm_snapshot_file *b,
                                const char *const paths[2], struct tm_diff_check *check)
{
    if (check->one_program && !check->one_process &&
        (a->command.length != b->command.length ||
         memcmp(a->command.bytes, b->command.bytes, a->command.length) != 0))
        note(check, "The command lines differ: the two may not have done the same work.");
    if (a->process.realtime_ns > b->process.realtime_ns)
        note(check, "'%.200s' was taken after '%.200s': what grew here shrank as time went by.",
             paths[0], paths[1]);
    if (a->version.length != b->version.length ||
        memcmp(a->version.bytes, b->version.bytes, a->version.length) != 0)
        note(check,
             "The versions of the library differ (%.*s, %.*s): block sizes and the allocator's own "
             "memory may differ for that.",
             (int)(a->version.length < 40 ? a->version.length : 40), a->version.bytes,
             (int)(b->version.length < 40 ? b->version.length : 40), b->version.bytes);
}

/* ---- call sites ---- */

static struct tm_label mode_of(const struct tm_snapshot_recording *recording)
{
    struct tm_label mode = {.text = "sites=all"};
    if (recording->ever & 1U << TM_SITES_SAMPLE)
        snprintf(mode.text, sizeof mode.text, "%s, rate=%s",
                 recording->ever & 1U << TM_SITES_ALL ? "sites=sample and all" : "sites=sample",
                 tm_words_bytes(recording->rate_bytes).text);
    return mode;
}

static void check_recordings(const struct tm_snapshot_file *a, const struct tm_snapshot_file *b,
                             struct tm_diff_check *check)
{
    const struct tm_snapshot_recording *x = &a->recording;
    const struct tm_snapshot_recording *y = &b->recording;
    if (x->ever != y->ever || (x->ever & 1U << TM_SITES_SAMPLE && x->rate_bytes != y->rate_bytes))
        note(check,
             "Call sites were recorded differently (%s; %s). Live and held bytes by site compare, "
             "each with its own error; not comparable: how many sites there are, for rare ones are "
             "in the denser record only, and the ages of the oldest and youngest blocks.",
             mode_of(x).text, mode_of(y).text);
    uint64_t apart =
        x->since_ns > y->since_ns ? x->since_ns - y->since_ns : y->since_ns - x->since_ns;
    if (!check->one_process && apart > 1000000000)
        note(
            check,
            "Recording began %s after the start in the first and %s in the second: what was "
            "allocated before it is in no site, so live bytes by site compare for what is younger.",
            tm_words_time(x->since_ns).text, tm_words_time(y->since_ns).text);
    if (x->until_ns || y->until_ns)
        note(check,
             "Recording had been stopped before the %s snapshot: what was allocated after that is "
             "in no site.",
             x->until_ns && y->until_ns ? "first and the second"
             : x->until_ns              ? "first"
                                        : "second");
}

void tm_diff_check(const struct tm_snapshot_file *const *snapshots, const char *const *paths,
                   size_t count, const struct tm_view *view, bool force,
                   struct tm_diff_check *check)
{
    *check = (struct tm_diff_check){
        .heap = true, .sites = true, .held = true, .one_process = true, .one_program = true};
    for (size_t i = 0; i < count; i++) {
        if (snapshots[i]->header.flags & TM_SNAPSHOT_NO_HEAP) {
            check->heap = check->held = false;
            note(check,
                 "The heap could not be walked in '%.200s': live, pinned and cached bytes do not "
                 "compare; RSS and the mappings do.",
                 paths[i]);
        }
        if (!snapshots[i]->has_recording) {
            check->sites = check->held = false;
            note(check,
                 "'%.200s' has no call sites: who allocated what changed, and who pins it, cannot "
                 "be told. `tidemark run` records them, `tidemark start %d` turns that on in a "
                 "running process.",
                 paths[i], snapshots[i]->process.pid);
        }
    }
    for (size_t i = 1; i < count && !*check->refusal; i++) {
        const char *const pair[2] = {paths[i - 1], paths[i]};
        check_program(snapshots[i - 1], snapshots[i], pair, force, check);
        check_circumstances(snapshots[i - 1], snapshots[i], pair, check);
    }
    for (size_t i = 1; i < count && check->sites; i++)
        check_recordings(snapshots[i - 1], snapshots[i], check);
    for (size_t i = 0; i < count && view->grouping == TM_GROUP_THREAD && !*check->refusal; i++)
        if (!check->one_process)
            snprintf(check->refusal, sizeof check->refusal,
                     "--group thread compares snapshots of one process, and these are of several: "
                     "a thread's number means nothing in another process; choose another --group");
        else if (!snapshots[i]->recording.by_thread)
            snprintf(check->refusal, sizeof check->refusal,
                     "'%.200s' does not keep call sites apart by thread; record with "
                     "TIDEMARK=sites=...,threads=yes for --group thread",
                     paths[i]);
}
