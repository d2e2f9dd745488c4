"""Runs the test program under the library, and `tidemark diff` on its snapshots. The scripts that import this are called
with the paths of the library, of the command and of the program's two builds."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBRARY, TIDEMARK, PHASES, SECOND = map(os.path.abspath, sys.argv[1:5])

# As in phases.c.
LEAKED, FILLED, SAWN, GONE, KEPT, PER_KEPT = 200, 300, 400, 100, 200, 64
SITES = {'leaks': 512, 'plateau': 1024, 'saw_tooth': 256, 'turned_over': 2048, 'goes': 4096, 'appears': 4096,
         'fills': 64, 'keeps': 64}


def live_after(round_number, factor=1):
    """Live bytes of each site after a round, counted by hand."""
    blocks = {
        'leaks': LEAKED * (round_number + 1),
        'plateau': FILLED * min(round_number + 1, 2),
        'saw_tooth': SAWN if round_number % 2 == 0 else 0,
        'turned_over': (round_number + 1) * 10,
        'goes': GONE if round_number == 0 else 0,
        'appears': GONE if round_number > 0 else 0,
        'fills': KEPT * (PER_KEPT - 1) if round_number == 0 else 0,
        'keeps': KEPT,
    }
    return {site: blocks[site] * factor * SITES[site] for site in SITES}


def environment(**more):
    """Colour and language of this shell are none of the tests'."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ('TIDEMARK', 'LD_PRELOAD', 'NO_COLOR', 'DEBUGINFOD_URLS') and not name.startswith('LC_')}
    return dict(kept, LC_ALL='C.UTF-8', **more)


class WithSnapshots(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='tidemark-test-')

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    @classmethod
    def take(cls, rounds, pause=0, factor=1, program=PHASES, settings='sites=all'):
        """Paths of the snapshots of a run, one for each round."""
        place = tempfile.mkdtemp(dir=cls.directory)
        done = subprocess.run([program, str(rounds), str(pause), str(factor)], capture_output=True, text=True, timeout=50,
                              env=environment(LD_PRELOAD=LIBRARY, TIDEMARK=f'out={place}/%n.heap,{settings}'))
        if done.returncode != 0 or done.stderr:
            raise AssertionError(f'{program}: exit status {done.returncode}, {done.stderr}')
        return [f'{place}/{number}.heap' for number in range(1, rounds + 1)]

    def diff(self, *arguments, status=0):
        done = subprocess.run([TIDEMARK, 'diff', *arguments], capture_output=True, text=True, timeout=50,
                              env=environment())
        self.assertEqual(done.returncode, status, done.stderr)
        if status == 0:
            self.assertEqual(done.stderr, '')
        return done

    def json(self, *arguments):
        return json.loads(self.diff('--json', *arguments).stdout)

    def sites(self, document, key='sites'):
        """By function, of those of the program."""
        return {site['function']: site for site in document[key] if site.get('function') in SITES}
