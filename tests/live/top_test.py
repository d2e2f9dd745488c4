"""`tidemark top`: on paper, and on a terminal: a pty whose other end presses the keys."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import live_target
from live_target import SWELL, WithTargets

ENTER, LEAVE = b'\033[?1049h', b'\033[?1049l'
UP, DOWN, RIGHT, LEFT = '\033[A', '\033[B', '\033[C', '\033[D'


class Terminal:
    """The command on a terminal of so many lines and columns; what it drew is in `text`."""

    def __init__(self, command, lines=30, columns=100, locale='C.UTF-8'):
        self.outer, self.inner = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(self.inner)
        self.child = subprocess.Popen(command, stdin=self.inner, stdout=self.inner, stderr=subprocess.PIPE,
                                      start_new_session=True, env=dict(os.environ, LC_ALL=locale),
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = b''

    def resize(self, lines, columns):
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))

    def read(self, seconds=0.0):
        while select.select([self.outer], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                self.text += os.read(self.outer, 65536)
            seconds = 0.0

    def frame(self):
        """The lines of the last whole drawing, without escape sequences."""
        drawn = self.text.split(b'\033[H')
        whole = [part for part in drawn if part.endswith(b'\033[K\033[J')]
        if not whole:
            return []
        return re.sub(r'\033\[[0-9;?]*[A-Za-z]', '', whole[-1].decode()).split('\r\n')

    def wait(self, is_so, seconds=15):
        """Reads until the last drawing is so; returns its lines."""
        deadline = time.monotonic() + seconds
        while True:
            self.read(0.05)
            lines = self.frame()
            if lines and is_so(lines):
                return lines
            if time.monotonic() > deadline or self.child.poll() is not None:
                raise AssertionError('\n'.join(lines) + f'\nstatus {self.child.poll()}')

    def press(self, keys):
        os.write(self.outer, keys.encode())

    def end(self, seconds=10):
        status = self.child.wait(timeout=seconds)
        self.read()
        return status

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()
        for fd in (self.outer, self.inner):
            with contextlib.suppress(OSError):
                os.close(fd)


class Top(WithTargets):
    def open(self, *arguments, **options):
        terminal = Terminal([self.command, 'top', '--interval', '0.2', *arguments], **options)
        self.addCleanup(terminal.close)
        return terminal

    def check_restored(self, terminal):
        self.assertGreater(terminal.text.rfind(LEAVE), terminal.text.rfind(ENTER))
        self.assertGreater(terminal.text.rfind(b'\033[?25h'), terminal.text.rfind(b'\033[?25l'))
        self.assertEqual(termios.tcgetattr(terminal.inner), terminal.before)

    def test_once(self):
        child = self.start_python(SWELL)
        lines = self.tidemark('top', '--once', '--interval', '0.1').splitlines()
        self.assertRegex(lines[0], r'^\d+ process(es)? under Tidemark: RSS ')
        self.assertEqual(lines[1].split()[:8], ['PID', 'USER', 'PROGRAM', '>RSS', 'LIVE', 'PINNED', 'CACHED', 'ALLOC/s'])
        row, = [line.split() for line in lines if line.split()[:1] == [str(child.pid)]]
        self.assertRegex(row[2], 'python')
        sizes = [float(row[3][:-1]), float(row[4][:-1]), float(row[5][:-1])]
        self.assertEqual({value[-1] for value in row[3:6]}, {'M'})
        self.assertGreater(sizes[0], sizes[1])
        self.assertAlmostEqual(sizes[1], 24, delta=3)
        self.assertGreater(sizes[2], 10)
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_sorted(self):
        small, large = self.start_python(''), self.start_python(SWELL)
        found = list(self.look())
        self.assertLess(found.index(large.pid), found.index(small.pid))
        lines = self.tidemark('top', '--once', '--interval', '0.1', '--sort', 'pid').splitlines()
        pids = [int(line.split()[0]) for line in lines[2:] if re.match(r' *\d+ \w+ +[\w.]+ +[\d.]+[KMG] ', line)]
        self.assertIn(small.pid, pids)
        self.assertEqual(pids, sorted(pids))

    def test_rate_and_trend(self):
        grows = self.start_python('', settings=',sites=all')
        grows.kill()
        grows = self.start(live_target.PYTHON, '-c', 'import time\nkeep = []\nwhile True:\n'
                           '    keep.append(b"x" * 100000); time.sleep(0.01)', settings=',sites=all')
        found = self.look_until(lambda found: found.get(grows.pid, {}).get('recorded_bytes_per_second', 0) > 2e6)
        found = self.look_until(lambda found: found[grows.pid].get('rss_bytes_per_minute', 0) > 100e6)
        self.assertLess(found[grows.pid].get('recorded_bytes_per_second', 0), 40e6)
        other = self.start_python('')
        self.assertEqual(self.look()[other.pid].get('taken_bytes_per_second'), 0)

    def test_usage(self):
        for arguments, said in ((['--sort', 'size'], '--sort size'), (['--interval', '0'], '--interval 0'),
                                (['--interval', 'x'], 'seconds'), (['1'], "'1'")):
            self.assertIn(said, self.tidemark('top', *arguments, expect=2))
        self.assertIn('usage: tidemark top', self.tidemark('top', '--help'))

    def test_without_terminal(self):
        self.assertIn('under Tidemark', self.tidemark('top', '--interval', '0.1', stdin=subprocess.DEVNULL))

    def test_quit(self):
        child = self.start_python(SWELL)
        terminal = self.open()
        lines = terminal.wait(lambda lines: any(line.split()[:1] == [str(child.pid)] for line in lines))
        self.assertLessEqual(max(map(len, lines)), 100)
        self.assertIn('q quit', lines[-1])
        self.assertRegex('\n'.join(lines), '[▁▂▃▄▅▆▇█]')
        self.assertFalse(termios.tcgetattr(terminal.inner)[3] & (termios.ICANON | termios.ECHO))
        terminal.press('q')
        self.assertEqual(terminal.end(), 0)
        self.check_restored(terminal)

    def test_signals(self):
        for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0), (signal.SIGQUIT, -signal.SIGQUIT),
                               (signal.SIGHUP, -signal.SIGHUP), (signal.SIGSEGV, -signal.SIGSEGV)):
            terminal = self.open()
            terminal.wait(bool)
            if number == signal.SIGINT:
                terminal.press('\x03')
            else:
                os.kill(terminal.child.pid, number)
            self.assertEqual(terminal.end(), status)
            self.check_restored(terminal)

    def test_stopped(self):
        terminal = self.open()
        terminal.wait(bool)
        terminal.press('\x1a')
        _, status = os.waitpid(terminal.child.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        terminal.read()
        self.check_restored(terminal)
        seen = len(terminal.text)
        os.kill(terminal.child.pid, signal.SIGCONT)
        terminal.wait(lambda _: b'\033[J' in terminal.text[seen:])
        self.assertIn(ENTER, terminal.text[seen:])
        terminal.press('q')
        self.assertEqual(terminal.end(), 0)
        self.check_restored(terminal)

    def test_terminal_goes_away(self):
        terminal = self.open()
        terminal.wait(bool)
        os.close(terminal.inner)
        os.close(terminal.outer)
        self.assertIn(terminal.child.wait(timeout=10), (0, -signal.SIGHUP))

    def test_resize(self):
        child = self.start_python(SWELL)
        terminal = self.open('--sort', 'rss', lines=24, columns=80)
        lines = terminal.wait(lambda lines: str(child.pid) in '\n'.join(lines))
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn('AGE', lines[1])
        terminal.resize(8, 40)
        lines = terminal.wait(lambda lines: 'AGE' not in lines[1])
        self.assertLessEqual(max(map(len, lines)), 40)
        self.assertLessEqual(len(lines), 8)
        terminal.resize(30, 120)
        lines = terminal.wait(lambda lines: 'RSS so far' in lines[1])
        self.assertLessEqual(max(map(len, lines)), 120)

    def select(self, terminal, pid):
        """Moves down until the row of the process is the one in reverse."""
        marked = b'\033[7m'
        for _ in range(200):
            terminal.wait(lambda lines: True)
            frame = terminal.text.split(b'\033[H')[-1]
            if re.search(re.escape(marked) + rb' *%d ' % pid, frame):
                return
            terminal.press(DOWN)
            terminal.read(0.1)
        raise AssertionError(f'{pid} was never selected')

    def test_keys(self):
        first = self.start_python(SWELL)
        second = self.start_python(SWELL)
        terminal = self.open('--sort', 'pid', lines=60)
        terminal.wait(lambda lines: str(second.pid) in '\n'.join(lines))
        for key, title in ((RIGHT, '>USER'), (RIGHT, '>PROGRAM'), (RIGHT, '>RSS'), (LEFT, '>PROGRAM'), ('<', '>USER'),
                           (LEFT, '>PID'), (LEFT, '>RSS/min'), ('>', '>PID')):
            terminal.press(key)
            terminal.wait(lambda lines, title=title: title in lines[1].split())
        self.select(terminal, second.pid)
        terminal.press('s')
        lines = terminal.wait(lambda lines: '.heap' in lines[-1])
        self.assertTrue(os.path.exists(lines[-1].strip()), lines[-1])
        self.assertIn(f'.{second.pid}.1.heap', lines[-1])
        terminal.press('t')
        lines = terminal.wait(lambda lines: 'RSS' in lines[-1] and 'after' in lines[-1])
        self.assertIn(f'process {second.pid} ', lines[-1])
        # The selection stays with its process when others come to stand before it.
        terminal.press(UP)
        terminal.wait(lambda lines: 'q quit' in lines[-1])
        self.assertIsNone(first.poll())
        terminal.press('q')
        self.assertEqual(terminal.end(), 0)
        self.check_restored(terminal)

    def test_quit_while_it_asks(self):
        child = self.start_python('import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [])')
        os.kill(child.pid, signal.SIGSTOP)  # it answers to nothing
        terminal = self.open(lines=60)
        terminal.wait(lambda lines: str(child.pid) in '\n'.join(lines))
        self.select(terminal, child.pid)
        terminal.press('s')
        terminal.wait(lambda lines: 'snapshot of' in lines[-1])
        terminal.press('q')
        self.assertEqual(terminal.end(), 0)
        self.check_restored(terminal)
        os.kill(child.pid, signal.SIGCONT)


if __name__ == '__main__':
    live_target.main()
