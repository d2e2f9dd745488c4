"""A directory that everybody writes to, as /tmp is: whatever somebody planted under the names that a snapshot would take is
neither followed nor written to nor replaced, and the command does not take it for the snapshot. Users who may not signal or
look at a process cannot through Tidemark either. (This holds whatever fs.protected_symlinks and its like say.)"""
import mmap
import os
import pty
import signal
import subprocess
import time

from harness import ATTACKER, SERVICE, VICTIM, WithUsers, as_user, main, wait_until

# System calls are refused with an errno, by number; as in tests/live.
FILTER = '''
import ctypes, os, struct, sys
def step(code, true, false, value): return struct.pack("<HBBI", code, true, false, value)
code = (step(0x20, 0, 0, 0) + step(0x15, 0, 1, {call}) + step(6, 0, 0, 0x50000 | {errno}) + step(6, 0, 0, 0x7fff0000))
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
'''
PROCESS_VM_READV = 310
PATH = '{directory}/privileges_target.{pid}.{number}.heap'


def refuse(call, errno):
    """In a process about to execute something."""
    exec(FILTER.format(call=call, errno=errno), {})  # pylint: disable=exec-used


# Asks for a snapshot of itself, becomes somebody else, and as long as the copy writes overwrites paths in what they share.
DROPS_MEANWHILE = f'''
import ctypes, mmap, os, re, signal, time
blocks = [bytes(4000) for _ in range(100000)]
memory = os.open("/proc/self/mem", os.O_RDWR)
os.kill(os.getpid(), signal.SIGUSR2)
os.setgroups([]); os.setresgid({SERVICE}, {SERVICE}, {SERVICE}); os.setresuid({SERVICE}, {SERVICE}, {SERVICE})
found = 0
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    shared = re.findall("^([0-9a-f]+)-([0-9a-f]+) rw-s .*/dev/zero", open("/proc/self/maps").read(), re.M)
    if not shared and found:
        break
    for start, end in shared:
        try:
            data = os.pread(memory, int(end, 16) - int(start, 16), int(start, 16))
            for match in re.finditer(b"out/snapshot", data):
                os.pwrite(memory, b"out/misled!!", int(start, 16) + match.start())
                found += 1
        except OSError:
            pass
print(found)
'''


