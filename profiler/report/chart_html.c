/* chart_html.c: the comparison as one HTML file: the picture, what came out, the table, what each
 * figure means. No network, no library; a short script shows the values under the pointer and the
 * page is whole without it. See chart.h.
 */
#include "profiler/report/chart.h"

#include "profiler/report/compare_output.h"

#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1c2128;--soft:#5b6470;--rule:#e4e7eb;"
    "--shade:#f5f7f9;--bar:#cfe3f4}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e6e9ed;--soft:#98a2ae;"
    "--rule:#272d35;--shade:#1b2027;--bar:#1f4361}}\n"
    "body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'DejaVu Sans',sans-serif;max-width:1060px;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}\n"
    "code{font:.92em ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\n"
    ".verdict{font-size:1.12rem;margin:.8rem 0}.soft,dd{color:var(--soft)}\n"
    ".wide{overflow-x:auto}svg{width:100%;height:auto;display:block}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid var(--rule);"
    "white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left;font-weight:600}\n"
    "thead th{color:var(--soft);font-weight:500}\n"
    "td small{display:block;color:var(--soft)}tr.own{background:var(--shade)}\n"
    "td.bar{background:linear-gradient(to left,var(--bar) var(--part),transparent var(--part))}\n"
    ".failed{color:#c0392b;text-align:left}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{font-weight:600}"
    "dd{margin:0}\n"
    "#readout{min-height:1.6em;color:var(--soft)}#readout b{color:var(--ink);margin-left:1em}\n"
    "#cursor{stroke:var(--soft);stroke-dasharray:3 3}\n";

/* Reads the values off the drawn lines, so that the file carries each point once. */
static const char script[] =
    "const svg=document.querySelector('svg.chart'),cursor=document.getElementById('cursor'),"
    "out=document.getElementById('readout');\n"
    "const lines=names.map((n,i)=>[n,[...svg.querySelectorAll('polyline.line.series-'+i+"
    "':not(.faint)')].map(l=>[...l.points])[0]]).filter(l=>l[1]);\n"
    "svg.addEventListener('pointermove',e=>{\n"
    " const box=svg.getBoundingClientRect(),x=(e.clientX-box.left)*1000/box.width;\n"
    " if(x<frame.left||x>frame.left+frame.width){cursor.style.display='none';return}\n"
    " cursor.style.display='';cursor.setAttribute('x1',x);cursor.setAttribute('x2',x);\n"
    " let text=((x-frame.left)/frame.width*frame.seconds).toFixed(2)+' s';\n"
    " out.textContent=text;\n"
    " for(const [name,points] of lines){\n"
    "  if(x>points[points.length-1].x+1)continue;\n"
    "  let p=points[0];for(const q of points)if(q.x<=x)p=q;\n"
    "  const mib=(frame.top+frame.height-p.y)/frame.height*frame.bytes/1048576;\n"
    "  const b=document.createElement('b');b.textContent=name;\n"
    "  out.append(b,' '+mib.toFixed(1)+' MiB')}});\n";

static void write_cell(FILE *out, const struct tm_comparison *all, unsigned row,
                       enum tm_figure figure, double largest)
{
    char text[TM_FIGURE_TEXT];
    struct tm_summary summary = tm_summary_of(all, row, figure);
    double ratio = tm_ratio_of(all, row, figure);
    bool bar =
        tm_figure_kinds[figure].unit == TM_UNIT_BYTES && largest > 0 && !isnan(summary.median);
    fputs("<td", out);
    if (bar)
        fprintf(out, " class=\"bar\" style=\"--part:%.1f%%\"", 100 * summary.median / largest);
    fprintf(out, ">%s<small>", tm_figure_text(tm_figure_kinds[figure].unit, summary.median, text));
    if (!isnan(ratio))
        fprintf(out, "%.2fx", ratio);
    if (all->done > 1 && summary.median > 0)
        fprintf(out, " &plusmn;%.0f%%", 50 * (summary.high - summary.low) / summary.median);
    fputs("</small></td>", out);
}

static double largest_of(const struct tm_comparison *all, enum tm_figure figure)
{
    double largest = 0;
    for (unsigned row = 0; row < all->set.count; row++)
        largest = fmax(largest, tm_summary_of(all, row, figure).median);
    return largest;
}

