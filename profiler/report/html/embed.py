#!/usr/bin/env python3
"""Makes one C file of a page: embed.py NAME TEMPLATE OUT. A template names files beside it in lines <!--style A.css B.css-->
and <!--script A.js B.js-->; they are put in there as one element, and <!--policy--> becomes the content security policy
with the hashes of these two. The page's data comes in at <!--data-->, when a report is written. The comments that head
the files stay in them: who looks at the page's source finds out what it is made of."""
import base64
import hashlib
import pathlib
import re
import sys


def hash_of(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def policy(style, script):
    """Nothing is loaded; the page's own style and script run, and nothing else."""
    return f"default-src 'none'; style-src {hash_of(style)}; script-src {hash_of(script)}; base-uri 'none'; form-action 'none'"


def literal(text):
    """A C string, one literal for each line."""
    quoted = []
    for line in text.splitlines(keepends=True):
        out = []
        for byte in line.encode():
            char = chr(byte)
            if char in '"\\?':
                out.append('\\' + char)
            elif 32 <= byte < 127:
                out.append(char)
            else:
                out.append(f'\\{byte:03o}')
        quoted.append('"' + ''.join(out) + '"')
    return '\n    '.join(quoted)


def main():
    name, template, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    page = template.read_text()
    parts = {}
    for kind in 'style', 'script':
        line, files = re.search(rf'(<!--{kind} (.*)-->)', page).groups()
        text = '\n' + '\n'.join((template.parent / file).read_text() for file in files.split())
        if '</' + kind in text:
            sys.exit(f'embed.py: {files} would end the <{kind}> that they are put into')
        parts[kind] = text
        page = page.replace(line, f'<{kind}>{text}</{kind}>')
    page = page.replace('<!--policy-->', policy(**parts))
    before, after = page.split('<!--data-->')
    out.write_text(f'/* Made from {template.name} by embed.py. */\n#include "profiler/report/html_page.h"\n\n'
                   f'const struct tm_html_page tm_html_{name}_page = {{\n    {literal(before)},\n    {literal(after)},\n}};\n')


main()
