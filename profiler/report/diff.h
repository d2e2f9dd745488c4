/* diff.h: everything that `tidemark diff` says about two snapshots, computed once and printed by
 * diff_text.c, diff_json.c and diff_html.c, so that the three cannot disagree. Changes are
 * `after` less `before`.
 *
 * The error of a change is the root of the sum of the squares of both errors. That is right for
 * samples of two processes; of one process the blocks that are live in both were sampled once, so
 * the true error is smaller. A change within two errors is not told from none.
 */
#ifndef TIDEMARK_REPORT_DIFF_H
#define TIDEMARK_REPORT_DIFF_H

#include "profiler/report/diff_match.h"

enum { TM_DIFF_NOTES = 12, TM_DIFF_WITHIN = 2 /* errors */ };

/* What of several snapshots compares. */
struct tm_diff_check {
    char refusal[1000]; /* why nothing does; "" otherwise. Text from the files in it: escape it */
    bool heap;          /* live and held bytes are known of all */
    bool sites;         /* call sites are */
    bool held;          /* who holds pages is */
    bool one_process;   /* all are of one process */
    bool one_program;
    char notes[TM_DIFF_NOTES][600]; /* what does not, and why: sentences; escape them */
    size_t note_count;
};

/* paths: what messages call them. force: different programs compare. view: as it will be used. */
void tm_diff_check(const struct tm_snapshot_file *const *snapshots, const char *const *paths,
                   size_t count, const struct tm_view *view, bool force,
                   struct tm_diff_check *check);

enum tm_diff_what {
    TM_DIFF_SAME,
    TM_DIFF_UNSURE,   /* a change within two errors */
    TM_DIFF_APPEARED, /* nothing before */
    TM_DIFF_GREW,
    TM_DIFF_SHRANK,
    TM_DIFF_WENT, /* nothing after */
    TM_DIFF_WHATS,
};

/* "appeared" and so on. */
const char *tm_diff_what_name(enum tm_diff_what what);

struct tm_diff_figure {
    struct tm_estimate before, after;
    double change, error;
    bool few; /* the larger of the two rests on too few samples */
    enum tm_diff_what what;
};

/* Figures of a site, by enum tm_order; these three. */
enum { TM_DIFF_FIGURES = 3 };
static_assert((int)TM_BY_HELD < TM_DIFF_FIGURES && (int)TM_BY_SOLE < TM_DIFF_FIGURES &&
                  (int)TM_BY_LIVE < TM_DIFF_FIGURES,
              "enum tm_order");

struct tm_diff_site {
    struct tm_diff_figure figures[TM_DIFF_FIGURES];
    int64_t share_change; /* in whole bytes: sums are exact */
};

struct tm_diff_row {
    struct tm_ledger_row row; /* for its name, meaning, group */
    int64_t before, after;
};

/* How resident bytes moved. */
struct tm_diff_move {
    uint32_t block_bytes; /* of pools for blocks of this size; 0: not in pools */
    int64_t live, pinned, cached;
};

/* What happened to sites in one way, all together. */
struct tm_diff_sum {
    size_t sites;
    double change;
};

struct tm_diff {
    const struct tm_report *reports[2];
    const struct tm_diff_check *check;
    struct tm_ledger ledgers[2]; /* both with live memory told in the same way */
    struct tm_diff_row *rows;    /* before the residual, which is the last */
    size_t row_count;
    int64_t groups[TM_LEDGER_GROUPS]; /* changes */
    int64_t rss, pinned, cached;      /* changes */
    struct tm_diff_move *moves;       /* of size classes; most moved first */
    size_t move_count;
    struct tm_diff_move large, arenas; /* of spans and mappings, of free pages of arenas */
    struct tm_match match;
    struct tm_diff_site *sites; /* by number in match; [0] is what is not recorded */
    size_t site_count;
    struct tm_diff_sum sums[TM_DIFF_FIGURES][TM_DIFF_WHATS];
    char verdict[2000]; /* names from the files in it: escape it */
};

/* reports and check stay the caller's. False when memory runs out; then nothing is left to free. */
bool tm_diff_make(const struct tm_report *const reports[2], const struct tm_diff_check *check,
                  struct tm_diff *diff);
void tm_diff_free(struct tm_diff *diff);

/* Fills `ranked` (of site_count numbers) with the sites whose figure changed: surely changed ones
 * first, then the larger change. The site of what is not recorded is left out. Returns how many. */
size_t tm_diff_rank(const struct tm_diff *diff, enum tm_order by, uint32_t *ranked);

/* The report that has the site, the later one if both do, and its group there. */
const struct tm_report *tm_diff_report_of(const struct tm_diff *diff, size_t site, uint32_t *group);

/* Fills diff->verdict from the rest of *diff. */
void tm_diff_verdict(struct tm_diff *diff);

#endif