class Planted(WithUsers):
    def path(self, child, number):
        return PATH.format(directory=self.out, pid=child.pid, number=number)

    def precious(self, user):
        """A file of that user's that a trap leads to."""
        path = f'{self.directory}/precious.{user}'
        with open(path, 'w', encoding='ascii') as file:
            file.write('precious')
        os.chown(path, user, user)
        self.addCleanup(os.unlink, path)
        return path

    def plant(self, kind, path):
        """By the attacker."""
        precious = f'{self.directory}/precious.{ATTACKER if kind == "hard link" else VICTIM}'

        def make():
            if kind == 'symbolic link':
                os.symlink(precious, path)
            elif kind == 'link to nowhere':
                os.symlink(f'{self.directory}/nowhere', path)
            elif kind == 'link to a directory':
                os.symlink(self.directory, path)
            elif kind == 'hard link':
                os.link(precious, path)
            elif kind == 'file':
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o777))
                os.chmod(path, 0o777)
            elif kind == 'directory':
                os.mkdir(path, 0o777)
                os.chmod(path, 0o777)
            elif kind == 'pipe':
                os.mkfifo(path, 0o666)
                os.chmod(path, 0o666)
            return 0
        self.assertEqual(as_user(ATTACKER, make), 0)
        return os.lstat(path)

    def assert_untouched(self, path, before):
        after = os.lstat(path)
        for field in 'st_ino', 'st_mode', 'st_uid', 'st_size', 'st_nlink', 'st_mtime_ns':
            self.assertEqual(getattr(after, field), getattr(before, field), (path, field))

    KINDS = 'symbolic link', 'link to nowhere', 'link to a directory', 'hard link', 'file', 'directory', 'pipe'

    def test_the_names_that_it_would_take(self):
        for user in ATTACKER, VICTIM:
            self.precious(user)
        child = self.hold()
        planted = {}
        for number, kind in enumerate(self.KINDS, 1):
            planted[number] = self.plant(kind, self.path(child, number))
        path = self.tidemark('snapshot', child.pid).rstrip('\n')
        self.assertEqual(path, self.path(child, len(planted) + 1))
        self.assert_private(path, VICTIM)
        for number, before in planted.items():
            self.assert_untouched(self.path(child, number), before)
        for user in ATTACKER, VICTIM:
            with open(f'{self.directory}/precious.{user}', encoding='ascii') as file:
                self.assertEqual(file.read(), 'precious')
        self.assertFalse(os.path.lexists(f'{self.directory}/nowhere'))
        self.assertEqual(len(os.listdir(self.out)), len(planted) + 1)  # no temporary file is left

    def test_one_name_only(self):
        """Without %n there is none to go to: it is said, and nothing is written."""
        for kind in self.KINDS:
            for user in ATTACKER, VICTIM:
                self.precious(user)
            child = self.hold(settings=f',out={self.out}/%p')
            before = self.plant(kind, f'{self.out}/{child.pid}')
            self.assertIn('could not write', self.tidemark('snapshot', child.pid, expect=1))
            self.assert_untouched(f'{self.out}/{child.pid}', before)
            self.assertEqual(os.listdir(self.out), [str(child.pid)])
            self.assertIn('File exists', self.end(child))
            (os.rmdir if kind == 'directory' else os.unlink)(f'{self.out}/{child.pid}')
            self.doCleanups()

    def test_all_numbers_taken(self):
        child = self.hold()

        def make():
            for number in range(1, 1100):
                os.symlink('/', self.path(child, number))
            return 0
        self.assertEqual(as_user(ATTACKER, make), 0)
        path = self.tidemark('snapshot', child.pid).rstrip('\n')
        self.assert_private(path, VICTIM)
        self.assertGreater(int(path.split('.')[-2]), 10 ** 18)

    def test_without_memory_an_appearing_file_tells(self):
        """It has to be the process's: names of that pattern are anybody's."""
        for user in ATTACKER, VICTIM:
            self.precious(user)
        child = self.hold()
        self.plant('link to nowhere', self.path(child, 1))
        blind = {'before': lambda: refuse(PROCESS_VM_READV, 1)}
        self.assertEqual(self.tidemark('snapshot', child.pid, **blind), self.path(child, 2) + '\n')
        # While it is waited for, and cannot come.
        os.kill(child.pid, signal.SIGSTOP)
        asked = subprocess.Popen([self.command, 'snapshot', '--timeout', '60', str(child.pid)], stdout=subprocess.PIPE, text=True,
                                 preexec_fn=blind['before'])
        mask = 1 << (signal.SIGUSR2 - 1)
        wait_until(lambda: pending(child.pid) & mask)
        planted = {number: self.plant(kind, self.path(child, number)) for number, kind in enumerate(self.KINDS, 3)}
        time.sleep(0.1)
        self.assertIsNone(asked.poll())
        os.kill(child.pid, signal.SIGCONT)
        path = self.path(child, 3 + len(planted))
        self.assertEqual(asked.communicate(timeout=60)[0], path + '\n')
        self.assert_private(path, VICTIM)
        for number, before in planted.items():
            self.assert_untouched(self.path(child, number), before)

    def test_a_process_that_lies(self):
        """It names what it did not write. What can be known is known before the path is printed or the file opened."""
        own = f'{self.out}/own'
        secret = self.precious(SERVICE)
        os.chmod(secret, 0o600)

        def make():
            with open(own, 'w', encoding='ascii') as file:
                file.write('TIDEMARK, but no snapshot')
            os.close(os.open(f'{own}\nmore', os.O_CREAT, 0o600))
            os.symlink(secret, f'{self.out}/link')
            os.mkfifo(f'{self.out}/pipe')
            return 0
        self.assertEqual(as_user(ATTACKER, make), 0)
        for lie, words in ((secret, f'it belongs to user {SERVICE}'), (f'{self.out}/link', 'symbolic link'),
                           (f'{self.out}/pipe', 'no regular file'), ('/dev/null', 'no regular file'),
                           (self.out, 'no regular file'), (f'{self.out}/nothing', 'but there is none'),
                           ('--html=/etc/nothing', 'begins nowhere'), ('', 'begins nowhere'),
                           (f'{own}\nmore', 'that is no line')):
            child = self.start('sleep', '1000', user=ATTACKER, preload=self.liar, LIE=lie)
            wait_until(lambda: caught(child.pid) & 1 << (signal.SIGUSR2 - 1))
            said = self.tidemark('snapshot', child.pid, expect=1)
            self.assertIn(words, said)
            if 'line' not in words:
                self.assertIn(words, self.tidemark('snapshot', '--report', child.pid, expect=1))
        child = self.start('sleep', '1000', user=ATTACKER, preload=self.liar, LIE=own)
        wait_until(lambda: caught(child.pid) & 1 << (signal.SIGUSR2 - 1))
        self.assertEqual(self.tidemark('snapshot', child.pid), own + '\n')
        self.assertIn('format version', self.tidemark('snapshot', '--report', child.pid, expect=1))

    def test_a_path_that_a_terminal_would_obey(self):
        own = f'{self.out}/\033]0;owned\007\x9b31m\u202e'
        self.assertEqual(as_user(ATTACKER, lambda: os.close(os.open(own, os.O_CREAT, 0o600)) or 0), 0)
        child = self.start('sleep', '1000', user=ATTACKER, preload=self.liar, LIE=own)
        wait_until(lambda: caught(child.pid) & 1 << (signal.SIGUSR2 - 1))
        self.assertEqual(self.tidemark('snapshot', child.pid, errors='surrogateescape'), own + '\n')
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(self.command, [self.command, 'snapshot', str(child.pid)])
        said = b''
        try:
            while data := os.read(terminal, 4096):
                said += data
        except OSError:  # how a terminal ends
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        self.assertIn(rb'\x1b]0;owned\x07', said)
        self.assertEqual([byte for byte in said if byte < 0x20 and byte not in b'\r\n'], [])
        self.assertNotIn('\u202e'.encode(), said)
        self.assertNotIn('\x9b'.encode(), said)


