"""tidemark snapshot and trim, as a user runs them: what is found out before a signal is sent, what is printed, the exit status."""
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

from target import LIBRARY, PYTHON, TIDEMARK, WithTargets, settings_in


class Command(WithTargets):
    def test_prints_the_path(self):
        child = self.start_sleep()
        for number in (1, 2):
            path = self.tidemark('snapshot', child.pid).strip()
            self.assertEqual(path, f'{self.directory}/sleep.{child.pid}.{number}.heap')
            with open(path, 'rb') as file:
                self.assertEqual(file.read(8), b'TIDEMARK')
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIsNone(child.poll())

    def test_report(self):
        child = self.start_sleep()
        self.assertIn('Ledger', self.tidemark('snapshot', '--report', child.pid))

    def test_process_that_the_signal_ends(self):
        for _ in range(5):
            child = self.start('perl', '-e', 'sleep 1000')
            self.wait_asleep(child, LIBRARY)
            path = self.tidemark('snapshot', child.pid).strip()
            self.assertEqual(path, f'{self.directory}/perl.{child.pid}.1.heap')
            self.assertTrue(os.path.exists(path))
            self.assertEqual(child.wait(10), 0)

    def test_trim(self):
        child = self.start_python('keep = [bytearray(1000) for _ in range(200000)]; del keep[::2]')
        self.assertIn('MiB after', self.tidemark('trim', child.pid))
        self.assertIsNone(child.poll())

    def test_trim_gives_back(self):
        child = self.start_python('keep = [bytearray(3000) for _ in range(30000)]; del keep', settings=',retain=1G')
        text = self.tidemark('trim', child.pid)
        before, after = [float(word) for word in text.split() if word.replace('.', '').isdigit()][-2:]
        self.assertLess(after, before - 10, text)

    def test_bad_usage(self):
        for arguments in (['snapshot'], ['snapshot', 'abc'], ['snapshot', '12x'], ['snapshot', '-5'], ['snapshot', '0'],
                          ['snapshot', '99999999999'], ['snapshot', '1', '2'], ['snapshot', '--timeout', 'x', '1'],
                          ['snapshot', '--nonsense', '1'], ['trim'], ['trim', 'abc']):
            self.tidemark(*arguments, expect=2)

    def test_no_such_process(self):
        child = subprocess.Popen(['true'])
        child.wait()
        self.assertIn('no process', self.tidemark('snapshot', child.pid, expect=1))

    def test_not_under_tidemark(self):
        child = self.start_sleep(library=None)
        for command in ('snapshot', 'trim'):
            self.assertIn('does not run Tidemark', self.tidemark(command, child.pid, expect=1))
        self.assertIsNone(child.poll())

    def test_zombie(self):
        child = self.start('true')
        while True:
            with open(f'/proc/{child.pid}/stat') as file:
                if file.read().rsplit(')', 1)[1].split()[0] == 'Z':
                    break
            time.sleep(0.01)
        self.assertIn('zombie', self.tidemark('snapshot', child.pid, expect=1))

    def test_signal_none(self):
        child = self.start_sleep(settings=',signal=none')
        self.assertIn('signal=none', self.tidemark('snapshot', child.pid, expect=1))

    def test_other_signal(self):
        child = self.start_sleep(settings=',signal=RTMIN+3')
        self.assertIn('.1.heap', self.tidemark('snapshot', child.pid))

    def test_own_handler(self):
        child = self.start_python('signal.signal(signal.SIGUSR2, lambda *_: print("own", flush=True))')
        self.assertIn('handler of its own', self.tidemark('snapshot', child.pid, expect=1))
        os.kill(child.pid, signal.SIGUSR2)
        self.assertEqual(child.stdout.readline(), 'own\n')

    def test_signal_reset(self):
        child = self.start_python('signal.signal(signal.SIGUSR2, signal.SIG_DFL)')
        self.assertIn('reset SIGUSR2', self.tidemark('snapshot', child.pid, expect=1))
        self.assertIsNone(child.poll())

    def test_ignored_from_the_start(self):
        child = self.start_sleep(preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN))
        self.tidemark('snapshot', child.pid, expect=1)

    def test_signal_blocked(self):
        child = self.start_python('signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])')
        self.assertIn('blocks SIGUSR2', self.tidemark('snapshot', child.pid, expect=1))

    def test_stopped(self):
        child = self.start_sleep()
        child.send_signal(signal.SIGSTOP)
        self.assertIn('stopped', self.tidemark('snapshot', '--timeout', '0.5', child.pid, expect=1))

    def test_failure_is_told(self):
        child = self.start_sleep()
        os.chmod(self.directory, 0o700)
        hidden = self.directory + '.hidden'
        os.rename(self.directory, hidden)
        try:
            message = self.tidemark('snapshot', child.pid, expect=1)
        finally:
            os.rename(hidden, self.directory)
        self.assertIn('No such file or directory', message)
        self.assertIn(self.directory, message)

    def test_relative_out_is_made_absolute(self):
        child = self.start_sleep(settings=',out=rel.%n', cwd=self.directory)
        self.assertEqual(self.tidemark('snapshot', child.pid).strip(), f'{self.directory}/rel.1')

    def test_links_at_the_final_name_are_passed_over(self):
        """One that leads nowhere is not followed, not replaced, and not tried for ever."""
        link = f'{self.directory}/link.1'
        os.symlink(f'{self.directory}/nowhere/x', link)
        child = self.start_sleep(settings=f',out={self.directory}/link.%n')
        self.assertEqual(self.tidemark('snapshot', child.pid).strip(), f'{self.directory}/link.2')
        self.assertTrue(os.path.islink(link))

    def test_percent_of_the_limit(self):
        """The limit is this machine's RAM, or less."""
        with open('/proc/meminfo') as file:
            ram = int(file.readline().split()[1]) * 1024
        at = []
        for percent in (40, 80):
            child = self.start_sleep(settings=f',at={percent}%')
            at.append(int(settings_in(self.tidemark('snapshot', child.pid).strip())['at']))
        self.assertEqual(at[1], 2 * at[0])
        self.assertGreater(at[0], 0)
        self.assertLessEqual(at[1], ram * 80 // 100)

    def test_nobody_reads_stderr(self):
        reader, writer = os.pipe()
        os.close(reader)
        for settings in ('nonsense=1', 'exit=summary'):
            done = subprocess.run([PYTHON, '-c', 'pass'], stderr=writer,
                                  env=dict(os.environ, LD_PRELOAD=LIBRARY, TIDEMARK=settings))
            self.assertEqual(done.returncode, 0, settings)
        os.close(writer)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_in_another_mount_namespace(self):
        child = self.start('unshare', '-m', 'sh', '-c',
                           f'mount -t tmpfs none {self.directory} && exec sleep 1000')
        deadline = time.monotonic() + 10
        while True:
            try:
                if os.path.basename(os.readlink(f'/proc/{child.pid}/exe')) == 'sleep' and self.is_up(child, LIBRARY):
                    break
            except OSError:
                pass
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        path = self.tidemark('snapshot', child.pid).strip()
        self.assertEqual(path, f'/proc/{child.pid}/root{self.directory}/sleep.{child.pid}.1.heap')
        with open(path, 'rb') as file:
            self.assertEqual(file.read(8), b'TIDEMARK')

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_of_another_user(self):
        child = self.start_sleep()
        # The tree may lie where that user cannot go.
        os.chmod(self.directory, 0o755)
        command = shutil.copy(TIDEMARK, self.directory)
        done = subprocess.run([command, 'snapshot', str(child.pid)], capture_output=True, text=True,
                              user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('may not be signalled', done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_memory_may_not_be_read(self):
        """Then the command goes by the files that appear."""
        child = self.start_sleep()
        for number in (1, 2):
            self.assertEqual(self.tidemark_without_memory('snapshot', child.pid).strip(),
                             f'{self.directory}/sleep.{child.pid}.{number}.heap')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
