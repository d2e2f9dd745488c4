"""What changed between two snapshots, against counts made by hand from the program's text.

usage: diff_test.py LIBRARY TIDEMARK PHASES PHASES_SECOND
"""
import os
import pty
import shutil
import subprocess
import sys
import unittest

from harness import KEPT, PER_KEPT, PHASES, SECOND, SITES, TIDEMARK, WithSnapshots, environment, live_after

WHAT = {(0, 1): 'appeared', (1, 0): 'went'}


def what_of(before, after):
    if before == after:
        return 'same'
    return WHAT.get((before > 0, after > 0)) or ('grew' if after > before else 'shrank')


class Exact(WithSnapshots):
    """Two snapshots of one process, everything recorded."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first, cls.second, cls.third = cls.take(3)
        cls.again = cls.take(2)  # another process

    def check_live(self, document, before, after):
        sites = self.sites(document)
        for name in SITES:
            if before[name] == 0 and after[name] == 0:
                self.assertFalse(name in sites, name)
                continue
            live = sites[name]['live']
            self.assertEqual(
                (live['before']['bytes'], live['after']['bytes'], live['change_bytes'], live['what']),
                (before[name], after[name], after[name] - before[name], what_of(before[name], after[name])), name)
            self.assertTrue(live['before']['exact'] and live['after']['exact'])
            self.assertEqual(live['standard_error'], 0)

    def test_live_by_site(self):
        self.check_live(self.json(self.first, self.second), live_after(0), live_after(1))
        self.check_live(self.json(self.second, self.third), live_after(1), live_after(2))
        self.check_live(self.json(self.second, self.first), live_after(1), live_after(0))

    def test_nothing_changed(self):
        document = self.json(self.second, self.second)
        self.check_live(document, live_after(1), live_after(1))
        self.assertEqual(document['rss_change_bytes'], 0)
        self.assertEqual(document['moves'], [])
        self.assertTrue(all(row['change_bytes'] == 0 for row in document['ledger']))

    def test_ledger_adds_up(self):
        document = self.json(self.first, self.second)
        for key, snapshot in (('before_bytes', 0), ('after_bytes', 1)):
            self.assertEqual(sum(row[key] for row in document['ledger']), document['snapshots'][snapshot]['rss_bytes'])
        self.assertEqual(sum(row['change_bytes'] for row in document['ledger']), document['rss_change_bytes'])
        self.assertEqual(document['ledger'][-1]['name'], 'residual')
        self.assertEqual(sum(row['change_bytes'] for row in document['ledger'] if row['group'] == 'live'),
                         document['live_change_bytes'])
        self.assertEqual(sum(row['change_bytes'] for row in document['ledger'] if row['group'] == 'held'),
                         document['pinned_change_bytes'] + document['cached_change_bytes'])

    def test_moves(self):
        document = self.json(self.first, self.second)
        for what in ('live', 'pinned', 'cached'):
            self.assertEqual(sum(move[f'{what}_change_bytes'] for move in document['moves']),
                             document[f'{what}_change_bytes'], what)
        small = [move for move in document['moves'] if move.get('block_bytes') == 64][0]
        freed = KEPT * (PER_KEPT - 1) * 64
        self.assertEqual(small['live_change_bytes'], -freed)
        # One in 64 blocks of 64 bytes stays: one on each page, which all stay.
        self.assertEqual(small['pinned_change_bytes'], freed)

    def test_held_by_site(self):
        document = self.json(self.first, self.second)
        keeps = self.sites(document)['keeps']
        self.assertEqual(keeps['held_share']['what'], 'appeared')
        # The keepers' pages are theirs alone, but for a page at either end at most.
        freed = KEPT * (PER_KEPT - 1) * 64
        self.assertLessEqual(abs(keeps['held_share']['change_bytes'] - freed), 2 * 4096)
        self.assertLessEqual(abs(keeps['sole_pin_resident']['change_bytes'] - KEPT * 4096), 2 * 4096)
        self.assertEqual(document['sites'][0]['function'], 'keeps')
        self.assertEqual(sum(site['held_share_change_bytes'] for site in document['sites']),
                         document['pinned_change_bytes'])

    def test_order(self):
        for by, key in (('live', 'live'), ('held', 'held_share'), ('sole', 'sole_pin_resident')):
            document = self.json('--by', by, self.first, self.second)
            changes = [abs(site[key]['change_bytes']) for site in document['sites'] if site['recorded']]
            self.assertEqual(changes, sorted(changes, reverse=True), by)
            self.assertFalse(document['sites'][-1]['recorded'])

    def test_other_process(self):
        """The same work in another process, at other addresses."""
        for grouping in ('function', 'line', 'stack'):
            for before, after in ((0, 0), (0, 1), (1, 1)):
                document = self.json('--group', grouping, [self.first, self.second][before], self.again[after])
                self.assertFalse(document['comparable']['one_process'])
                self.assertTrue(document['comparable']['one_program'])
                self.check_live(document, live_after(before), live_after(after))

    def test_stacks_apart(self):
        """`fills` and `keeps` are called by one function that calls through a pointer: by stack they stay apart, and what
        is called at two places of `go` has two stacks."""
        document = self.json('--group', 'stack', self.first, self.again[0])
        names = [site['function'] for site in document['sites'] if site.get('function') in SITES]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(set(names), {name for name, live in live_after(0).items() if live})

    def test_without_symbols(self):
        """Where functions have no names, their places in the build are compared."""
        stripped = os.path.join(self.directory, 'stripped')
        strip = shutil.which('strip')
        if strip is None:
            self.skipTest('strip (Debian: binutils) is not installed')
        subprocess.run([strip, '-s', '-o', stripped, PHASES], check=True)
        runs = [self.take(2, program=stripped) for _ in range(2)]
        document = self.json(runs[0][0], runs[1][1])
        before, after = live_after(0), live_after(1)
        expected = sorted((before[name], after[name]) for name in SITES if before[name] or after[name])
        found = sorted((site['live']['before']['bytes'], site['live']['after']['bytes']) for site in document['sites']
                       if site.get('module', '').endswith('/stripped'))
        self.assertEqual(found, expected)
        self.assertFalse(any('function' in site for site in document['sites'] if
                             site.get('module', '').endswith('/stripped')))

    def test_text(self):
        text = self.diff(self.first, self.second).stdout
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        self.assertNotIn('\033', text)
        verdict = ' '.join(text.split('\nVerdict\n')[1].split('\n\n')[0].split())
        self.assertRegex(verdict, r'^RSS (grew|fell) by ')
        self.assertIn('At fills (phases.c) 787.5 KiB less is live, all that there was.', verdict)
        self.assertRegex(verdict, r'Survivors of keeps \(phases\.c\) newly pin 7\d\d\.\d KiB\.')
        self.assertIn('In block sizes of which less is live (887.5 KiB less), 787.5 KiB more is pinned now, the most in blocks of '
                      '64 B (787.5 KiB).', verdict)
        self.assertLess(text.index('Verdict'), text.index('Ledger'))
        self.assertLess(text.index('Who pins more'), text.index('Live bytes by'))
        by_live = self.diff('--by', 'live', self.first, self.second).stdout
        self.assertLess(by_live.index('Live bytes by'), by_live.index('Who pins more'))

    def test_text_rows(self):
        rows = [line.split() for line in self.diff(self.first, self.second).stdout.splitlines()]
        self.assertIn('1 went 787.5 KiB 0 B -787.5 KiB'.split(), rows)
        self.assertIn('2 appeared 0 B 400.0 KiB +400.0 KiB'.split(), rows)
        self.assertIn('blocks of 64 B -787.5 KiB +787.5 KiB 0 B 0 B'.split(), rows)
        few = self.diff('--top', '2', '--by', 'live', self.first, self.second).stdout
        self.assertIn(' 5 more', few)

    def test_colour_on_a_terminal_only(self):
        master, slave = pty.openpty()
        with subprocess.Popen([TIDEMARK, 'diff', self.first, self.second], stdout=slave,
                              env=environment(TERM='xterm')) as process:
            os.close(slave)
            shown = b''
            try:
                while piece := os.read(master, 65536):
                    shown += piece
            except OSError:  # how a terminal ends
                pass
            self.assertEqual(process.wait(), 0)
        os.close(master)
        self.assertIn(b'\033[1mVerdict\033[0m', shown)


class Comparable(WithSnapshots):
    """What compares, and what is said of what does not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.all = cls.take(2)

    def test_other_build(self):
        other = self.take(2, program=SECOND)
        refused = self.diff(self.all[0], other[1], status=1).stderr
        self.assertIn('different programs', refused)
        self.assertIn('--force', refused)
        self.assertRegex(refused, r'build id [0-9a-f]{40}\).*build id [0-9a-f]{40}\)')
        document = self.json('--force', self.all[0], other[1])
        self.assertFalse(document['comparable']['one_program'])
        self.assertIn('names of functions', document['comparable']['notes'][0])
        before, after = live_after(0), live_after(1)
        for name, site in self.sites(document).items():
            self.assertEqual((site['live']['before']['bytes'], site['live']['after']['bytes']),
                             (before[name], after[name]), name)
        self.assertEqual(len([site for site in document['sites'] if site.get('function') in SITES]), len(SITES))

    def test_without_sites(self):
        plain = self.take(2, settings='sites=off')
        document = self.json(plain[0], self.all[1])
        self.assertFalse(document['comparable']['sites'])
        self.assertIn(f"'{plain[0]}' has no call sites", ' '.join(document['comparable']['notes']))
        self.assertEqual(document['sites'], [])
        for key, snapshot in (('before_bytes', 0), ('after_bytes', 1)):
            self.assertEqual(sum(row[key] for row in document['ledger']), document['snapshots'][snapshot]['rss_bytes'])
        # Live memory is told in the same way in both.
        self.assertEqual([row['name'] for row in document['ledger'] if row['group'] == 'live'],
                         ['live in pools', 'live in spans', 'live mappings'])
        text = self.diff(plain[0], self.all[1]).stdout
        self.assertIn('What does not compare', text)
        self.assertNotIn('Live bytes by', text)

    def test_other_rate(self):
        runs = [self.take(1, factor=20, settings=f'sites=sample,rate={rate}')[0] for rate in ('4K', '64K')]
        notes = ' '.join(self.json(*runs)['comparable']['notes'])
        self.assertIn('sites=sample, rate=4.0 KiB; sites=sample, rate=64.0 KiB', notes)
        self.assertIn('not comparable: how many sites', notes)
        notes = ' '.join(self.json(self.all[0], runs[1])['comparable']['notes'])
        self.assertIn('(sites=all; sites=sample, rate=64.0 KiB)', notes)
        self.assertEqual(self.json(*self.all)['comparable']['notes'], [])

    def test_hostile_name(self):
        """What a terminal would obey is escaped, wherever the program's name stands."""
        hostile = os.path.join(self.directory, 'evil\033[31m</script>'.replace('/', '\u2215'))
        shutil.copy(PHASES, hostile)
        before, after = self.take(2, program=hostile)
        for arguments in ((before, after), ('--group', 'library', before, after), ('--leak', before, after, before)):
            done = subprocess.run([TIDEMARK, 'diff', *arguments], capture_output=True, check=False, env=environment())
            self.assertNotIn(b'\033', done.stdout + done.stderr)
        self.assertIn('evil\\x1b', self.diff('--group', 'library', before, after).stdout)
        self.assertIn('\\x1b', self.diff(before, self.take(1, program=SECOND)[0], status=1).stderr)
        self.assertIn('evil\033', self.json('--group', 'library', before, after)['snapshots'][0]['exe'])

    def test_order_in_time(self):
        notes = self.json(self.all[1], self.all[0])['comparable']['notes']
        self.assertIn('was taken after', notes[0])

    def test_threads(self):
        one = self.take(2, settings='sites=all,threads=yes')
        two = self.take(1, settings='sites=all,threads=yes')
        document = self.json('--group', 'thread', *one)
        self.assertEqual(len([site for site in document['sites'] if site['recorded']]), 1)
        self.assertIn("a thread's number means nothing", self.diff('--group', 'thread', one[0], two[0], status=1).stderr)
        self.assertIn('threads=yes', self.diff('--group', 'thread', *self.all, status=1).stderr)

    def test_usage(self):
        self.assertIn('two snapshots, and 1 were given', self.diff(self.all[0], status=2).stderr)
        self.assertIn('--leak takes three', self.diff(*self.all, self.all[0], status=2).stderr)
        self.assertIn("--by is 'peak'", self.diff('--by', 'peak', *self.all, status=2).stderr)
        self.assertIn("'--what'", self.diff('--what', *self.all, status=2).stderr)
        self.assertIn('usage: tidemark diff', self.diff('--help').stdout)
        missing = os.path.join(self.directory, 'missing')
        self.assertIn(missing, self.diff(missing, self.all[0], status=1).stderr)
        self.assertIn(PHASES, self.diff(PHASES, self.all[0], status=1).stderr)