class Others(WithUsers):
    def test_another_user_sees_nothing(self):
        child = self.hold()
        page, = [name for name in os.listdir(f'/proc/{child.pid}/fd')
                 if os.readlink(f'/proc/{child.pid}/fd/{name}').startswith('/memfd:tidemark')]
        link = f'/proc/{child.pid}/fd/{page}'

        def try_to():
            for attempt in (lambda: os.open(link, os.O_RDONLY), lambda: os.kill(child.pid, signal.SIGUSR2), lambda: os.readlink(link)):
                try:
                    attempt()
                    return 1
                except PermissionError:
                    pass
            return 0
        self.assertEqual(as_user(ATTACKER, try_to), 0)
        for command in 'snapshot', 'start', 'stop', 'trim':
            self.assertIn('may not be signalled', self.tidemark(command, child.pid, user=ATTACKER, expect=1))
        self.assertEqual(os.listdir(self.out), [])

    def test_nobody_else_writes_to_the_page(self):
        """Not even its own user, who may open it, nor root."""
        child = self.hold()
        link = f'/proc/{child.pid}/fd/1000'

        def try_to():
            fd = os.open(link, os.O_RDWR)
            before = os.pread(fd, 512, 0)
            for attempt in (lambda: os.pwrite(fd, b'x', 0), lambda: os.ftruncate(fd, 0), lambda: mmap.mmap(fd, 4096),
                            lambda: os.ftruncate(fd, 1 << 20)):
                try:
                    attempt()
                    return 1
                except PermissionError:
                    pass
            return 0 if os.pread(fd, 512, 0)[8:24] == before[8:24] else 2
        for user in VICTIM, 0:
            self.assertEqual(as_user(user, try_to), 0)

    def test_a_daemon_that_dropped_root(self):
        """Root at its start, somebody else since: what it writes is that user's; the kernel keeps it closed to others of that
        user, as it does without the library."""
        child = self.start(self.target, 'drop', str(SERVICE), user=0, settings=',sites=sample')
        self.facts(child)
        path = self.tidemark('snapshot', child.pid).rstrip('\n')
        self.assert_private(path, SERVICE)
        with open(path, 'rb') as file:
            self.assertIn(b'libtidemark.so', file.read())  # its mappings: /proc/PID is root's now
        self.assertIn('may not be read', self.tidemark('snapshot', child.pid, user=SERVICE, expect=1))
        self.assertIn('may not be signalled', self.tidemark('snapshot', child.pid, user=ATTACKER, expect=1))

        def try_to():
            try:
                os.open(f'/proc/{child.pid}/fd/1000', os.O_RDONLY)
                return 1
            except PermissionError:
                return 0
        self.assertEqual(as_user(SERVICE, try_to), 0)
        # Where only root may write it can no longer.
        os.chmod(self.out, 0o755)
        self.assertIn('Permission denied', self.tidemark('snapshot', child.pid, expect=1))
        self.assertEqual(os.listdir(self.out), [os.path.basename(path)])

    def test_a_daemon_that_drops_root_meanwhile(self):
        """The copy that writes is root still. What the process puts into the memory that they share leads it nowhere."""
        child = self.start('/usr/bin/python3', '-c', DROPS_MEANWHILE, user=0, settings=f',out={self.out}/snapshot', PYTHONMALLOC='malloc')
        said, errors = child.communicate('', timeout=60)
        self.children.remove(child)
        self.assertEqual(child.returncode, 0, errors)
        self.assertGreater(int(said), 0, 'no path was found in shared memory')
        wait_until(lambda: os.listdir(self.out))
        self.assertEqual(os.listdir(self.out), ['snapshot'])
        self.assert_private(f'{self.out}/snapshot', 0)

    def test_a_name_that_leads_elsewhere(self):
        """%e is a name in the directory, and a line, whatever the file is called."""
        place = f'{self.directory}/a\nb\033[31m'
        os.link(self.target, place)
        self.addCleanup(os.unlink, place)
        child = self.start(place, 'hold')
        self.facts(child)
        self.assertEqual(self.tidemark('snapshot', child.pid), f'{self.out}/a_b_[31m.{child.pid}.1.heap\n')
        self.assertEqual(self.tidemark('snapshot', child.pid, before=lambda: refuse(PROCESS_VM_READV, 1)),
                         f'{self.out}/a_b_[31m.{child.pid}.2.heap\n')


def field(pid, name):
    with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith(name + ':')), 0)


def pending(pid):
    return field(pid, 'ShdPnd')


def caught(pid):
    return field(pid, 'SigCgt')


if __name__ == '__main__':
    main()
