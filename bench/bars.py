"""chart.svg: wall time and peak RSS of each workload under each allocator, as bars of the ratio to the reference, which is
the line at 1. Bars start at 0. Those that would leave the picture are cut off, and their numbers stand beside them in order."""

from xml.sax.saxutils import escape

import palette
import summary
from columns import number

WIDTH, LEFT, PANEL, GAP, TOP = 1000, 150, 365, 62, 96
BAR, BETWEEN, MOST = 3.6, 7, 3.0
PANELS = (("wall", "wall time"), ("rss", "peak RSS"))


def rows_of(results):
    """(title or None, name, {measure: {allocator: ratio}}, failed) from top to bottom."""
    record, reference = results["times"], results["reference"]
    names = [one["name"] for one in results["allocators"]]
    for group, means in record["means"].items():
        yield "geometric means" if group == "all" else None, group, means, {}
    for kind, title in (("program", "programs"), ("allocation", "allocation workloads")):
        for work in record["workloads"]:
            if work["kind"] == kind:
                ratios = {what: {name: summary.ratio(work, name, what, reference) for name in names} for what, _ in PANELS}
                yield title, work["name"], ratios, work["failed"]
                title = None


def length(value):
    """Of a bar, cut off at the edge."""
    return PANEL * min(value, MOST) / MOST


def bars_of(left, y, ratios, failed, names, shown):
    """One workload's bars in one panel; over them, Tidemark's number or who failed."""
    over, parts = [], []
    beyond = [number(ratios[one], 2) for one in shown if (ratios.get(one) or 0) > MOST]
    if beyond:
        over.append((left + PANEL + 3, y + BAR * len(shown) / 2 + 4, " ".join(beyond)))
    for place, allocator in enumerate(shown):
        value, at = ratios.get(allocator), y + place * BAR
        if value:
            parts.append(f'<rect class="fill-{names.index(allocator)}" x="{left}" y="{at:.1f}" width="{length(value):.1f}" '
                         f'height="{BAR}"/>')
            if allocator == "tidemark" and value <= MOST:
                over.append((left + length(value) + 3, at + BAR + 2, f"{value:.2f}"))
        elif allocator in failed:
            over.append((left + 3, at + BAR + 2, f"{allocator} failed"))
    return parts + [f'<text class="small halo" x="{x:.1f}" y="{at:.1f}">{escape(text)}</text>' for x, at, text in over]


def axes(bottom, reference):
    parts = []
    for panel, (_, title) in enumerate(PANELS):
        left = LEFT + panel * (PANEL + GAP)
        parts.append(f'<text class="name" x="{left}" y="{TOP - 22}">{title} / {escape(reference)}\'s</text>')
        for tick in range(int(MOST / 0.5) + 1):
            x = left + PANEL * tick * 0.5 / MOST
            kind = "axis" if tick == 2 else "grid"
            parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}"/>'
                         f'<text class="small" x="{x:.1f}" y="{TOP - 8}" text-anchor="middle">{tick * 0.5:g}</text>')
    return parts


def draw(results):
    names = [one["name"] for one in results["allocators"]]
    shown = [name for name in names if name != results["reference"]]
    height_of_row = BAR * len(shown) + BETWEEN
    y, body = TOP, []
    for title, name, ratios, failed in rows_of(results):
        if title:
            y += 22
            body.append(f'<text class="name" x="12" y="{y - 6}">{title}</text>')
        body.append(f'<text x="{LEFT - 8}" y="{y + height_of_row / 2:.1f}" text-anchor="end">{escape(name)}</text>')
        for panel, (what, _) in enumerate(PANELS):
            body += bars_of(LEFT + panel * (PANEL + GAP), y + BETWEEN / 2, ratios[what], failed, names, shown)
        y += height_of_row
    y += 8
    machine = results["machine"]
    head = [f'<text class="title" x="12" y="27">Time and memory against {escape(results["reference"])}: shorter is better'
            f'</text><text x="12" y="{y + 20}">{escape(machine["cpu"])}, {machine["cores"]} cores, Linux '
            f'{escape(machine["kernel"])}; medians of {results["times"]["rounds"]} interleaved rounds</text>']
    head += palette.legend(names, 12, 50, without=(results["reference"],))
    return palette.svg(names, WIDTH, round(y + 34), "Time and memory of each workload under each allocator",
                       head + axes(y, results["reference"]) + body)
