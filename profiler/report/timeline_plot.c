/* timeline_plot.c: see timeline_plot.h. A column shows the moment with the most bytes taken in its
 * stretch of time, so that a short peak is never averaged away; a stretch without a moment shows
 * the one before it.
 */
#include "profiler/report/timeline_plot.h"

#include "profiler/report/report_format.h"

#include <string.h>

enum {
    LABEL = 12,                          /* columns of the scale on the left, with its line */
    WIDTH = TM_PLOT_COLUMNS - LABEL - 1, /* columns of the plot */
    HEIGHT = 8,                          /* lines of the plot */
    EIGHTHS = 8,
};

struct column {
    uint64_t used;  /* bytes in use */
    uint64_t taken; /* with what is cached */
};

struct plot {
    struct column columns[WIDTH];
    uint64_t start_ns, end_ns;
    uint64_t peak_ns;
    uint64_t peak_bytes;
    size_t peak_column;
};

static struct column sum(const struct tm_snapshot_moment *moment)
{
    uint64_t used = moment->pool_bytes + moment->span_bytes + moment->mapping_bytes;
    return (struct column){used, used + moment->cached_bytes};
}

static size_t column_at(const struct plot *plot, uint64_t ns)
{
    uint64_t range = plot->end_ns - plot->start_ns;
    if (range == 0)
        return 0;
    return (size_t)((unsigned __int128)(ns - plot->start_ns) * (WIDTH - 1) / range);
}

static void fill(struct plot *plot, const struct tm_snapshot_moment *moments, size_t count)
{
    bool set[WIDTH] = {false};
    for (size_t i = 0; i < count; i++) {
        struct column value = sum(&moments[i]);
        size_t at = column_at(plot, moments[i].since_start_ns);
        if (!set[at] || value.taken > plot->columns[at].taken)
            plot->columns[at] = value;
        set[at] = true;
        if (value.taken > plot->peak_bytes || i == 0) {
            plot->peak_bytes = value.taken;
            plot->peak_ns = moments[i].since_start_ns;
            plot->peak_column = at;
        }
    }
    for (size_t i = 1; i < WIDTH; i++)
        if (!set[i])
            plot->columns[i] = plot->columns[i - 1];
}

/* How many eighths of line `line` (0 is the lowest) the bytes reach. */
static unsigned level(uint64_t bytes, uint64_t peak, unsigned line)
{
    uint64_t steps =
        peak == 0 ? 0 : (uint64_t)(((unsigned __int128)bytes * HEIGHT * EIGHTHS + peak - 1) / peak);
    uint64_t below = (uint64_t)line * EIGHTHS;
    return steps <= below ? 0 : steps - below > EIGHTHS ? EIGHTHS : (unsigned)(steps - below);
}

static const char *cell(const struct column *column, uint64_t peak, unsigned line, bool utf8)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned used = level(column->used, peak, line);
    unsigned taken = level(column->taken, peak, line);
    if (used >= EIGHTHS / 2 && !utf8)
        return "#";
    if (used == EIGHTHS || (taken == used && utf8))
        return utf8 ? blocks[used] : "#";
    if (taken >= EIGHTHS / 2)
        return utf8 ? "░" : ".";
    if (used > 0)
        return utf8 ? blocks[used] : line == 0 ? "#" : " ";
    return " ";
}

static void print_peak(FILE *out, const struct plot *plot, bool utf8)
{
    char words[80];
    int length = snprintf(words, sizeof words, "peak %s at %s",
                          tm_words_bytes(plot->peak_bytes).text, tm_words_time(plot->peak_ns).text);
    const char *mark = utf8 ? "▼" : "v";
    if (plot->peak_column + 2 + (size_t)length <= WIDTH)
        fprintf(out, "%*s%s %s\n", (int)(LABEL + plot->peak_column), "", mark, words);
    else
        fprintf(out, "%*s%s %s\n", (int)(LABEL + plot->peak_column) - length - 1, "", words, mark);
}

static void print_axis(FILE *out, const struct plot *plot, bool utf8)
{
    fprintf(out, "%*s%s", LABEL - 1, "", utf8 ? "└" : "+");
    for (int i = 0; i < WIDTH; i++)
        fputs(utf8 ? "─" : "-", out);
    struct tm_words start = tm_words_time(plot->start_ns);
    struct tm_words end = tm_words_time(plot->end_ns);
    fprintf(out, "\n%*s%s%*s\n", LABEL, "", start.text, (int)(WIDTH - strlen(start.text)),
            end.text);
}

void tm_timeline_plot(FILE *out, const struct tm_snapshot_moment *moments, size_t count,
                      uint64_t end_ns, bool utf8)
{
    struct plot plot = {.start_ns = moments[0].since_start_ns,
                        .end_ns = moments[count - 1].since_start_ns};
    if (end_ns > plot.end_ns)
        plot.end_ns = end_ns;
    fill(&plot, moments, count);
    print_peak(out, &plot, utf8);
    for (unsigned line = HEIGHT; line-- > 0;) {
        struct tm_words label = {.text = ""};
        if (line == HEIGHT - 1)
            label = tm_words_bytes(plot.peak_bytes);
        else if (line == HEIGHT / 2 - 1)
            label = tm_words_bytes(plot.peak_bytes / 2);
        else if (line == 0)
            label = tm_words_bytes(0);
        fprintf(out, "%*s %s", LABEL - 2, label.text, utf8 ? "│" : "|");
        for (size_t i = 0; i < WIDTH; i++)
            fputs(cell(&plot.columns[i], plot.peak_bytes, line, utf8), out);
        putc('\n', out);
    }
    print_axis(out, &plot, utf8);
    fprintf(out,
            "%*s%s taken: pools with their free blocks, spans, mappings   %s cached: free memory\n",
            LABEL, "", utf8 ? "█" : "#", utf8 ? "░" : ".");
}
