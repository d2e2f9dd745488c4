"""--leak: what grows steadily is told from what fills up, rises and falls, or is replaced; growth against a trend that is
computed here.

usage: leak_test.py LIBRARY TIDEMARK PHASES PHASES_SECOND
"""
import itertools
import random
import statistics
import sys
import unittest

from harness import WithSnapshots, live_after

ROUNDS = 7
KINDS = {'leaks': 'steady growth', 'turned_over': 'unsteady growth', 'saw_tooth': 'saw-tooth', 'plateau': 'plateau',
         'appears': 'plateau', 'goes': 'falls', 'fills': 'falls', 'keeps': 'flat'}


def theil_sen(times, values):
    return statistics.median((y - x) / (late - early)
                             for (early, x), (late, y) in itertools.combinations(zip(times, values), 2))


class Leak(WithSnapshots):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.snapshots = cls.take(ROUNDS, pause=150)
        cls.sampled = cls.take(ROUNDS, pause=50, factor=30, settings='sites=sample,rate=8K,seed=4')

    def test_kinds(self):
        document = self.json('--leak', *self.snapshots)
        leaks = self.sites(document, 'leaks')
        self.assertEqual({name: leak['kind'] for name, leak in leaks.items()}, KINDS)
        self.assertEqual(document['leaks'][0]['function'], 'leaks')
        for name, leak in leaks.items():
            self.assertEqual([live['bytes'] for live in leak['live']],
                             [live_after(number)[name] for number in range(ROUNDS)], name)

    def test_growth(self):
        document = self.json('--leak', *self.snapshots)
        hours = [snapshot['since_start_ns'] / 3600e9 for snapshot in document['snapshots']]
        for name, leak in self.sites(document, 'leaks').items():
            live = [live_after(number)[name] for number in range(ROUNDS)]
            slope = theil_sen(hours, live)
            self.assertAlmostEqual(leak['bytes_per_hour'], slope, delta=1 + abs(slope) / 1e5, msg=name)
            changes = [after - before for before, after in itertools.pairwise(live)]
            self.assertEqual(leak['intervals_grown'], sum(change > 0 for change in changes), name)
            self.assertEqual(leak['intervals_fallen'], sum(change < 0 for change in changes), name)

    def test_ages(self):
        leaks = self.sites(self.json('--leak', *self.snapshots), 'leaks')
        # Births are known in sixteenths of the time: what holds is that the truth is between.
        for name in ('leaks', 'keeps'):
            self.assertEqual(leaks[name]['part_of_first_still_live']['high'], 1, name)
            self.assertFalse(leaks[name]['replaced'], name)
        for name in ('turned_over', 'goes', 'fills'):
            self.assertTrue(leaks[name]['replaced'], name)
        self.assertEqual(leaks['turned_over']['part_born_in_last_interval'], {'low': 1, 'high': 1})
        young = leaks['leaks']['part_born_in_last_interval']
        self.assertLessEqual(young['low'], 1 / ROUNDS + 1e-6)
        self.assertGreaterEqual(young['high'], 1 / ROUNDS - 1e-6)
        self.assertLess(young['high'], 0.5)
        self.assertEqual(leaks['keeps']['part_born_in_last_interval'], {'low': 0, 'high': 0})

    def test_any_order(self):
        shuffled = list(self.snapshots)
        random.Random(1).shuffle(shuffled)
        self.assertEqual(self.diff('--leak', '--json', *shuffled).stdout,
                         self.diff('--leak', '--json', *self.snapshots).stdout)

    def test_sampled(self):
        document = self.json('--leak', *self.sampled)
        leaks = self.sites(document, 'leaks')
        self.assertEqual(document['leaks'][0]['function'], 'leaks')
        self.assertEqual(leaks['leaks']['kind'], 'steady growth')
        for name in ('plateau', 'saw_tooth', 'keeps', 'turned_over', 'goes', 'appears'):
            self.assertNotEqual(leaks[name]['kind'], 'steady growth', name)
        hours = [snapshot['since_start_ns'] / 3600e9 for snapshot in document['snapshots']]
        slope = theil_sen(hours, [live_after(number, 30)['leaks'] for number in range(ROUNDS)])
        self.assertGreater(leaks['leaks']['spread_per_hour'], 0)
        self.assertLess(abs(leaks['leaks']['bytes_per_hour'] - slope), 4 * leaks['leaks']['spread_per_hour'])

    def test_three_are_enough(self):
        document = self.json('--leak', *self.snapshots[:3])
        self.assertEqual(self.sites(document, 'leaks')['leaks']['kind'], 'steady growth')
        self.assertEqual(self.sites(document, 'leaks')['plateau']['kind'], 'plateau')

    def test_text(self):
        text = self.diff('--leak', *self.snapshots).stdout
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        verdict = ' '.join(text.split('\nVerdict\n')[1].split('\n\n')[0].split())
        self.assertRegex(verdict, r'^Most likely a leak: leaks \(phases\.c\)\. Its live bytes grew in 6 of 6 intervals, on the '
                                  r'trend by \d+\.\d [MG]iB')
        self.assertIn('No other site grows steadily.', verdict)
        text = ' '.join(text.split())
        for word in ('Theil', 'Sen', '6 of 6', 'saw-tooth', 'plateau', 'the oldest live block is',
                     'no block that was live in the first snapshot still is'):
            self.assertIn(word, text)
        calm = self.diff('--leak', '--top', '1', *self.snapshots[1::2]).stdout
        self.assertIn('more (--top, --json)', calm)

    def test_refusals(self):
        self.assertIn('three or more', self.diff('--leak', *self.snapshots[:2], status=2).stderr)
        other = self.take(1)
        self.assertRegex(self.diff('--leak', *self.snapshots[:2], *other, status=1).stderr,
                         r'needs snapshots of one process: .* is of process \d+, .* of process \d+')
        self.assertIn('of the same instant', self.diff('--leak', *self.snapshots[:2], self.snapshots[0], status=1).stderr)
        plain = self.take(3, settings='sites=off')
        self.assertIn('has no call sites', self.diff('--leak', *plain, status=1).stderr)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
