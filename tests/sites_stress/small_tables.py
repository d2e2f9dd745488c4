#!/usr/bin/env python3
"""Copies a header of the recorder with tables so small that a test fills them.

usage: small_tables.py HEADER OUTPUT NAME VALUE     fails if HEADER does not define the enumerator NAME once
"""
import re
import sys


def main():
    source, output, name, value = sys.argv[1:]
    with open(source, encoding='utf-8') as file:
        text = file.read()
    text, changed = re.subn(rf'\b{name} = [^,}}]*?(?=,| }})', f'{name} = {value}', text)
    if changed != 1:
        sys.exit(f'{source}: "{name} = ..." is there {changed} times instead of once; say in small_tables.py how it is '
                 'written now')
    with open(output, 'w', encoding='utf-8') as file:
        file.write(text)


if __name__ == '__main__':
    main()
