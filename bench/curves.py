"""scale.svg: time per operation, RSS per live byte and mappings, against live bytes (above) and threads (below). Both axes
are logarithmic: a cost that does not grow is a level line."""

import math
from xml.sax.saxutils import escape

import palette

WIDTH, HEIGHT, LEFT, TOP, PANEL_WIDTH, PANEL_HEIGHT, ACROSS, DOWN = 1000, 640, 60, 100, 250, 200, 330, 270
COLUMNS = (("replace_cpu", "CPU ns per replacement"), ("rss_per_live", "RSS per live byte"), ("mappings", "mappings"))


def size(live):
    return f"{live >> 30} GiB" if live >= 1 << 30 else f"{live >> 20} MiB"


def ticks(low, high):
    """Round numbers from below `low` to above `high`, a few in any range."""
    factors = (1, 1.2, 1.5, 2, 3, 5, 7) if high < 4 * low else (1, 2, 5)
    steps = [factor * 10.0 ** power for power in range(-3, 8) for factor in factors]
    below = max((step for step in steps if step <= low), default=steps[0])
    above = min((step for step in steps if step >= high), default=steps[-1])
    if below == above:
        above = next(step for step in steps if step > below)
    chosen = [step for step in steps if below <= step <= above]
    return chosen if len(chosen) <= 7 else [below] + [s for s in chosen[1:-1] if f"{s:e}"[0] == "1"] + [above]


def panel(left, top, title, points, values, labels, names):
    """`points`: positions on x; `values`: {name: [value or None for each point]}."""
    known = [value for line in values.values() for value in line if value]
    if not known:
        return []
    marks = ticks(min(known), max(known))
    low, high = math.log(marks[0]), math.log(marks[-1])
    first, last = math.log(points[0]), math.log(points[-1])

    def x_of(point):
        return left + (PANEL_WIDTH * (math.log(point) - first) / (last - first) if last > first else PANEL_WIDTH / 2)

    def y_of(value):
        return top + PANEL_HEIGHT * (1 - (math.log(value) - low) / (high - low))

    body = [f'<text class="name" x="{left}" y="{top - 12}">{title}</text>']
    for mark in marks:
        body.append(f'<line class="grid" x1="{left}" y1="{y_of(mark):.1f}" x2="{left + PANEL_WIDTH}" y2="{y_of(mark):.1f}"/>'
                    f'<text class="small" x="{left - 6}" y="{y_of(mark) + 3:.1f}" text-anchor="end">{mark:g}</text>')
    for point, label in zip(points, labels):
        body.append(f'<line class="axis" x1="{x_of(point):.1f}" y1="{top + PANEL_HEIGHT}" x2="{x_of(point):.1f}" '
                    f'y2="{top + PANEL_HEIGHT + 5}"/><text class="small" x="{x_of(point):.1f}" '
                    f'y="{top + PANEL_HEIGHT + 17}" text-anchor="middle">{escape(label)}</text>')
    body.append(f'<line class="axis" x1="{left}" y1="{top + PANEL_HEIGHT}" x2="{left + PANEL_WIDTH}" '
                f'y2="{top + PANEL_HEIGHT}"/>')
    for name in sorted(values, key=lambda one: one == "tidemark"):  # Tidemark's line on top
        placed = [(x_of(point), y_of(value)) for point, value in zip(points, values[name]) if value]
        own, index = (" own" if name == "tidemark" else ""), names.index(name)
        body.append(f'<polyline class="line{own} line-{index}" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
                    + '"/>' + "".join(f'<circle class="fill-{index}" cx="{x:.1f}" cy="{y:.1f}" r="{3.2 if own else 2.4}"/>'
                                      for x, y in placed))
    return body


def draw(results):
    names = [one["name"] for one in results["allocators"]]
    works = results["scale"]["workloads"]
    fixed = min((work["live"] for work in works if work["threads"] > 1), default=None)
    series = ((sorted((work for work in works if work["threads"] == 1), key=lambda work: work["live"]), "live",
               lambda work: size(work["live"]), "live bytes, 1 thread"),
              (sorted((work for work in works if work["live"] == fixed), key=lambda work: work["threads"]), "threads",
               lambda work: str(work["threads"]), f"threads, {size(fixed)} live" if fixed else ""))
    machine = results["machine"]
    body = ['<text class="title" x="12" y="27">Cost as work grows</text>', *palette.legend(names, 12, 52),
            f'<text x="12" y="{HEIGHT - 12}">{escape(machine["cpu"])}, {machine["cores"]} cores; blocks of 16 to 512 bytes; '
            f'vm.max_map_count is {machine["max_map_count"]}</text>']
    for row, (line, key, label, axis) in enumerate(series):
        if not line:
            continue
        top = TOP + row * DOWN
        for column, (what, title) in enumerate(COLUMNS):
            left = LEFT + column * ACROSS
            values = {name: [work["figures"][name][what]["median"] if name in work["figures"] else None for work in line]
                      for name in names}
            body += panel(left, top, title, [work[key] for work in line], values, [label(work) for work in line], names)
            body.append(f'<text class="small" x="{left + PANEL_WIDTH}" y="{top + PANEL_HEIGHT + 32}" '
                        f'text-anchor="end">{axis}</text>')
    return palette.svg(names, WIDTH, HEIGHT, "Cost as work grows", body)
