/* top_table.c: the table of `tidemark top`, on a terminal and on paper: columns that fit are shown,
 * the rest is left out from the right. Names come from processes that may be hostile and pass
 * through tm_print_escaped().
 */
#include "profiler/report/top.h"

#include "profiler/report/report_format.h"

#include <math.h>
#include <string.h>

enum { NAME_MOST = 24, SPARKS = 12, PAPER_COLUMNS = 100 };

enum field {
    PID,
    USER,
    PROGRAM,
    RSS,
    LIVE,
    PINNED,
    CACHED,
    ALLOC,
    TREND,
    AGE,
    PAST,
    FIELDS,
};

static const struct {
    const char *title;
    unsigned width;
    bool left;
    int key; /* enum tm_top_key that sorts by it; -1: none */
} fields[FIELDS] = {
    [PID] = {"PID", 7, false, TM_TOP_PID},
    [USER] = {"USER", 8, true, TM_TOP_USER},
    [PROGRAM] = {"PROGRAM", 9, true, TM_TOP_PROGRAM},
    [RSS] = {"RSS", 7, false, TM_TOP_RSS},
    [LIVE] = {"LIVE", 7, false, TM_TOP_LIVE},
    [PINNED] = {"PINNED", 7, false, TM_TOP_PINNED},
    [CACHED] = {"CACHED", 7, false, TM_TOP_CACHED},
    [ALLOC] = {"ALLOC/s", 8, false, TM_TOP_ALLOC},
    [TREND] = {"RSS/min", 8, false, TM_TOP_TREND},
    [AGE] = {"AGE", 3, false, -1},
    [PAST] = {"RSS so far", SPARKS, true, -1},
};

/* Which are shown: all that fit, the name taking what is left. */
struct layout {
    unsigned width[FIELDS];
    unsigned count;
};

static struct layout lay_out(unsigned columns)
{
    struct layout layout = {.count = 0};
    unsigned used = 0;
    for (; layout.count < FIELDS; layout.count++) {
        unsigned width = fields[layout.count].width;
        if (used + width > columns && layout.count > 0)
            break;
        layout.width[layout.count] = width;
        used += width + 1;
    }
    unsigned left = columns + 1 > used ? columns + 1 - used : 0;
    if (layout.count > PROGRAM)
        layout.width[PROGRAM] +=
            left < NAME_MOST - fields[PROGRAM].width ? left : NAME_MOST - fields[PROGRAM].width;
    return layout;
}

/* "87K", "12.3M", "1023M", "0": at most five characters. */
static struct tm_words size_of(double bytes)
{
    static const char units[] = "KMGTPE";
    struct tm_words words;
    double value = bytes / 1024;
    int unit = 0;
    while (value >= 1023.5 && units[unit + 1] != '\0') {
        value /= 1024;
        unit++;
    }
    if (bytes < 1)
        snprintf(words.text, sizeof words.text, "0");
    else
        snprintf(words.text, sizeof words.text, "%.*f%c", value < 99.95 && unit > 0 ? 1 : 0,
                 value < 1 ? 1 : value, units[unit]);
    return words;
}

static struct tm_words age_of(uint64_t ns)
{
    struct tm_words words;
    unsigned long long seconds = ns / 1000000000U;
    if (seconds < 1)
        snprintf(words.text, sizeof words.text, "<1s");
    else if (seconds < 100)
        snprintf(words.text, sizeof words.text, "%llus", seconds);
    else if (seconds < 6000)
        snprintf(words.text, sizeof words.text, "%llum", seconds / 60);
    else if (seconds < 360000)
        snprintf(words.text, sizeof words.text, "%lluh", seconds / 3600);
    else
        snprintf(words.text, sizeof words.text, "%llud", seconds / 86400);
    return words;
}

/* A figure of the row; "-" where it is not known. */
static struct tm_words figure(const struct tm_top_row *row, enum field field)
{
    const struct tm_live_process *process = &row->process;
    struct tm_words words = {"-"};
    bool known = process->state == TM_LIVE_READ;
    if (field == PID)
        snprintf(words.text, sizeof words.text, "%d", (int)process->pid);
    else if (field == RSS)
        words = size_of((double)process->rss_bytes);
    else if (field == LIVE && known)
        words = size_of((double)process->live_bytes);
    else if (field == PINNED && known)
        words = size_of((double)process->pinned_bytes);
    else if (field == CACHED && known)
        words = size_of((double)process->cached_bytes);
    else if (field == ALLOC && row->has_rate)
        snprintf(words.text, sizeof words.text, "%.30s%s", size_of(row->rate).text,
                 row->rate_recorded ? "" : "*");
    else if (field == TREND && row->has_trend)
        snprintf(words.text, sizeof words.text, "%s%.30s",
                 row->trend <= -1024  ? "-"
                 : row->trend >= 1024 ? "+"
                                      : "",
                 size_of(fabs(row->trend) < 1024 ? 0 : fabs(row->trend)).text);
    else if (field == AGE && known)
        words = age_of(process->age_ns);
    return words;
}

/* RSS at the last looks, between the lowest and the highest of them; what differs by less than a
 * 50th lies level. */
