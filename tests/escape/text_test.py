"""What is printed for people: reports, comparisons, tables and messages."""
import os
import pty
import struct
import subprocess
import sys
import time
import unittest

from hostile import (ALL, ASCII, FORMULA, LIBRARY, TERMINAL, TIDEMARK, UTF8, Hostile, Sections, clean_environment, hostile_program,
                     later, snapshot)


class Text(Hostile):
    def test_names_get_there(self):
        """Else the rest of this would prove nothing."""
        text = self.run_command('report', self.before).decode()
        self.assertIn(r'\x1b]0;owned\x07\x1b[2J\x9b31m\u{009b}1m', text)
        self.assertIn(r'\x0aFORGED 9', text)
        self.assertIn(r'</script><script>hit=1</script>', text)
        self.assertIn(r'\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\xff', text)
        self.assertIn(r'=1+1|"\\u003c', text)

    def test_report(self):
        for locale in UTF8, ASCII:
            for options in (['--group', 'stack'], ['--group', 'line'], ['--group', 'file'], ['--group', 'library'],
                            ['--group', 'thread'], ['--by', 'live'], ['--top', '1'], ['--depth', '2']):
                self.assert_plain(self.run_command('report', *options, self.before, locale=locale), locale is ASCII)

    def test_diff(self):
        for locale in UTF8, ASCII:
            for options in [], ['--group', 'library'], ['--group', 'file'], ['--group', 'stack']:
                self.assert_plain(self.run_command('diff', *options, self.before, self.after, locale=locale), locale is ASCII)
        times = [self.before, *(later(self.before, seconds, f'{self.place}/{seconds}.heap') for seconds in (60, 120))]
        leak = self.run_command('diff', '--leak', *times)
        self.assert_plain(leak)

    def test_diff_of_different_programs(self):
        other = hostile_program(f'{self.place}/other', build_id=bytes(20))
        os.rename(other, other + b'2')
        path = snapshot(other + b'2', f'{self.place}/other.heap')
        self.assertIn(b'=1+1|', self.run_command('diff', self.before, path, status=1))

    def test_messages(self):
        """What a user, or a script for him, may hand over."""
        name = os.fsencode(self.place) + b'/' + ALL.replace(b'/', b'|')[:200]
        for command in (b'report', b'export --format pprof'), (b'diff', b'report --html /dev/null'):
            for one in command:
                self.assertIn(rb'\x1b]0;owned', self.run_command(*one.split(), name, *([name] if one == b'diff' else []), status=1))
        for arguments in ([b'report', b'--by', ALL, name], [b'snapshot', ALL], [b'start', ALL], [b'trim', ALL], [ALL],
                          [b'export', b'--format', ALL, name], [b'compare', b'--with', b'a' + TERMINAL, b'--', b'true'],
                          [b'metrics', b'--format', ALL], [b'metrics', b'--listen', ALL], [b'top', b'--' + TERMINAL]):
            message = self.run_command(*arguments, status=2)
            self.assertIn(rb'\x1b]0;owned', message)
            self.assertEqual(message.count(b'\n'), 1, message)
        for arguments in ([b'run', b'--', name], [b'compare', b'--', name]):
            done = subprocess.run([TIDEMARK, *arguments], capture_output=True, timeout=60, check=False, env=clean_environment(**UTF8))
            self.assertNotEqual(done.returncode, 0)
            self.assert_plain(done.stdout + done.stderr)

    def test_a_file_of_that_name(self):
        path = os.fsencode(self.place) + b'/' + TERMINAL + b'\nFORGED'
        os.link(self.before, path)
        self.addCleanup(os.unlink, path)
        for locale in UTF8, ASCII:
            self.assert_plain(self.run_command('report', path, locale=locale), locale is ASCII)
            self.assert_plain(self.run_command('diff', path, self.after, locale=locale), locale is ASCII)
        with open(path, 'rb') as file:
            cut = file.read(5000)
        os.makedirs(f'{self.place}/cut', exist_ok=True)
        short = os.fsencode(self.place) + b'/cut/' + TERMINAL
        with open(short, 'wb') as file:
            file.write(cut)
        self.assertIn(rb'\x1b]0;owned', self.run_command('report', short, status=1))

    def test_perf_map_of_another_user(self):
        """A map in /tmp has a name that anybody can guess. test_report has hostile names from elsewhere."""
        if os.getuid() != 0:
            self.skipTest('only root can give files to other users')
        root = f'{self.place}/root'
        os.makedirs(f'{root}/tmp')
        pid, code, size = code_without_file(self.before, f'{self.place}/made.heap')
        path = f'{root}/tmp/perf-{pid}.map'
        with open(path, 'wb') as file:
            file.write(b'%x %x planted_name\n' % (code, size))
        for owner, taken in (65532, False), (0, True):
            os.chown(path, owner, owner)
            text = self.assert_plain(self.run_command('report', '--root', root, f'{self.place}/made.heap'))
            self.assertEqual('planted_name' in text, taken, text)
            self.assertEqual('belongs to user 65532' in text, not taken)
        os.chown(f'{self.place}/made.heap', 65532, 65532)
        os.chown(path, 65532, 65532)
        self.assertIn(b'planted_name', self.run_command('report', '--root', root, f'{self.place}/made.heap'))

    def test_processes(self):
        """top, and what the commands say of a process."""
        child = subprocess.Popen([self.program, b'hold', ALL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 env=clean_environment(LD_PRELOAD=LIBRARY, TIDEMARK=f'out={self.place}/held.heap'))
        try:
            self.assertEqual(child.stdout.readline(), b'holds\n')
            for locale in UTF8, ASCII:
                table = self.assert_plain(self.run_command('top', '--once', '--interval', '0.1', locale=locale), locale is ASCII)
                self.assertRegex(table, rf'(?m)^ *{child.pid} \S+ +=1\+1\|')
                for command in ('start', 'stop', 'trim') if locale is UTF8 else ('trim',):
                    said = self.run_command(command, str(child.pid), locale=locale)
                    self.assert_plain(said, locale is ASCII)
                    self.assertIn(b'=1+1|', said)
            self.run_command('snapshot', str(child.pid))
            self.assertIn(b'=1+1|', self.run_command('snapshot', str(child.pid), status=1))  # the name is taken
            drawn = drawn_on_terminal(child.pid)
        finally:
            child.communicate(b'')
        self.assertIn(FORMULA[:6], drawn)
        self.assertNotIn(b'\033]0;owned', drawn)


def drawn_on_terminal(pid):
    """What `tidemark top` draws, and what it says of a snapshot that fails."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(TIDEMARK, [TIDEMARK, 'top', '--interval', '0.2'], clean_environment(**UTF8, COLUMNS='100', LINES='30'))
    drawn = b''
    sent = 0
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline and (data := os.read(terminal, 65536)):
            drawn += data
            if sent == 0 and b'%d' % pid in drawn:
                os.write(terminal, b's')
                sent = len(drawn)
            elif sent and (b'could not' in drawn[sent:] or b'exists' in drawn[sent:] or len(drawn) > sent + 20000):
                os.write(terminal, b'q')
    except OSError:  # how a terminal ends
        pass
    os.close(terminal)
    os.waitpid(process, 0)
    return drawn


def code_without_file(path, to):
    """Writes a copy of a snapshot in which the program's own code lies in memory without a file. The process's number, and
    where that code is."""
    file = Sections(path)
    (size, maps), = [(size, bytearray(payload)) for name, size, payload in file.list if name == b'MAPS']
    strings = file.payload(b'STRS')
    found = None
    for at in range(0, len(maps), size):
        start, end = struct.unpack_from('<QQ', maps, at)
        permissions, name = struct.unpack_from('<II', maps, at + 72)
        if b'=1+1|' in strings[name:].split(b'\0', 1)[0]:
            struct.pack_into('<Q', maps, at + 24, 0)  # the inode
            struct.pack_into('<II', maps, at + 76, 0, 0)  # path and build id
            if permissions & 4:
                found = start, end - start
    file.replace(b'MAPS', bytes(maps))
    file.write(to)
    return struct.unpack_from('<i', file.payload(b'PROC'))[0], *found


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
