"""Folded stacks and speedscope, whose readers are not in Debian: the folded lines are read as strictly as flamegraph.pl and
inferno do, and speedscope's JSON is held against what its published schema requires. Figures are those of the report.

usage: plain_test.py TIDEMARK LIBRARY PROGRAM
"""
import collections
import json
import re
import sys
import unittest

from harness import FIGURES, Report, check_report, export, read, snapshot

LINE = re.compile(r'([^;\x00-\x1f]+(?:;[^;\x00-\x1f]+)*) ([1-9][0-9]*)')
SPEEDSCOPE_NAMES = {'live': 'live', 'held': 'held', 'sole': 'sole', 'peak': 'live at the peak',
                    'allocated': 'allocated', 'temporary': 'temporary'}


def folded(path, figure):
    sums = collections.Counter()
    for line in read(export('folded', path, '--value', figure)).splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        sums[tuple(reversed(match.group(1).split(';')))] += int(match.group(2))
    return sums


class Plain(unittest.TestCase):
    maxDiff = None

    def check_all(self, settings):
        path = snapshot(settings)
        report = Report(path)
        if settings == 'sites=all':
            check_report(self, report)
        scope = json.loads(read(export('speedscope', path)))
        for figure in FIGURES:
            expected = report.by_stack(figure)
            with self.subTest(settings=settings, figure=figure):
                separated = collections.Counter()
                for names, value in expected.items():
                    separated[tuple(name.replace(';', ':') for name in names)] += value
                self.assertEqual(folded(path, figure), separated)
                self.assertEqual(self.speedscope(scope, figure), expected)

    def speedscope(self, scope, figure):
        """Sums by names; on the way, what the schema wants."""
        self.assertEqual(scope['$schema'], 'https://www.speedscope.app/file-format-schema.json')
        frames = scope['shared']['frames']
        for frame in frames:
            self.assertIsInstance(frame['name'], str)
            self.assertLessEqual(set(frame), {'name', 'file', 'line', 'col'})
            self.assertIsInstance(frame.get('line', 0), int)
        profile, = [entry for entry in scope['profiles']
                    if entry['name'].split(':')[0].split(' since')[0].split(' blocks')[0] == SPEEDSCOPE_NAMES[figure]]
        self.assertEqual(profile['type'], 'sampled')
        self.assertEqual(profile['unit'], 'none' if figure == 'temporary' else 'bytes')
        self.assertEqual(len(profile['samples']), len(profile['weights']))
        self.assertEqual((profile['startValue'], profile['endValue']), (0, sum(profile['weights'])))
        sums = collections.Counter()
        for sample, weight in zip(profile['samples'], profile['weights']):
            sums[tuple(frames[number]['name'] for number in reversed(sample))] += weight
        return sums

    def test_exact(self):
        self.check_all('sites=all')

    def test_sampled(self):
        self.check_all('sites=sample,rate=64K,seed=7')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
