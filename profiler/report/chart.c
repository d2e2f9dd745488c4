/* chart.c: RSS over time, one line for each allocator, as SVG. See chart.h.
 *
 * Each line is thinned to the lowest and highest sample of every unit of width, so that no peak is
 * lost and a run of hours stays a small file. The names stand at the right edge, in the order in
 * which the lines end, with the figure that matters most under each.
 */
#include "profiler/report/chart.h"

#include "profiler/report/compare_output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 1000, HEIGHT = 520, LEFT = 76, RIGHT = 216, TOP = 84, BOTTOM = 56 };
enum { LABEL_STEP = 38 };
static const double MIB = 1024.0 * 1024.0;

/* Colours that stay apart for colour-blind readers, for light and dark paper. Rows without a fixed
 * one take from the end. */
static const struct colour {
    const char *name, *light, *dark;
} colours[] = {
    {"tidemark", "#0a6fb8", "#4db4ff"}, {"glibc", "#5c6470", "#aab3bf"},
    {"jemalloc", "#d1540a", "#ff8a47"}, {"mimalloc", "#0b8f6a", "#2fd0a0"},
    {"tcmalloc", "#b0508a", "#ec8fc6"}, {NULL, "#8a6d00", "#e3c04a"},
    {NULL, "#6b4fc0", "#ab95f5"},       {NULL, "#3c7a1e", "#8ed267"},
};

enum { COLOURS = sizeof colours / sizeof colours[0], NAMED = 5 };

static const struct colour *colour_of(const struct tm_comparison *all, unsigned row)
{
    for (int i = 0; i < NAMED; i++)
        if (strcmp(all->set.all[row].name, colours[i].name) == 0)
            return &colours[i];
    if (strncmp(all->set.all[row].name, "glibc", 5) == 0)
        return &colours[1];
    return &colours[NAMED + row % (COLOURS - NAMED)];
}

void tm_chart_escape(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if ((unsigned char)*text >= 0x20)
            fputc(*text, out);
        else
            fputc(' ', out);
    }
}

