"""index.html: charts and tables of one measurement in one file that needs no network."""

from html import escape

import table

STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;
 color:#1c2128;background:#fff}
h1{font-size:24px}h2{font-size:19px;margin-top:40px}h3{font-size:14px;font-weight:600;margin-bottom:6px}
pre{font-size:12px;white-space:pre-wrap}
.wide{overflow-x:auto}svg.chart{max-width:100%;height:auto}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums}
td,th{padding:2px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid #e4e7eb}
td:first-child,th:first-child{text-align:left}
tr:hover td{background:#f2f5f8}
th.own,td.own{font-weight:600;color:#0a6fb8}
@media (prefers-color-scheme:dark){body{color:#e6e9ed;background:#14181d}td,th{border-color:#272d35}
 tr:hover td{background:#1d232a}th.own,td.own{color:#4db4ff}}
"""


def table_of(rows):
    """Rules between columns are for text only."""
    rules = {column for row in rows for column, text in enumerate(row) if text == "|"}
    own = {column for column, text in enumerate(rows[0]) if text == "tidemark"}
    lines = []
    for index, row in enumerate(rows):
        tag = "td" if index else "th"
        cells = "".join(f'<{tag}{" class=own" if column in own else ""}>{escape(text)}</{tag}>'
                        for column, text in enumerate(row) if column not in rules)
        lines.append(f"<tr>{cells}</tr>")
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def block_of(block):
    parts = [f"<h3>{escape(block.title)}</h3>"]
    if block.rows:
        parts.append(table_of(block.rows))
    parts += [f"<p>{escape(note)}</p>" for note in block.notes]
    return "\n".join(parts)


def draw(results, charts):
    """`charts`: {section: svg}"""
    parts = ['<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
             f'content="width=device-width"><title>Tidemark: benchmark</title><style>{STYLE}</style></head><body>',
             "<h1>Tidemark beside other allocators</h1>", f"<pre>{escape(chr(10).join(table.head(results)))}</pre>"]
    for name, section in table.SECTIONS.items():
        if results.get(name):
            parts.append(f'<h2 id="{name}">{section.TITLE}</h2>')
            if name in charts:
                parts.append(f'<div class="wide">{charts[name]}</div>')
            parts += [block_of(block) for block in section.blocks(results, True)]
    return "\n".join(parts + ["</body></html>\n"])
