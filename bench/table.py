"""The results as text: one block for each section, aligned columns, no line that a terminal of 140 columns breaks for the
usual six allocators."""

import summary

UNITS = {"wall": ("s", 1), "cpu": ("s", 1), "rss": ("MiB", 1 << 20), "faults": ("k", 1000)}
TITLES = {"wall": "Wall time", "cpu": "CPU time, user and system", "rss": "Peak RSS", "faults": "Page faults"}


def grid(rows):
    """Rows of texts as aligned lines: the first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    return ["  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                      for column, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def number(value, digits=3):
    """About so many digits, no exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"


def times_block(results, measure):
    """One measure: a line a workload, the median and its spread, then the ratio to the reference."""
    names = [one["name"] for one in results["allocators"]]
    reference = results["summary"]["reference"]
    unit, divisor = UNITS[measure]
    spread = measure in ("wall", "cpu")
    lines = [f"{TITLES[measure]}: median in {unit}" + (" ±median absolute deviation in %" if spread else "")
             + f"; then the ratio to {reference}, and tidemark to the peers' median and best"]
    rows = [["", *names, "|", *names, "|", "t/median", "t/best"]]
    for work in results["times"]["workloads"]:
        row = [work["name"]]
        for name in names:
            if name in work["figures"]:
                one = work["figures"][name][measure]
                text = number(one["median"] / divisor)
                if spread:
                    text += f" ±{100 * one['mad'] / one['median']:.0f}" if one["median"] else " ±0"
                row.append(text)
            else:
                row.append("failed" if name in work["failed"] else "-")
        row.append("|")
        row += [number(summary.ratio(work, name, measure, reference)) for name in names]
        row.append("|")
        row += [number(value) for value in work["to_peers"].get(measure) or (None, None)]
        rows.append(row)
    for group, means in results["summary"]["means"].items():
        if measure in means:
            rows.append([f"mean of {group}"] + [""] * len(names) + ["|"] + [number(means[measure][name]) for name in names]
                        + ["|"])
    return lines + grid(rows)


def means_lines(results):
    """What the means leave out, and the targets."""
    lines = []
    for group, means in results["summary"]["means"].items():
        if means["left_out"]:
            lines.append(f"Left out of the means of {group}, since not every allocator finished it: "
                         f"{', '.join(means['left_out'])}")
    for measure, target in results["summary"]["targets"].items():
        if target:
            lines.append(f"{TITLES[measure]}: geometric mean over {target['workloads']} workloads is "
                         f"{target['mean_to_best_peer']:.3f} of the best peer's ({target['best_peer']}); worst to the median "
                         f"of the peers: {target['worst_to_median']:.2f} ({target['worst_workload']})")
    return lines


def failures(results):
    return [f"failed: {work['name']} under {name}: {reason}" for work in results["times"]["workloads"]
            for name, reason in work["failed"].items()]


def head(results):
    machine = results["machine"]
    lines = [f"Tidemark {results['revision']}, measured {results['started']} with: {results['command']}",
             f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / (1 << 30):.1f} GiB, {machine['system']}, "
             f"Linux {machine['kernel']}, transparent huge pages {machine['huge_pages']}"]
    lines += [f"  {one['name']:9} {one['version']}" + (f" ({one['path']})" if one["kind"] != "peer" else "")
              for one in results["allocators"]]
    return lines + [f"  {line}" for line in results["left_out"]]


def text(results):
    """The whole table."""
    blocks = [head(results)]
    if "times" in results:
        blocks.append([f"Each figure is the median of {results['times']['rounds']} interleaved rounds; RSS is the "
                       "process's whole peak, its own tables and its code included."])
        blocks += [times_block(results, measure) for measure in ("wall", "cpu", "rss", "faults")]
        blocks.append(failures(results))
        blocks.append(["Targets"] + means_lines(results))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