/* A step of 1, 2 or 5 times a power of `base` that divides `range` into at most `most` parts. */
static double nice_step(double range, int most)
{
    double step = pow(10, floor(log10(range / most)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (range / (step * factors[i]) <= most)
            return step * factors[i];
    return step * 10;
}

/* Bytes step by powers of two, so that ticks are round in MiB and GiB. */
static double byte_step(double range, int most)
{
    double step = 4096;
    while (range / step > most)
        step *= 2;
    return step;
}

struct tm_chart_frame tm_chart_frame_of(const struct tm_comparison *all)
{
    double seconds = 0.01, bytes = 1 * MIB;
    for (unsigned row = 0; row < all->set.count; row++)
        for (unsigned n = 0; n < all->done; n++) {
            const struct tm_compare_run *run = tm_run_of(all, row, n);
            for (size_t i = 0; i < run->count; i++) {
                seconds = fmax(seconds, run->samples[i].seconds);
                bytes = fmax(bytes, (double)run->samples[i].bytes);
            }
        }
    double step = byte_step(bytes * 1.02, 8);
    return (struct tm_chart_frame){
        .left = LEFT,
        .top = TOP,
        .width = WIDTH - LEFT - RIGHT,
        .height = HEIGHT - TOP - BOTTOM,
        .seconds = seconds,
        .bytes = step * ceil(bytes * 1.02 / step),
    };
}

static double x_of(const struct tm_chart_frame *frame, double seconds)
{
    return frame->left + frame->width * seconds / frame->seconds;
}

static double y_of(const struct tm_chart_frame *frame, double bytes)
{
    return frame->top + frame->height * (1 - bytes / frame->bytes);
}

/* Literal colours, no custom properties: viewers that know little CSS (librsvg, Inkscape) show the
 * light ones. */
static void write_colours(FILE *out, const struct tm_comparison *all, bool dark)
{
    fprintf(out,
            ".chart text{fill:%s}\n.chart .title,.chart .name{fill:%s}\n.chart .paper{fill:%s}\n"
            ".chart .grid{stroke:%s}\n.chart .axis{stroke:%s}\n",
            dark ? "#98a2ae" : "#5b6470", dark ? "#e6e9ed" : "#1c2128",
            dark ? "#14181d" : "#ffffff", dark ? "#272d35" : "#e4e7eb",
            dark ? "#4d5762" : "#aab1ba");
    for (unsigned row = 0; row < all->set.count; row++)
        fprintf(out, ".chart .series-%u{stroke:%s}\n", row,
                dark ? colour_of(all, row)->dark : colour_of(all, row)->light);
}

void tm_chart_style(FILE *out, const struct tm_comparison *all)
{
    fputs(".chart text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',"
          "sans-serif;font-size:12px}\n"
          ".chart .title{font-size:17px;font-weight:600}\n"
          ".chart .name{font-size:13px;font-weight:600}\n"
          ".chart .grid,.chart .axis{stroke-width:1}\n"
          ".chart .lead{stroke-width:1;opacity:.5;fill:none}\n"
          ".chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
          ".chart .own{stroke-width:3}\n"
          ".chart .faint{opacity:.25;stroke-width:1}\n"
          ".chart .pools{stroke-dasharray:6 4}\n",
          out);
    write_colours(out, all, false);
    fputs("@media (prefers-color-scheme:dark){\n", out);
    write_colours(out, all, true);
    fputs("}\n", out);
}

static void draw_axes(FILE *out, const struct tm_chart_frame *frame)
{
    double right = frame->left + frame->width, bottom = frame->top + frame->height;
    double step = byte_step(frame->bytes, 8);
    char text[TM_FIGURE_TEXT];
    bool gib = frame->bytes >= 4096 * MIB;
    bool fraction = step < (gib ? 1024 * MIB : MIB);
    for (int line = 0; line * step <= frame->bytes * 1.0001; line++) {
        double bytes = line * step;
        double y = y_of(frame, bytes);
        fprintf(out, "<line class=\"grid\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\"/>",
                frame->left, y, right, y);
        snprintf(text, sizeof text, fraction ? "%.2f" : "%.0f", bytes / (gib ? 1024 * MIB : MIB));
        fprintf(out, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", frame->left - 9,
                y + 4, text);
    }
    double tick = nice_step(frame->seconds, 8);
    int decimals = tick >= 1 ? 0 : tick >= 0.1 ? 1 : tick >= 0.01 ? 2 : 3;
    for (int mark = 0; mark * tick <= frame->seconds * 1.0001; mark++) {
        double seconds = mark * tick;
        double x = x_of(frame, seconds);
        fprintf(out, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\"/>", x,
                bottom, x, bottom + 5);
        fprintf(out, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.*f</text>\n", x,
                bottom + 20, decimals, seconds);
    }
    fprintf(out, "<line class=\"axis\" x1=\"%.0f\" y1=\"%.0f\" x2=\"%.0f\" y2=\"%.0f\"/>\n",
            frame->left, bottom, right, bottom);
    fprintf(out, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n", frame->left - 9,
            frame->top - 14, gib ? "GiB" : "MiB");
    fprintf(out, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">seconds since start</text>\n",
            frame->left + frame->width / 2, bottom + 42);
}

/* One line, thinned: of all samples that fall on one unit of width, the lowest and the highest, in
 * order of time. */
static void draw_line(FILE *out, const struct tm_chart_frame *frame,
                      const struct tm_compare_run *run, const char *classes, unsigned row)
{
    if (run->count == 0)
        return;
    fprintf(out, "<polyline class=\"%s series-%u\" points=\"", classes, row);
    for (size_t i = 0; i < run->count;) {
        int column = (int)x_of(frame, run->samples[i].seconds);
        size_t low = i, high = i, next = i + 1;
        for (; next < run->count && (int)x_of(frame, run->samples[next].seconds) == column;
             next++) {
            if (run->samples[next].bytes < run->samples[low].bytes)
                low = next;
            if (run->samples[next].bytes > run->samples[high].bytes)
                high = next;
        }
        size_t pair[2] = {low < high ? low : high, low < high ? high : low};
        for (int k = 0; k < (low == high ? 1 : 2); k++)
            fprintf(out, "%.1f,%.1f ", x_of(frame, run->samples[pair[k]].seconds),
                    y_of(frame, (double)run->samples[pair[k]].bytes));
        i = next;
    }
    fputs("\"/>\n", out);
}

struct label {
    unsigned row;
    double x, y; /* where the line ends */
    double at;   /* where the label stands */
};

static int by_height(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    return (x->y > y->y) - (x->y < y->y);
}

/* Labels stand at their line's end where there is room, and give way to each other. */
static void place_labels(struct label *labels, unsigned count, const struct tm_chart_frame *frame)
{
    double bottom = frame->top + frame->height - 6;
    qsort(labels, count, sizeof *labels, by_height);
    for (unsigned i = 0; i < count; i++) {
        double least = i ? labels[i - 1].at + LABEL_STEP : frame->top;
        labels[i].at = fmax(labels[i].y, least);
    }
    for (unsigned i = count; i-- > 0;) {
        double most = i + 1 < count ? labels[i + 1].at - LABEL_STEP : bottom;
        labels[i].at = fmin(labels[i].at, most);
    }
}

static void draw_labels(FILE *out, const struct tm_comparison *all,
                        const struct tm_chart_frame *frame)
{
    struct label labels[TM_ALLOCATORS_MOST];
    unsigned count = 0;
    for (unsigned row = 0; row < all->set.count; row++) {
        int typical = tm_typical_run(all, row);
        if (typical < 0)
            continue;
        const struct tm_compare_run *run = tm_run_of(all, row, (unsigned)typical);
        const struct tm_compare_sample *last = &run->samples[run->count - 1];
        labels[count++] = (struct label){
            .row = row, .x = x_of(frame, last->seconds), .y = y_of(frame, (double)last->bytes)};
    }
    place_labels(labels, count, frame);
    double edge = frame->left + frame->width;
    for (unsigned i = 0; i < count; i++) {
        unsigned row = labels[i].row;
        double at = labels[i].at;
        const char *pools = all->set.all[row].own_pools ? " pools" : "";
        fprintf(out,
                "<polyline class=\"lead series-%u\" points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"/>",
                row, labels[i].x, labels[i].y, edge + 4, labels[i].y, edge + 14, at);
        fprintf(out,
                "<line class=\"line own%s series-%u\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" "
                "y2=\"%.1f\"/>",
                pools, row, edge + 14, at, edge + 38, at);
        fprintf(out, "<text class=\"name\" x=\"%.0f\" y=\"%.1f\">", edge + 45, at + 1);
        tm_chart_escape(out, all->set.all[row].name);
        char after[TM_FIGURE_TEXT];
        struct tm_summary summary = tm_summary_of(all, row, TM_FIGURE_AFTER);
        fprintf(out, "</text><text x=\"%.0f\" y=\"%.1f\">%s", edge + 45, at + 16,
                tm_figure_text(TM_UNIT_BYTES, summary.median, after));
        double ratio = tm_ratio_of(all, row, TM_FIGURE_AFTER);
        if (!isnan(ratio))
            fprintf(out, " after peak, %.2fx", ratio);
        fputs("</text>\n", out);
    }
}

void tm_chart_draw(FILE *out, const struct tm_comparison *all)
{
    struct tm_chart_frame frame = tm_chart_frame_of(all);
    char command[128];
    /* Cut at a byte that starts a character, so that the text stays valid UTF-8. */
    size_t length = strlen(all->command);
    size_t cut = length < sizeof command - 4 ? length : sizeof command - 4;
    while (cut > 0 && cut < length && ((unsigned char)all->command[cut] & 0xc0) == 0x80)
        cut--;
    snprintf(command, sizeof command, "%.*s%s", (int)cut, all->command,
             cut < length ? "\342\200\246" : "");
    fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
    fprintf(out,
            "<text class=\"title\" x=\"%d\" y=\"27\">Resident memory over time</text>"
            "<text x=\"%d\" y=\"46\">",
            LEFT, LEFT);
    tm_chart_escape(out, command);
    fputs("</text>\n", out);
    draw_axes(out, &frame);
    for (unsigned row = 0; row < all->set.count; row++) {
        int typical = tm_typical_run(all, row);
        for (unsigned n = 0; n < all->done; n++)
            if ((int)n != typical && !tm_run_of(all, row, n)->failed)
                draw_line(out, &frame, tm_run_of(all, row, n), "line faint", row);
    }
    /* Tidemark's line last, so that it lies on top. */
    for (int own = 0; own < 2; own++)
        for (unsigned row = 0; row < all->set.count; row++) {
            int typical = tm_typical_run(all, row);
            if (typical < 0 || all->set.all[row].tidemark != (own == 1))
                continue;
            const char *classes = own                           ? "line own"
                                  : all->set.all[row].own_pools ? "line pools"
                                                                : "line";
            draw_line(out, &frame, tm_run_of(all, row, (unsigned)typical), classes, row);
        }
    draw_labels(out, all, &frame);
}

void tm_chart_write_svg(FILE *out, const struct tm_comparison *all)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 %d %d\" "
            "width=\"%d\" height=\"%d\" role=\"img\">\n<style>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    tm_chart_style(out, all);
    fputs("</style>\n", out);
    tm_chart_draw(out, all);
    fputs("</svg>\n", out);
}
