"""The live page of a process: who can read it, what it says, and that it does no harm."""
import errno
import fcntl
import json
import os
import re
import resource
import time
import unittest

import live_target
from live_target import LINK, SWELL, WithTargets, children_of, filter_calls, page_descriptors

MIB = 1 << 20
IS_ROOT = os.geteuid() == 0
# A child that changes its heap all the time, and says when it has come so far.
CHILDREN = """
for number in range(COUNT):
    if os.fork() == 0:
        FIRST
        keep = [bytes(1000) for _ in range(1000 + 10 * number)]
        while True:
            more = [bytes(1000) for _ in range(1000)]
            del more
            time.sleep(0.2)
"""


class Page(WithTargets):
    def test_descriptor(self):
        child = self.start_python('')
        found = page_descriptors(child.pid)
        self.assertEqual(len(found), 1, found)
        self.assertGreaterEqual(found[0], 1000)
        with open(f'/proc/{child.pid}/fdinfo/{found[0]}', encoding='ascii') as file:
            flags = int(re.search(r'^flags:\s*(\d+)$', file.read(), re.M)[1], 8)
        self.assertTrue(flags & os.O_CLOEXEC, oct(flags))

    def test_few_descriptors(self):
        """Where a process may have no descriptor 1000 it has one that it may."""
        child = self.start('sh', '-c', 'ulimit -n 200; exec sleep 100')
        found = self.look_until(lambda found: found.get(child.pid, {}).get('program') == 'sleep')
        self.assertEqual(found[child.pid]['page'], 'read')
        number, = page_descriptors(child.pid)
        self.assertLess(number, 200)
        self.assertGreaterEqual(number, 100)

    def test_nobody_else_writes(self):
        child = self.start_python('')
        path = f'/proc/{child.pid}/fd/{page_descriptors(child.pid)[0]}'
        fd = os.open(path, os.O_RDWR)
        try:
            for change in (lambda: os.write(fd, b'x'), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 20),
                           lambda: fcntl.fcntl(fd, 1033, 0)):  # F_ADD_SEALS
                with self.assertRaises(OSError) as caught:
                    change()
                self.assertEqual(caught.exception.errno, errno.EPERM)
        finally:
            os.close(fd)
        self.assertEqual(self.look()[child.pid]['page'], 'read')

    def test_not_inherited_by_what_is_executed(self):
        child = self.start_python('os.execv("/bin/sleep", ["sleep", "100"]) if os.fork() == 0 else None')
        inner, = children_of(child.pid)
        found = self.look_until(lambda found: found.get(inner, {}).get('program') == 'sleep')
        self.assertEqual(found[inner]['page'], 'read')
        self.assertEqual(len(page_descriptors(inner)), 1)
        inode = [os.stat(f'/proc/{pid}/fd/{page_descriptors(pid)[0]}').st_ino for pid in (child.pid, inner)]
        self.assertNotEqual(*inode)

    def test_off(self):
        child = self.start_python(SWELL, settings=',live=no')
        self.assertEqual(page_descriptors(child.pid), [])
        with open(f'/proc/{child.pid}/maps', encoding='ascii') as file:
            self.assertNotIn(LINK, file.read())
        found = self.look()[child.pid]
        self.assertEqual(found['page'], 'none')
        self.assertGreater(found['rss_bytes'], 20 * MIB)
        self.assertNotIn('live_bytes', found)

    def check_figures(self, settings):
        child = self.start_python(SWELL, settings=settings)
        found = self.look()[child.pid]
        report = json.loads(self.tidemark('report', '--json', self.tidemark('snapshot', child.pid).strip()))
        rows = {row['name']: row['bytes'] for row in report['ledger']}
        live = sum(row['bytes'] for row in report['ledger'] if row['group'] == 'live')
        # The snapshot counts each block; the page looked at some pools, up to 250 ms before the last page moved.
        self.assertAlmostEqual(found['live_bytes'] / MIB, live / MIB, delta=0.1 * live / MIB + 1)
        self.assertAlmostEqual(found['pinned_bytes'] / MIB, rows['pinned'] / MIB, delta=0.2 * rows['pinned'] / MIB + 1)
        self.assertGreater(rows['pinned'], 10 * MIB)
        self.assertLess(found['cached_bytes'], 6 * MIB)
        self.assertGreater(found['taken_bytes'], 45 * MIB)
        return found

    def test_figures(self):
        found = self.check_figures('')
        self.assertEqual(found['sites'], 'off')
        self.assertEqual(found['recorded_bytes'], 0)

    def test_figures_with_sites(self):
        found = self.check_figures(',sites=all')
        self.assertEqual(found['sites'], 'all')
        self.assertGreater(found['recorded_bytes'], 50 * MIB)
        self.assertGreater(found['recorded_blocks'], 100000)

    def test_snapshots_are_counted(self):
        child = self.start_python('for i in range(100):\n    x = bytearray(300 << 10); time.sleep(0.03)\n'
                                  '    if i == 10: os.kill(os.getpid(), 12)')
        self.assertEqual(self.look()[child.pid]['snapshots'], 1)

    def test_forked(self):
        """Each child has figures of its own, though it makes no system call for them."""
        child = self.start_python(CHILDREN.replace('COUNT', '3').replace('FIRST', 'pass') + SWELL)
        inner = children_of(child.pid)
        self.assertEqual(len(inner), 3)
        found = self.look_until(lambda found: all(found[pid]['page'] == 'read' for pid in inner))
        self.assertGreater(found[child.pid]['live_bytes'], 22 * MIB)
        for pid in inner:
            self.assertLess(found[pid]['live_bytes'], 10 * MIB)

    def test_forked_under_a_filter(self):
        """A child that may do nothing that the page would need at start is not killed by it."""
        first = f'sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import live_target; ' \
                'live_target.filter_calls("kill", "memfd_create", "ftruncate", "fcntl", "openat", "getpid", "prctl")'
        child = self.start_python('sys.argv = ["", "", ""]\n' +
                                  CHILDREN.replace('COUNT', '1').replace('FIRST', first))
        inner, = children_of(child.pid)
        found = self.look_until(lambda found: inner not in found or found[inner]['page'] == 'read')
        self.assertIn(inner, found)
        time.sleep(0.5)
        with open(f'/proc/{inner}/stat', encoding='ascii') as file:
            self.assertNotIn(file.read().split()[2], 'ZX')

    def test_more_children_than_slots(self):
        """As many as there are slots have figures, nearly; how many one look sees cannot be told, as slots change hands
        while it looks."""
        child = self.start_python(CHILDREN.replace('COUNT', '70').replace('FIRST', 'pass'))
        inner = children_of(child.pid)
        self.assertEqual(len(inner), 70)
        self.look_until(lambda found: sum(found[pid]['page'] == 'read' for pid in inner) >= 50, seconds=20)

    def test_slot_of_a_child_that_ended_is_free(self):
        """Many children one after the other, each long enough to have figures, do not use up what there is."""
        child = self.start_python('for _ in range(2):\n    pid = os.fork()\n    if pid == 0:\n'
                                  '        end = time.monotonic() + 1.3\n        while time.monotonic() < end:\n'
                                  '            x = bytearray(400 << 10); del x\n        sys.exit(0)\n'
                                  '    os.waitpid(pid, 0)')
        with open(f'/proc/{child.pid}/fd/{page_descriptors(child.pid)[0]}', 'rb') as file:
            data = file.read()
        owners = [data[at:at + 8] != bytes(8) for at in range(0, len(data), 512)]
        magics = [data[at + 16:at + 24] == b'TIDELIVE' for at in range(0, len(data), 512)]
        self.assertEqual(owners[:3], [True, False, False])
        self.assertEqual(magics[:3], [True, True, False])  # both children had the second

    def test_filter_at_start(self):
        """No memfd is made under a filter, which might end the process; the page is in its memory."""
        child = self.start_python(SWELL, preexec_fn=lambda: filter_calls('kill', 'memfd_create', 'prctl'))
        self.assertEqual(page_descriptors(child.pid), [])
        found = self.look()[child.pid]
        self.assertEqual(found['page'], 'read')
        self.assertGreater(found['live_bytes'], 20 * MIB)

    def test_no_file_may_grow(self):
        """The limit holds for a memfd, too: the program is not ended by it, and the page is in its memory."""
        for limit in 0, 31 * 1024:
            child = self.start_python(SWELL, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            self.assertEqual(page_descriptors(child.pid), [])
            self.assertEqual(self.look()[child.pid]['page'], 'read')

    def test_without_memory(self):
        """A descriptor can be read where the memory of a process cannot."""
        child = self.start_python(SWELL)
        found = self.look(preexec_fn=lambda: filter_calls('refuse', 'process_vm_readv'))[child.pid]
        self.assertEqual(found['page'], 'read')

    def test_closed_descriptor(self):
        child = self.start_python(SWELL + 'os.closerange(3, 5000)')
        self.assertEqual(page_descriptors(child.pid), [])
        self.assertEqual(self.look()[child.pid]['page'], 'read')
        if IS_ROOT:  # who may look at the mappings themselves
            found = self.look(preexec_fn=lambda: filter_calls('refuse', 'process_vm_readv'))[child.pid]
            self.assertEqual(found['page'], 'read')

    @unittest.skipUnless(IS_ROOT, 'only root can be two users')
    def test_another_user(self):
        child = self.start_python(SWELL)
        theirs = self.start_python(SWELL, user='nobody', group='nogroup', extra_groups=[])
        closed = self.start_python(SWELL + 'os.closerange(3, 5000)', user='nobody', group='nogroup', extra_groups=[])
        nobody = {'user': 'nobody', 'group': 'nogroup', 'extra_groups': []}
        found = self.look(**nobody)
        self.assertEqual(found[theirs.pid]['page'], 'read')
        self.assertEqual(found[theirs.pid]['user'], 'nobody')
        self.assertNotIn(child.pid, found)
        self.assertGreater(self.denied, 0)
        self.assertEqual(found[closed.pid]['page'], 'read')
        found = self.look(preexec_fn=lambda: filter_calls('refuse', 'process_vm_readv'), **nobody)
        self.assertEqual(found[theirs.pid]['page'], 'read')
        self.assertEqual(found[closed.pid]['page'], 'denied')
        table = self.tidemark('top', '--once', '--interval', '0.1',
                              preexec_fn=lambda: filter_calls('refuse', 'process_vm_readv'), **nobody)
        self.assertIn('1 not shown in full, as neither their descriptor nor their memory may be read', table)
        self.assertRegex(table, r'\d+ not looked at, under Tidemark or not .*: run as that user or as root')

    @unittest.skipUnless(IS_ROOT, 'only root can make namespaces')
    def test_container(self):
        """Other pids, another /proc and another root: the command outside has its own pid for it."""
        child = self.start('unshare', '--pid', '--fork', '--mount-proc', '--mount', '--kill-child',
                           live_target.PYTHON, '-c', SWELL + 'import os, time\nprint(os.getpid(), flush=True)\n'
                           'time.sleep(1000)')
        self.assertEqual(child.stdout.readline(), '1\n', 'unshare cannot be used here')
        inner, = children_of(child.pid)
        found = self.look()[inner]
        self.assertEqual((found['page'], found['inner_pid']), ('read', 1))
        self.assertGreater(found['live_bytes'], 20 * MIB)


if __name__ == '__main__':
    live_target.main()
