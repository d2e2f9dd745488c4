"""What a section shows: blocks of a title, rows and notes; as aligned columns in text. Short numbers."""

import collections

# `rows`: lists of texts, the first row the heads, the first column the names; a "|" alone is a rule between columns.
Block = collections.namedtuple("Block", "title rows notes")


def grid(rows):
    """Rows of texts as aligned lines: the first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    return ["  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                      for column, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def text_of(block):
    return "\n".join([block.title] + (grid(block.rows) if block.rows else []) + block.notes)


def number(value, digits=3):
    """About so many digits, no exponent; "-" for None."""
    if value is None:
        return "-"
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"


def amount(value, unit):
    """A number in a measure's own unit: s, B (as MiB), ratio, count, ns."""
    if value is None:
        return "-"
    if unit == "B":
        return number(value / (1 << 20))
    if unit == "count":
        return f"{value / 1000:.0f}k" if value >= 100_000 else f"{value / 1000:.1f}k" if value >= 10_000 else f"{value:.0f}"
    return f"{value:.3f}" if unit == "s" and value < 10 else number(value)