static void write_row(FILE *out, const struct tm_comparison *all, unsigned row)
{
    const struct tm_allocator *allocator = &all->set.all[row];
    fprintf(out, "<tr%s><td>", allocator->tidemark ? " class=\"own\"" : "");
    tm_chart_escape(out, allocator->name);
    fputs("</td>", out);
    if (isnan(tm_summary_of(all, row, TM_FIGURE_WALL).median)) {
        fprintf(out, "<td class=\"failed\" colspan=\"%d\">failed: ", TM_FIGURES);
        tm_chart_escape(out, tm_run_of(all, row, 0)->failure);
        fputs("</td>", out);
    } else {
        for (int i = 0; i < TM_FIGURES; i++)
            write_cell(out, all, row, (enum tm_figure)i, largest_of(all, (enum tm_figure)i));
    }
    fputs("</tr>\n", out);
}

static void write_table(FILE *out, const struct tm_comparison *all)
{
    fputs("<div class=\"wide\"><table><thead><tr><th></th>", out);
    for (int i = 0; i < TM_FIGURES; i++)
        fprintf(out, "<th>%s</th>", tm_figure_kinds[i].title);
    fputs("</tr></thead><tbody>\n", out);
    for (unsigned row = 0; row < all->set.count; row++)
        write_row(out, all, row);
    fputs("</tbody></table></div>\n", out);
}

/* Names go into the script as text content of the page, where < cannot open a tag. */
static void write_script(FILE *out, const struct tm_comparison *all)
{
    struct tm_chart_frame frame = tm_chart_frame_of(all);
    fprintf(out,
            "<script>\nconst frame={left:%.0f,top:%.0f,width:%.0f,height:%.0f,seconds:%.6f,"
            "bytes:%.0f};\nconst names=[",
            frame.left, frame.top, frame.width, frame.height, frame.seconds, frame.bytes);
    for (unsigned row = 0; row < all->set.count; row++) {
        fputs(row ? ",\"" : "\"", out);
        for (const char *at = all->set.all[row].name; *at; at++) {
            unsigned char c = (unsigned char)*at;
            if (c < 0x20 || strchr("\"\\<>&", c))
                fprintf(out, "\\u%04x", c);
            else
                fputc(c, out);
        }
        fputc('"', out);
    }
    fprintf(out, "];\n%s</script>\n", script);
}

static void write_circumstances(FILE *out, const struct tm_comparison *all)
{
    char text[TM_NOTE_TEXT];
    tm_compare_method(all, text);
    fputs("<p class=\"soft\">", out);
    tm_chart_escape(out, text);
    struct utsname system;
    char date[64] = "";
    time_t now = time(NULL);
    struct tm broken;
    if (gmtime_r(&now, &broken))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &broken);
    if (uname(&system) == 0) {
        fputs(" Measured ", out);
        fprintf(out, "%s on %s ", date, system.sysname);
        tm_chart_escape(out, system.release);
        fputs(", ", out);
        tm_chart_escape(out, system.machine);
        fputs(", by tidemark " TIDEMARK_VERSION ".", out);
    }
    fputs("</p>\n", out);
    bool any = false;
    for (unsigned i = 0; tm_compare_note(all, i, text); i++) {
        fputs(any ? "<li>" : "<h2>To be known</h2>\n<ul><li>", out);
        tm_chart_escape(out, text);
        fputs("</li>\n", out);
        any = true;
    }
    if (any)
        fputs("</ul>\n", out);
}

void tm_chart_write_html(FILE *out, const struct tm_comparison *all)
{
    char verdict[TM_NOTE_TEXT];
    struct tm_chart_frame frame = tm_chart_frame_of(all);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<title>tidemark compare</title>\n<style>\n",
          out);
    fputs(style, out);
    tm_chart_style(out, all);
    fputs("</style></head><body>\n<h1>tidemark compare</h1>\n<code>", out);
    tm_chart_escape(out, all->command);
    fputs("</code>\n<p class=\"verdict\">", out);
    tm_compare_verdict(all, verdict);
    tm_chart_escape(out, verdict);
    fputs("</p>\n<svg class=\"chart\" viewBox=\"0 0 1000 520\" role=\"img\" "
          "aria-label=\"resident memory over time\">\n",
          out);
    tm_chart_draw(out, all);
    fprintf(out,
            "<line id=\"cursor\" x1=\"0\" x2=\"0\" y1=\"%.0f\" y2=\"%.0f\" "
            "style=\"display:none\"/>\n</svg>\n<div id=\"readout\"></div>\n<h2>Figures</h2>\n",
            frame.top, frame.top + frame.height);
    write_table(out, all);
    write_circumstances(out, all);
    fputs("<h2>What the figures mean</h2>\n<dl>\n", out);
    for (int i = 0; i < TM_FIGURES; i++)
        fprintf(out, "<dt>%s</dt><dd>%s</dd>\n", tm_figure_kinds[i].title,
                tm_figure_kinds[i].meaning);
    fputs("</dl>\n", out);
    write_script(out, all);
    fputs("</body></html>\n", out);
}
