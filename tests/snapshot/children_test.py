"""children=: what becomes of the profile when a process forks and executes. Each program ends of its own accord and
leaves its snapshots, by exit=snapshot, in the test's directory."""
import os
import re
import signal
import struct
import sys
import unittest

from target import PYTHON, WithTargets, sections, settings_in

OFF, SAMPLE, ALL = range(3)
FORK = """
import os, sys
pid = os.fork()
if pid == 0:
    keep = [bytearray(1000) for _ in range(3000)]
    sys.exit(0)
os.waitpid(pid, 0)
"""
FORK_AND_WORK = """
import os, time
pid = os.fork()
while pid == 0:
    keep = [bytearray(1000) for _ in range(1000)]
    time.sleep(0.01)
print(pid, flush=True)
time.sleep(1000)
"""
# A program that is told by its name: a link to Python.
EXECUTE = """
import os, subprocess
subprocess.run([os.environ['CHILD'], '-c', 'import os; print(os.environ.get("TIDEMARK")); '
                'print("libtidemark" in open("/proc/self/maps").read())'], check=True)
"""
REPLACE = 'import os; os.execv(os.environ["CHILD"], [os.environ["CHILD"], "-c", "print(1)"])'


class Children(WithTargets):
    def setUp(self):
        super().setUp()
        self.link = os.path.join(self.directory, 'executed')
        os.symlink(PYTHON, self.link)

    def run_python(self, code, settings):
        """(stdout lines, stderr, pid) of a program that succeeded."""
        os.environ['CHILD'] = self.link
        child = self.start(PYTHON, '-c', code, settings=',exit=snapshot' + settings)
        out, said = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0, said)
        return out.splitlines(), said, child.pid

    def snapshots(self):
        """pid of each snapshot, and the snapshot's path."""
        found = {}
        for name in os.listdir(self.directory):
            match = re.fullmatch(r'.*\.(\d+)\.1\.heap', name)
            if match:
                found[int(match[1])] = os.path.join(self.directory, name)
        self.assertEqual(len(found) + 1, len(os.listdir(self.directory)))  # and the link
        return found

    def sites_of(self, path):
        found = sections(path).get('RECO')
        return None if found is None else struct.unpack_from('<I', found)[0]

    def test_forked(self):
        _, said, pid = self.run_python(FORK, ',sites=sample,rate=1K')
        self.assertEqual(said, '')
        found = self.snapshots()
        self.assertEqual(len(found), 2)
        self.assertIn(pid, found)
        for path in found.values():
            self.assertEqual(self.sites_of(path), SAMPLE)
            self.assertGreater(len(sections(path)['SITE']), 0)

    def test_forked_not_profiled(self):
        _, said, pid = self.run_python(FORK, ',sites=sample,rate=1K,children=no')
        self.assertEqual(said, '')
        found = self.snapshots()
        self.assertEqual(list(found), [pid])
        self.assertEqual(self.sites_of(found[pid]), SAMPLE)
        self.assertEqual(settings_in(found[pid])['children'], 'no')

    def test_forked_not_profiled_but_asked(self):
        """It answers as a process that was started without settings does."""
        child = self.start(PYTHON, '-c', FORK_AND_WORK, settings=',exit=snapshot,sites=all,children=no')
        inner = int(child.stdout.readline())
        try:
            self.assertIn(self.sites_of(self.tidemark('snapshot', inner).strip()), (None, OFF))
            self.tidemark('start', inner)
            self.assertEqual(self.sites_of(self.tidemark('snapshot', inner).strip()), SAMPLE)
        finally:
            os.kill(inner, signal.SIGKILL)

    def test_executed(self):
        out, said, pid = self.run_python(EXECUTE, ',sites=sample')
        self.assertEqual(said, '')
        self.assertEqual(out[1], 'True')
        found = self.snapshots()
        self.assertEqual(len(found), 2)
        for path in found.values():
            self.assertEqual(self.sites_of(path), SAMPLE)

    def test_executed_not_profiled(self):
        out, said, pid = self.run_python(EXECUTE, ',sites=sample,children=no')
        self.assertEqual(said, '')
        self.assertEqual(out, ['None', 'True'])  # no settings, and the allocator
        self.assertEqual(list(self.snapshots()), [pid])

    def test_complaints_are_not_repeated(self):
        _, said, _ = self.run_python(EXECUTE, ',nonsense=1,children=no')
        self.assertEqual(said.count('nonsense'), 1, said)
        _, said, _ = self.run_python(EXECUTE, ',nonsense=1')
        self.assertEqual(said.count('nonsense'), 2, said)

    def test_replaced(self):
        _, _, pid = self.run_python(REPLACE, '')
        self.assertEqual(list(self.snapshots()), [pid])

    def test_replaced_not_profiled(self):
        out, said, _ = self.run_python(REPLACE, ',children=no')
        self.assertEqual((out, said), (['1'], ''))
        self.assertEqual(self.snapshots(), {})

    def test_summary_of_the_parent_only(self):
        for more, count in (('', 2), (',children=no', 1)):
            child = self.start(PYTHON, '-c', FORK, settings=',exit=summary' + more)
            _, said = child.communicate(timeout=60)
            self.assertEqual(said.count('at exit RSS'), count, said)

    def test_settings_are_found_without_memory(self):
        """The name of the variable is gone, but not for the command."""
        child = self.start_sleep(settings=f',children=no,out={self.directory}/hidden.%n')
        self.assertEqual(self.tidemark_without_memory('snapshot', child.pid).strip(), f'{self.directory}/hidden.1')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
