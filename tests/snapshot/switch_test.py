"""`tidemark start` and `tidemark stop` on running processes: what they switch, what they print, what they refuse.

usage: switch_test.py TIDEMARK LIBRARY OLDER_LIBRARY
"""
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from target import TIDEMARK, WithTargets, sections

OLDER = os.path.abspath(sys.argv[3])
OFF, SAMPLE, ALL = range(3)
# Allocates all the time, so that what waits for an allocation gets one.
BUSY = """
import threading
def work():
    while True:
        keep = [bytearray(100 + i) for i in range(1000)]
        time.sleep(0.01)
threading.Thread(target=work, daemon=True).start()
"""


class Switch(WithTargets):
    def recording(self, child):
        """What a snapshot says: (sites in force, mean bytes between samples, whether it was stopped); None: nothing was
        ever recorded."""
        found = sections(self.tidemark('snapshot', child.pid).strip()).get('RECO')
        if found is None:
            return None
        sites, _, rate, _, _, _, until = struct.unpack_from('<IIQIIQQ', found)
        return sites, rate, until != 0

    def test_start_and_stop(self):
        child = self.start_python(BUSY)
        self.assertIsNone(self.recording(child))
        for _ in range(2):  # and once more, as it is on already
            self.assertRegex(self.tidemark('start', child.pid),
                             r'records the call sites of a sample, one for each 512.0 KiB on average\n')
            self.assertEqual(self.recording(child), (SAMPLE, 512 * 1024, False))
        for _ in range(2):
            self.assertIn('records no call sites', self.tidemark('stop', child.pid))
            self.assertEqual(self.recording(child), (OFF, 512 * 1024, True))
        self.tidemark('start', child.pid)
        self.assertEqual(self.recording(child), (SAMPLE, 512 * 1024, False))
        self.assertIsNone(child.poll())

    def test_all(self):
        child = self.start_python(BUSY)
        self.assertIn('records the call site of every allocation', self.tidemark('start', '--all', child.pid))
        self.assertEqual(self.recording(child)[0], ALL)
        self.tidemark('start', child.pid)
        self.assertEqual(self.recording(child)[0], SAMPLE)
        self.tidemark('stop', child.pid)
        self.assertEqual(self.recording(child)[0], OFF)

    def test_rate_of_the_start_holds(self):
        child = self.start_python(BUSY, settings=',rate=64K')
        self.assertIn('one for each 64.0 KiB', self.tidemark('start', child.pid))
        self.assertEqual(self.recording(child)[:2], (SAMPLE, 64 * 1024))

    def test_configured_process_can_be_stopped(self):
        child = self.start_python(BUSY, settings=',sites=all')
        self.assertEqual(self.recording(child)[0], ALL)
        self.tidemark('stop', child.pid)
        self.assertEqual(self.recording(child)[0], OFF)

    def test_sleeping_process(self):
        """It is switched, whether or not it allocates ever again; the message says from when on."""
        child = self.start_sleep()
        self.assertIn("starts with the program's next allocations", self.tidemark('start', child.pid))
        self.assertEqual(self.recording(child)[0], SAMPLE)
        self.tidemark('stop', child.pid)
        self.assertEqual(self.recording(child)[0], OFF)
        self.assertIsNone(child.poll())

    def test_another_signal(self):
        child = self.start_python(BUSY, settings=',signal=RTMIN+3')
        self.tidemark('start', child.pid)
        self.assertEqual(self.recording(child)[0], SAMPLE)

    def test_bad_usage(self):
        for arguments in (['start'], ['start', 'abc'], ['start', '0'], ['start', '1', '2'], ['start', '--nonsense', '1'],
                          ['start', '--all'], ['stop'], ['stop', 'abc'], ['stop', '1', '2'], ['stop', '--all', '1']):
            self.tidemark(*arguments, expect=2)

    def test_help(self):
        for command in 'start', 'stop':
            self.assertIn(f'usage: tidemark {command}', self.tidemark(command, '--help'))
            self.assertRegex(self.tidemark('--help'), rf'(?m)^  {command} ')

    def refused(self, child, words):
        for command in 'start', 'stop':
            message = self.tidemark(command, child.pid, expect=1)
            self.assertRegex(message, words)
            self.assertEqual(len(message.splitlines()), 1, message)
            self.assertTrue(re.match(rf'tidemark: process {child.pid} \(', message) or 'no process' in message, message)

    def test_not_under_tidemark(self):
        child = self.start_sleep(library=None)
        self.refused(child, 'does not run Tidemark')
        self.assertIsNone(child.poll())

    def test_no_such_process(self):
        child = subprocess.Popen(['true'])
        child.wait()
        self.refused(child, 'no process')

    def test_handler_taken(self):
        child = self.start_python('signal.signal(signal.SIGUSR2, lambda *_: print("own", flush=True))')
        self.refused(child, 'handler of its own')
        os.kill(child.pid, signal.SIGUSR2)
        self.assertEqual(child.stdout.readline(), 'own\n')  # the first that it heard of

    def test_signal_none(self):
        self.refused(self.start_sleep(settings=',signal=none'), 'signal=none')

    def test_signal_blocked(self):
        self.refused(self.start_python('signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])'), 'blocks SIGUSR2')

    def test_stopped(self):
        child = self.start_sleep()
        # A child has signals blocked until it runs its program.
        for _ in range(500):
            with open(f'/proc/{child.pid}/status', encoding='ascii') as status:
                text = status.read()
            if text.startswith('Name:\tsleep') and 'SigBlk:\t0000000000000000' in text:
                break
            time.sleep(0.01)
        child.send_signal(signal.SIGSTOP)
        self.assertIn('is stopped', self.tidemark('start', child.pid, expect=1))

    def test_older_library(self):
        child = self.start_sleep(library=OLDER)
        self.refused(child, 'runs an older Tidemark')
        self.assertIsNone(child.poll())

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_of_another_user(self):
        child = self.start_sleep()
        os.chmod(self.directory, 0o755)
        command = shutil.copy(TIDEMARK, self.directory)
        for name in 'start', 'stop':
            done = subprocess.run([command, name, str(child.pid)], capture_output=True, text=True,
                                  user=65534, group=65534, extra_groups=[])
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn('may not be signalled', done.stderr)

    def test_memory_may_not_be_read(self):
        """It is asked all the same, and the message says what is not known."""
        child = self.start_python(BUSY)
        self.assertIn('memory may not be read', self.tidemark_without_memory('start', child.pid))
        self.assertEqual(self.recording(child)[0], SAMPLE)
        self.assertIn('memory may not be read', self.tidemark_without_memory('stop', child.pid))
        self.assertEqual(self.recording(child)[0], OFF)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
