"""What `tidemark export` takes and refuses, how it writes its file, and how large a file can grow.

usage: command_test.py TIDEMARK LIBRARY PROGRAM MANY
"""
import gzip
import json
import os
import pty
import subprocess
import sys
import tempfile
import unittest

from harness import DIRECTORY, TIDEMARK, clean_environment, export, read, run, snapshot

MANY = os.path.abspath(sys.argv[4])

FORMATS = ['pprof', 'gperftools', 'folded', 'speedscope', 'dhat', 'massif', 'heaptrack', 'openmetrics']


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = snapshot('sites=all')

    def refused(self, status, message, *arguments):
        done = run(TIDEMARK, 'export', *arguments, status=status)
        self.assertEqual(done.stdout, '')
        self.assertTrue(done.stderr.startswith('tidemark: '), done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1)

    def test_help_tells_every_format(self):
        text = run(TIDEMARK, 'export', '--help').stdout
        for form in FORMATS:
            self.assertRegex(text, rf'(?m)^  {form} ')
        self.assertTrue(all(len(line) <= 100 for line in text.splitlines()))

    def test_bad_usage(self):
        self.refused(2, 'needs --format', self.path)
        self.refused(2, "--format is 'svg'", '--format', 'svg', self.path)
        self.refused(2, '0 were given', '--format', 'pprof')
        self.refused(2, '2 were given', '--format', 'pprof', self.path, self.path)
        self.refused(2, "--value is 'all'", '--format', 'folded', '--value', 'all', self.path)
        self.refused(2, '--value is for --format folded', '--format', 'pprof', '--value', 'live', self.path)
        self.refused(2, "needs a value", self.path, '--format')
        self.refused(2, "there is no option '--json'", '--json', self.path)

    def test_files_that_are_none(self):
        self.refused(1, '/nonexistent', '--format', 'pprof', '/nonexistent')
        with tempfile.NamedTemporaryFile(dir=DIRECTORY) as file:
            file.write(b'no snapshot at all, but long enough to be one')
            file.flush()
            for form in FORMATS:
                self.refused(1, file.name, '--format', form, file.name)

    def test_without_sites(self):
        """What tells of sites only is refused; a ledger and a timeline are there always."""
        path = snapshot('sites=off')
        for form in FORMATS:
            if form in ('massif', 'openmetrics'):
                self.assertGreater(os.path.getsize(export(form, path)), 100)
            else:
                self.refused(1, 'no call sites', '--format', form, path)

    def test_standard_output(self):
        """Nothing else is written, and it is the same file each time."""
        for form in FORMATS:
            with open(export(form, self.path), 'rb') as file:
                expected = file.read()
            for output in [], ['--output', '-']:
                done = subprocess.run([TIDEMARK, 'export', '--format', form, *output, self.path], capture_output=True,
                                      env=clean_environment(), timeout=60, check=True)
                self.assertEqual((done.stdout, done.stderr), (expected, b''), form)
        self.assertIn(b'inuse_space', gzip.decompress(self.bytes_of('pprof')))

    def bytes_of(self, form):
        with open(export(form, self.path), 'rb') as file:
            return file.read()

    def test_no_binary_file_on_a_terminal(self):
        ours, theirs = pty.openpty()
        done = subprocess.run([TIDEMARK, 'export', '--format', 'pprof', self.path], stdout=theirs, stderr=subprocess.PIPE,
                              text=True, timeout=60, env=clean_environment(), check=False)
        os.close(theirs)
        os.close(ours)
        self.assertEqual(done.returncode, 1)
        self.assertIn('is not for a terminal', done.stderr)

    def test_a_file_is_whole_or_not_there(self):
        place = tempfile.mkdtemp(dir=DIRECTORY)
        out = os.path.join(place, 'out.folded')
        with open(out, 'w', encoding='ascii') as file:
            file.write('older')
        run(TIDEMARK, 'export', '--format', 'folded', '--output', out, self.path)
        with open(out, encoding='utf-8') as file:
            self.assertIn('at_small', file.read())
        self.assertEqual(os.listdir(place), ['out.folded'])
        self.refused(1, 'cannot be written', '--format', 'folded', '--output', place + '/nowhere/out', self.path)
        self.refused(1, 'could not be written', '--format', 'heaptrack', '--output', '/dev/full', self.path)
        full = subprocess.run(f'ulimit -f 1; trap "" XFSZ; exec {TIDEMARK} export --format heaptrack --output {out}.2 {self.path}',
                              shell=True, capture_output=True, text=True, timeout=60, check=False, env=clean_environment())
        self.assertEqual(full.returncode, 1, full)
        self.assertIn('could not be written', full.stderr)
        self.assertEqual(os.listdir(place), ['out.folded'])

    def test_names_stay_short(self):
        """A name of 608 bytes is cut to 512 wherever it is written."""
        for form in FORMATS:
            content = self.bytes_of(form)
            content = gzip.decompress(content) if form == 'pprof' else content
            self.assertNotIn(b'n' * 510, content, form)
            if form not in ('gperftools', 'massif'):  # no names, and only the large ones
                self.assertIn(b'at_long_nnn', content, form)
                self.assertNotIn(b'\xff', content if form != 'pprof' else b'', form)

    @staticmethod
    def totals(path):
        report = json.loads(run(TIDEMARK, 'report', '--json', path).stdout)
        return [sum(site[key]['bytes'] for site in report['sites']) for key in ('live', 'allocated')]

    def test_most_stacks(self):
        """Of 32768 stacks the largest are written, and all others as one; totals stay."""
        path = snapshot('sites=all', MANY)
        live, allocated = self.totals(path)
        lines = read(export('folded', path)).splitlines()
        others = [line for line in lines if line.startswith('[other stacks] ')]
        values = sorted(int(line.rsplit(' ', 1)[1]) for line in lines if line not in others)
        self.assertEqual(len(others), 1)
        self.assertLessEqual(len(values), 20000)
        self.assertGreater(len(values), 19900)
        self.assertEqual(sum(values) + int(others[0].split()[-1]), live)
        self.assertGreaterEqual(values.count(1024), 2**15 // 64, 'not all of the largest')
        self.assertLess(values.count(16), 2**15 // 64, 'all of the smallest')
        points = json.loads(read(export('dhat', path)))['pps']
        self.assertTrue(19900 < len(points) <= 20001, len(points))
        self.assertEqual([sum(point[key] for point in points) for key in ('eb', 'tb')], [live, allocated])
        profile = json.loads(read(export('speedscope', path)))['profiles'][0]
        self.assertEqual(sum(profile['weights']), live)
        heads = [line.split() for line in read(export('gperftools', path)).split('\nMAPPED')[0].splitlines()[1:] if line]
        self.assertTrue(19900 < len(heads) <= 20001, len(heads))
        self.assertEqual(sum(int(head[1]) for head in heads), live)

    def test_most_frames(self):
        path = snapshot('sites=all', MANY, '40')
        text = read(export('folded', path))
        frames = text.count(';') + text.count('\n')
        self.assertTrue(990000 < frames <= 1000001, frames)
        self.assertEqual(sum(int(line.rsplit(' ', 1)[1]) for line in text.splitlines()), self.totals(path)[0])


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
