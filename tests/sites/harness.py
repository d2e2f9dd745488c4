"""Runs a test program under the library and collects what it said and the snapshots that it took. The scripts that import
this are called with the paths of the library and of their programs."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from snapshot_file import Snapshot

LIBRARY = os.path.abspath(sys.argv[1])
PROGRAMS = {os.path.basename(path): os.path.abspath(path) for path in sys.argv[2:]}


class Run:
    """lines: what the program printed; snapshots: those that it took, in order."""

    def __init__(self, lines, snapshots):
        self.lines = lines
        self.snapshots = snapshots

    def said(self, word):
        """What follows the word on the lines that begin with it."""
        return [line.split()[1:] for line in self.lines if line.startswith(word + ' ')]


class WithPrograms(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='tidemark-test-')

    def tearDown(self):
        shutil.rmtree(self.directory)

    def run_program(self, program, *arguments, settings):
        """settings: as in TIDEMARK, without out=."""
        place = tempfile.mkdtemp(dir=self.directory)
        environment = dict(os.environ, LD_PRELOAD=LIBRARY, TIDEMARK=f'out={place}/%n.heap,{settings}')
        done = subprocess.run([PROGRAMS[program], *map(str, arguments)], env=environment, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, '')
        snapshots = [Snapshot(f'{place}/{number}.heap') for number in range(1, len(os.listdir(place)) + 1)]
        shutil.rmtree(place)
        return Run(done.stdout.splitlines(), snapshots)
