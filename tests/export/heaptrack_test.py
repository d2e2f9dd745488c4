"""heaptrack_print reads what is exported for it and finds the report's figures, in its summary and stack by stack.

usage: heaptrack_test.py TIDEMARK LIBRARY PROGRAM
"""
import collections
import re
import sys
import tempfile
import unittest

from harness import DIRECTORY, Report, check_report, export, need, read, run, snapshot

HEAPTRACK_PRINT = need('heaptrack_print', 'heaptrack')


def by_function(path, cost):
    """Its own folded stacks of one kind of cost, by the innermost function. Of functions inlined at one address it writes the
    outermost last here (and first where it prints a stack), so the one case of it counts for the inlined function."""
    out = tempfile.mktemp(dir=DIRECTORY)
    run(HEAPTRACK_PRINT, '-f', path, '--flamegraph-cost-type', cost, '-F', out, '--disable-builtin-suppressions')
    sums = collections.Counter()
    for line in read(out).splitlines():
        stack, value = line.rsplit(' ', 1)
        innermost = re.split(r';(?!name#1)', stack.rstrip(';'))[-1]
        innermost = re.sub(r' \(\S+\)$', '', innermost)
        sums['at_inlined' if innermost == 'around_inlined' else innermost] += int(value)
    return {name: value for name, value in sums.items() if value}


class Heaptrack(unittest.TestCase):
    maxDiff = None

    def check(self, settings):
        path = snapshot(settings)
        report = Report(path)
        out = export('heaptrack', path)
        printed = run(HEAPTRACK_PRINT, '-f', out, '-n', '20')
        self.assertNotIn('failed to parse', printed.stderr)
        self.assertIn('export_shapes', printed.stdout)
        for cost, figure in [('leaked', 'live'), ('peak', 'peak')]:
            with self.subTest(settings=settings, cost=cost):
                self.assertEqual(by_function(out, cost), report.by_function(figure))
        return report, out, printed.stdout

    def test_exact(self):
        report, out, text = self.check('sites=all')
        check_report(self, report)
        # Calls are whole; what was live at the peak and is live now is told as the same blocks.
        self.assertEqual(by_function(out, 'allocations'), report.by_function('allocated_blocks'))
        self.assertEqual(by_function(out, 'temporary'), report.by_function('temporary'))
        # The inlined function is told with the one that it is inlined into.
        self.assertRegex(text, r'at_inlined\n  at \S*shapes\.c:\d+\n  in \S*\naround_inlined\n  at \S*shapes\.c:\d+\n')
        calls = int(re.search(r'^calls to allocation functions: (\d+)', text, re.M).group(1))
        self.assertEqual(calls, report.total('allocated_blocks'))

    def test_sampled(self):
        self.check('sites=sample,rate=64K,seed=7')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
