"""`go tool pprof` and google-pprof read what is exported for them, and find the report's figures, build ids and names.

usage: pprof_test.py TIDEMARK LIBRARY PROGRAM
"""
import collections
import os
import re
import sys
import unittest

from harness import DIRECTORY, PROGRAM, Report, check_report, clean_environment, export, need, run, snapshot

GO = need('go', 'golang-go')
GOOGLE_PPROF = need('google-pprof', 'google-perftools')
# What pprof shows of a sample, in this order.
TYPES = ['alloc_objects/count', 'alloc_space/bytes', 'inuse_objects/count', 'inuse_space/bytes[dflt]',
         'held_space/bytes', 'sole_pin_space/bytes']
FIGURES = ['allocated_blocks', 'allocated', 'live_blocks', 'live', 'held', 'sole']


def pprof(*arguments):
    """pprof has files of its own, and must not ask others for them."""
    return run(GO, 'tool', 'pprof', '-symbolize=local', *arguments,
               env={**clean_environment(), 'HOME': DIRECTORY, 'PPROF_TMPDIR': DIRECTORY}).stdout


class Raw:
    """What `pprof -raw` prints: samples, and the functions of each location, the innermost first."""

    def __init__(self, text):
        head, rest = text.split('\nSamples:\n')
        self.head = head
        samples, rest = rest.split('\nLocations\n')
        locations, mappings = rest.split('\nMappings\n')
        lines = samples.splitlines()
        self.types = lines[0].split()
        self.samples = []
        for line in lines[1:]:
            if 'bytes:[' not in line:
                values, numbers = line.split(':')
                self.samples.append(([int(value) for value in values.split()], numbers.split()))
        self.functions = collections.defaultdict(list)
        self.mapping = {}
        for line in locations.splitlines():
            match = re.match(r' +(\d+): 0x([0-9a-f]+) (M=\d+ )?(.*)', line)
            if match:
                number = match.group(1)
                self.mapping[number] = match.group(3)
                line = match.group(4)
            if line.strip():
                self.functions[number].append(re.sub(r' (\S*:\d+(:\d+)?)? s=\d+(\(.*\))?$', '', line.strip()))
        self.mappings = mappings.splitlines()

    def names(self, numbers):
        return tuple(name for number in numbers for name in self.functions[number])


def build_id(path):
    return re.search(r'Build ID: ([0-9a-f]+)', run('readelf', '-n', path).stdout).group(1)


class Pprof(unittest.TestCase):
    maxDiff = None

    def compare(self, settings):
        path = snapshot(settings)
        report = Report(path)
        raw = Raw(pprof('-raw', export('pprof', path)))
        self.assertEqual(raw.types, TYPES)
        found, expected = collections.Counter(), collections.Counter()
        for values, numbers in raw.samples:
            found[raw.names(numbers), tuple(values)] += 1
        for stack in report.stacks:
            values = tuple(stack.figure(figure) for figure in FIGURES)
            named = tuple(name for name, frame in zip(stack.names, stack.frames or [{'function': ''}])
                          if 'function' in frame)
            if any(values) or stack.peak:
                expected[named, values] += 1
        self.assertEqual(found, expected)
        return report, raw, path

    def test_exact(self):
        report, raw, path = self.compare('sites=all')
        check_report(self, report)
        self.assertIn('PeriodType: space bytes\nPeriod: 1\n', raw.head)
        self.assertRegex(raw.mappings[0], re.escape(PROGRAM) + ' ' + build_id(PROGRAM) + r' \[FN\]\[FL\]\[LN\]\[IN\]')
        self.assertTrue(all(self.has_libc(raw)))
        self.addresses_are_of_calls(raw, path)
        self.top(report, export('pprof', path))

    @staticmethod
    def has_libc(raw):
        return [' ' + build_id(line.split()[2]) in line for line in raw.mappings if '/libc.so' in line] or [False]

    def addresses_are_of_calls(self, raw, path):
        """Lines are those of the calls in the program's text, the one inside of the inlined function too."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'shapes.c'), encoding='ascii') as file:
            source = file.read().splitlines()
        text = pprof('-raw', '-lines', export('pprof', path))
        for function, call in [('at_small', 'malloc(SMALL)'), ('around_inlined', 'at_inlined(size)'),
                               ('at_large', 'malloc(LARGE)'), ('main', 'at_small()')]:
            lines = {int(line) for line in re.findall(rf'\b{function} \S*shapes\.c:(\d+)', text)}
            self.assertTrue(any(call in source[line - 1] for line in lines), (function, lines))

    def top(self, report, path):
        """Flat figures by function, of the type that is the default, and held memory."""
        for options, figure in [([], 'live'), (['-sample_index=held_space'], 'held'),
                                (['-sample_index=sole_pin_space'], 'sole'), (['-sample_index=alloc_space'], 'allocated')]:
            text = pprof('-top', '-unit=B', '-nodefraction=0', *options, path)
            expected = report.by_function(figure)
            for site in ('at_small', 'at_shared', 'at_large'):
                flat = re.search(rf'^ *(\d+)B? .* {site}$', text, re.M)
                self.assertEqual(int(flat.group(1)) if flat else 0, expected.get(site, 0), (figure, site, text))

    def test_sampled(self):
        _, raw, _ = self.compare('sites=sample,rate=64K,seed=7')
        self.assertIn('PeriodType: space bytes\nPeriod: 65536\n', raw.head)

    def test_legacy_read_by_go(self):
        for settings in 'sites=all', 'sites=sample,rate=64K,seed=7':
            path = snapshot(settings)
            report = Report(path)
            raw = Raw(pprof('-raw', export('gperftools', path)))
            self.assertEqual(raw.types, TYPES[:3] + ['inuse_space/bytes'])
            expected = collections.Counter(tuple(stack.figure(figure) for figure in FIGURES[:4])
                                           for stack in report.stacks if stack.live or stack.allocated)
            self.assertEqual(collections.Counter(tuple(values) for values, _ in raw.samples), expected)
            live = collections.Counter()
            for values, numbers in raw.samples:
                live[(raw.names(numbers) or ('',))[0]] += values[3]
            for site in 'at_small', 'at_shared', 'at_large':
                self.assertEqual(live[site], report.by_function('live').get(site, 0), site)

    def test_legacy_read_by_google_pprof(self):
        path = snapshot('sites=all')
        report = Report(path)
        for option, figure in [('--inuse_space', 'live'), ('--alloc_space', 'allocated')]:
            text = run(GOOGLE_PPROF, '--text', '--show_bytes', '--nodefraction=0', '--edgefraction=0', option, PROGRAM,
                       export('gperftools', path)).stdout
            self.assertEqual(int(re.search(r'^Total: (\d+) B', text, re.M).group(1)), report.total(figure))
            for site in 'at_small', 'at_shared', 'at_large':
                flat = re.search(rf'^ *(\d+) .* {site}$', text, re.M)
                self.assertEqual(int(flat.group(1)), report.by_function(figure)[site], text)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