class Sampled(WithSnapshots):
    """Estimates: errors, and what is not told from none."""

    def test_errors(self):
        runs = [self.take(2, factor=20, settings='sites=sample,rate=16K,seed=%d' % seed) for seed in (1, 2)]
        unsure = sure = 0
        for before, after in ((runs[0][0], runs[1][0]), (runs[0][0], runs[1][1])):
            for site in self.json(before, after)['sites']:
                live = site['live']
                errors = [live[key].get('standard_error', 0) for key in ('before', 'after')]
                self.assertAlmostEqual(live['standard_error'], sum(error ** 2 for error in errors) ** 0.5, delta=2)
                if live['change_bytes'] == 0:
                    continue
                if abs(live['change_bytes']) <= 2 * live['standard_error']:
                    self.assertEqual(live['what'], 'unsure', site['name'])
                unsure += live['what'] == 'unsure'
                sure += live['what'] != 'unsure'
        self.assertGreater(unsure, 0)
        self.assertGreater(sure, 0)
        text = self.diff(runs[0][0], runs[1][0]).stdout
        self.assertRegex(text, r'unsure .* \+- .* \+- .* \+- .* \?')
        self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_estimates_hold(self):
        """Over several pairs of runs a change lies within three of its errors, as good as always."""
        runs = [self.take(2, factor=20, settings='sites=sample,rate=16K,seed=%d' % seed) for seed in range(3, 9)]
        before, after = live_after(0, 20), live_after(1, 20)
        within = of = 0
        for i in range(0, len(runs), 2):
            for name, site in self.sites(self.json(runs[i][0], runs[i + 1][1])).items():
                live = site['live']
                if live['before'].get('too_few') or live['after'].get('too_few'):
                    continue
                of += 1
                within += abs(live['change_bytes'] - (after[name] - before[name])) <= 3 * live['standard_error']
        self.assertGreater(of, 12)
        self.assertGreaterEqual(within, of - 1)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