static void print_past(FILE *out, const struct tm_top_row *row, bool utf8)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = "_.,-=+*#";
    size_t count = row->looks < SPARKS ? row->looks : SPARKS;
    const struct tm_top_look *looks = &row->past[row->looks - count];
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < count; i++) {
        low = looks[i].rss_bytes < low ? looks[i].rss_bytes : low;
        high = looks[i].rss_bytes > high ? looks[i].rss_bytes : high;
    }
    double range = (double)(high - low);
    if (range < (double)high / 50)
        range = (double)high / 50;
    for (size_t i = 0; i < count; i++) {
        double part = range <= 0 ? 0 : (double)(looks[i].rss_bytes - low) / range;
        unsigned level = (unsigned)(part * 7 + 0.5);
        if (utf8)
            fputs(blocks[level], out);
        else
            putc(ascii[level], out);
    }
    fprintf(out, "%*s", (int)(SPARKS - count), "");
}

static void print_row(FILE *out, const struct tm_top_row *row, const struct layout *layout,
                      bool utf8)
{
    for (unsigned field = 0; field < layout->count; field++) {
        unsigned width = layout->width[field];
        if (field > 0)
            putc(' ', out);
        if (field == PAST) {
            print_past(out, row, utf8);
        } else if (fields[field].left) {
            const char *text = field == USER ? row->process.user : row->process.program;
            size_t used = tm_print_escaped(out, text, strlen(text), width, utf8);
            fprintf(out, "%*s", (int)(width - used), "");
        } else {
            fprintf(out, "%*s", (int)width, figure(row, (enum field)field).text);
        }
    }
}

/* The column that sorts is marked. */
static void print_titles(FILE *out, const struct layout *layout, enum tm_top_key key)
{
    for (unsigned field = 0; field < layout->count; field++) {
        char title[32];
        snprintf(title, sizeof title, "%s%s", (int)key == fields[field].key ? ">" : "",
                 fields[field].title);
        fprintf(out, "%s%*s", field > 0 ? " " : "",
                (int)layout->width[field] * (fields[field].left ? -1 : 1), title);
    }
}

static void end_line(FILE *out, const struct tm_top_view *view)
{
    fputs(view->terminal ? "\033[K\n" : "\n", out);
}

static void print_text(FILE *out, const char *text, const struct tm_top_view *view)
{
    size_t columns = view->columns != 0 ? view->columns : PAPER_COLUMNS;
    tm_print_escaped(out, text, strlen(text), columns, view->utf8);
}

static void print_summary(FILE *out, const struct tm_top *top, const struct tm_top_view *view)
{
    double rss = 0, live = 0, pinned = 0, cached = 0;
    char text[256];
    for (size_t i = 0; i < top->count; i++) {
        const struct tm_live_process *process = &top->rows[i].process;
        rss += (double)process->rss_bytes;
        live += (double)process->live_bytes;
        pinned += (double)process->pinned_bytes;
        cached += (double)process->cached_bytes;
    }
    snprintf(text, sizeof text,
             "%zu process%s under Tidemark: RSS %s, live %s, pinned %s, cached %s", top->count,
             top->count == 1 ? "" : "es", size_of(rss).text, size_of(live).text,
             size_of(pinned).text, size_of(cached).text);
    print_text(out, text, view);
    end_line(out, view);
}

static size_t lines_in(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

static bool marks_taken(const struct tm_top *top)
{
    for (size_t i = 0; i < top->count; i++)
        if (top->rows[i].has_rate && !top->rows[i].rate_recorded)
            return true;
    return false;
}

/* What is below the rows: what is not shown and why, and what the star means. */
static void find_notes(const struct tm_top *top, char *text, size_t size)
{
    tm_live_explain(&top->list, text, size);
    size_t used = strlen(text);
    if (marks_taken(top))
        snprintf(text + used, size - used,
                 "* memory its heaps took, not what the program allocates (that: tidemark start "
                 "PID)\n");
}

size_t tm_top_rows_that_fit(const struct tm_top *top, const struct tm_top_view *view)
{
    char notes[1024];
    find_notes(top, notes, sizeof notes);
    size_t others = 3 + lines_in(notes); /* summary, titles, keys */
    if (view->lines == 0)
        return top->count;
    return view->lines > others ? view->lines - others : 1;
}

void tm_top_print(FILE *out, const struct tm_top *top, const struct tm_top_view *view)
{
    struct layout layout = lay_out(view->columns != 0 ? view->columns : PAPER_COLUMNS);
    size_t fit = tm_top_rows_that_fit(top, view);
    char notes[1024];
    find_notes(top, notes, sizeof notes);
    if (view->terminal)
        fputs("\033[H", out);
    print_summary(out, top, view);
    fputs(view->terminal ? "\033[1m" : "", out);
    print_titles(out, &layout, top->key);
    fputs(view->terminal ? "\033[0m" : "", out);
    end_line(out, view);
    for (size_t i = view->first; i < top->count && i < view->first + fit; i++) {
        bool selected = view->terminal && top->rows[i].process.pid == view->selected;
        fputs(selected ? "\033[7m" : "", out);
        print_row(out, &top->rows[i], &layout, view->utf8);
        fputs(selected ? "\033[0m" : "", out);
        end_line(out, view);
    }
    for (char *line = notes, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        print_text(out, line, view);
        end_line(out, view);
    }
    if (view->terminal) {
        print_text(out,
                   view->said != NULL && view->said[0] != '\0'
                       ? view->said
                       : "up/down select  left/right sort  s snapshot  t trim  q quit",
                   view);
        fputs("\033[K\033[J", out);
    }
}
