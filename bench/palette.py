"""Colours of the allocators, those of `tidemark compare`, for light and dark paper."""

NAMED = {"tidemark": ("#0a6fb8", "#4db4ff"), "glibc": ("#5c6470", "#aab3bf"), "jemalloc": ("#d1540a", "#ff8a47"),
         "mimalloc": ("#0b8f6a", "#2fd0a0"), "tcmalloc": ("#b0508a", "#ec8fc6"), "scudo": ("#8a6d00", "#e3c04a")}
OTHERS = (("#6b4fc0", "#ab95f5"), ("#3c7a1e", "#8ed267"), ("#b3261e", "#ff8a80"))


def colours(names):
    """{name: (light, dark)}"""
    others = [name for name in names if name not in NAMED]
    return {name: NAMED.get(name) or OTHERS[others.index(name) % len(OTHERS)] for name in names}


def style(names):
    """CSS of the charts. Literal colours, no custom properties: viewers that know little CSS show the light ones."""
    lines = [".chart text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:12px}",
             ".chart .title{font-size:17px;font-weight:600}", ".chart .name{font-size:13px;font-weight:600}",
             ".chart .small{font-size:10px}",
             ".chart .halo{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}",
             ".chart .grid,.chart .axis{stroke-width:1}",
             ".chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round}", ".chart .own{stroke-width:3}"]
    for dark in (0, 1):
        ink, title, paper, rule, axis = (("#5b6470", "#1c2128", "#ffffff", "#e4e7eb", "#aab1ba"),
                                         ("#98a2ae", "#e6e9ed", "#14181d", "#272d35", "#4d5762"))[dark]
        rules = [f".chart text{{fill:{ink}}}", f".chart .title,.chart .name{{fill:{title}}}",
                 f".chart .paper{{fill:{paper}}}", f".chart .halo{{stroke:{paper}}}", f".chart .grid{{stroke:{rule}}}",
                 f".chart .axis{{stroke:{axis}}}"]
        rules += [f".chart .fill-{index}{{fill:{pair[dark]}}}.chart .line-{index}{{stroke:{pair[dark]}}}"
                  for index, pair in enumerate(colours(names).values())]
        lines += ["@media (prefers-color-scheme:dark){"] + rules + ["}"] if dark else rules
    return "\n".join(lines)


def svg(names, width, height, title, body):
    """One picture, with its style inside."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="{title}">\n<style>\n{style(names)}\n</style>\n'
            f'<rect class="paper" width="{width}" height="{height}"/>\n' + "\n".join(body) + "\n</svg>\n")


def legend(names, left, y, without=()):
    """Swatches with names in a line."""
    found, x = [], left
    for index, name in enumerate(names):
        if name in without:
            continue
        found.append(f'<rect class="fill-{index}" x="{x}" y="{y - 9}" width="14" height="9"/>'
                     f'<text class="name" x="{x + 19}" y="{y}">{name}</text>')
        x += 34 + 8 * len(name)
    return found
