"""What is written for other programs: whatever a name holds, a file of the format says what it says without it: JSON parses,
a line stays a line, a field a field, and no cell is a formula."""
import csv
import gzip
import html.parser
import json
import re
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from hostile import ALL, FORMULA, LIBRARY, LINES, MARKUP, PROGRAM, TERMINAL, Hostile, clean_environment, snapshot

HEXADECIMAL = '[0-9a-f]+'
# Every line that a file of the format can have.
GRAMMARS = {
    'folded': [r'[^;\n]+(;[^;\n]+)* \d+'],
    'massif': [r'desc: tidemark export', r'cmd: .*', r'time_unit: ms', r'#-----------', r'(snapshot|time|mem_heap_B|mem_heap_extra_B)=\d+',
               r'mem_stacks_B=0', r'heap_tree=(empty|peak|detailed)', r' *n\d+: \d+ (0x[0-9A-F]+: [^#]+ \([^#]*\)|\(heap allocation.*|in \d+ place.*|thread \d+|\[[^#]*)'],
    'gperftools': [r'heap profile: .* @ heapprofile', r'\d+: \d+ \[\d+: \d+\] @( 0x[0-9a-f]+)+', '', 'MAPPED_LIBRARIES:',
                   rf'{HEXADECIMAL}-{HEXADECIMAL} [r-][w-][x-][sp] {HEXADECIMAL} 00:00 \d+ .*'],
    'heaptrack': [r'v 10400 3', r'X .*', r'I 1000 0', r's [0-9a-f]+ .*', rf'[tia]( {HEXADECIMAL})+', rf'[-+cR] {HEXADECIMAL}'],
    'openmetrics': [r'# (HELP|TYPE|UNIT) tidemark_[a-z_]+ .*', r'# EOF',
                    r'tidemark_[a-z_]+\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\} -?[0-9.]+'],
}


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = []
        self.handlers = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith('on')]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def strings_of_pprof(data):
    """The string table: field 6 of the message."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        size, at = varint(data, at)
        if key & 7 == 2:
            if key >> 3 == 6:
                found.append(data[at:at + size])
            at += size
    return found


class Formats(Hostile):
    def export(self, form, *options):
        return self.run_command('export', '--format', form, *options, self.before)

    def test_json(self):
        """Plain, and still what the names were: bytes that are no characters are U+FFFD."""
        kinds = {'report': (self.before,), 'diff': (self.before, self.after)}
        for command, files in kinds.items():
            data = json.loads(self.assert_plain(self.run_command(command, '--json', *files)))
            if command == 'report':
                self.assertEqual(data['process']['command'][1].encode(), ALL.decode(errors='replace').encode())
                names = {site['name'] for site in data['sites']}
                self.assertTrue(any(MARKUP.decode() in name for name in names), names)
                self.assertTrue(any(LINES.decode() in name for name in names), names)
                self.assertTrue(any(FORMULA.decode() in name for name in names), names)

    def test_lines(self):
        for form, grammar in GRAMMARS.items():
            text = self.assert_plain(self.export(form))
            self.assertTrue(text.endswith('\n'))
            for line in text[:-1].split('\n'):
                self.assertTrue(any(re.fullmatch(one, line) for one in grammar), f'{form}: {line!r}')
            if form != 'gperftools':  # which has addresses only
                self.assertIn('=1+1|', text)

    def test_as_many_lines_as_without(self):
        """The same heap under harmless names."""
        path = snapshot(PROGRAM, f'{self.place}/harmless.heap')
        for form in 'folded', 'openmetrics', 'gperftools':
            harmless = self.run_command('export', '--format', form, path).count(b'\n')
            self.assertLess(abs(self.export(form).count(b'\n') - harmless), 3, form)

    def test_every_value_of_folded(self):
        for value in 'live', 'held', 'sole', 'peak', 'allocated', 'temporary':
            for line in self.assert_plain(self.export('folded', '--value', value)).splitlines():
                self.assertRegex(line, GRAMMARS['folded'][0])

    def test_json_exports(self):
        for form in 'dhat', 'speedscope':
            data = json.loads(self.assert_plain(self.export(form)))
            self.assertIn('=1+1|', json.dumps(data))

    def test_pprof(self):
        found = strings_of_pprof(gzip.decompress(self.export('pprof')))
        for one in found:
            self.assertNotIn(b'\n', one)
            self.assert_plain(one)
        self.assertTrue(any(b'=1+1|' in one for one in found))

    def test_pages_without_a_browser(self):
        for command, files, scripts in ('report', (self.before,), 2), ('diff', (self.before, self.after), 2):
            page = f'{self.place}/{command}.html'
            self.run_command(command, '--html', page, *files)
            with open(page, 'rb') as file:
                tags = Tags(self.assert_plain(file.read()))
            self.assertNotIn('img', tags.seen)
            self.assertEqual((tags.seen.count('script'), tags.handlers), (scripts, []))

    def test_compare(self):
        """The names there are the user's own, and those of libraries that a program brings."""
        library = shutil.copy(LIBRARY, f'{self.place}/lib.so')
        outs = {form: f'{self.place}/compare.{form}' for form in ('csv', 'json', 'html', 'svg')}
        names = b'glibc,@SUM(1)=%s,b%s%s=%s' % (library.encode(), TERMINAL, MARKUP.replace(b'=', b''), library.encode())
        table = self.run_command('compare', '--with', names, '--repeat', '1',
                                 *[word for form, path in outs.items() for word in (f'--{form}', path)], '--', self.program, ALL)
        self.assert_plain(table)
        with open(outs['json'], 'rb') as file:
            data = json.loads(self.assert_plain(file.read()))
        self.assertEqual(data['allocators'][1]['name'], '@SUM(1)')
        for path in outs['csv'], outs['csv'].replace('.csv', '-summary.csv'):
            with open(path, 'rb') as file:
                rows = list(csv.reader(self.assert_plain(file.read()).splitlines()))
            self.assertEqual({len(row) for row in rows}, {len(rows[0])})
            self.assertEqual([cell for row in rows for cell in row if cell[:1] in ('=', '+', '@')], [])
        self.assertEqual([row[0] for row in rows[1:3]], ['glibc', "'@SUM(1)"])
        with open(outs['svg'], 'rb') as file:
            xml.etree.ElementTree.fromstring(self.assert_plain(file.read()))
        with open(outs['html'], 'rb') as file:
            tags = Tags(self.assert_plain(file.read()))
        self.assertEqual((tags.seen.count('script'), tags.seen.count('img'), tags.handlers), (1, 0, []))

    def test_processes(self):
        child = subprocess.Popen([self.program, b'hold'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=clean_environment(LD_PRELOAD=LIBRARY))
        try:
            self.assertEqual(child.stdout.readline(), b'holds\n')
            data = json.loads(self.assert_plain(self.run_command('top', '--json', '--interval', '0.1')))
            self.assertIn('=1+1|', {one['pid']: one['program'] for one in data['processes']}[child.pid])
            for form in 'openmetrics', 'text':
                metrics = self.assert_plain(self.run_command('metrics', '--format', form))
                self.assertRegex(metrics, rf'pid="{child.pid}",program="=1\+1\|')
                for line in metrics.splitlines():
                    self.assertTrue(any(re.fullmatch(one, line) for one in GRAMMARS['openmetrics']) or
                                    re.fullmatch(r'tidemark_[a-z_]+ \d+', line), line)
        finally:
            child.communicate(b'')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
