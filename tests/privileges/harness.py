"""For the tests here: processes of several users, with the library preloaded as an administrator does it for all programs
(/etc/ld.so.preload, in a mount namespace of the test's own), and names that somebody planted. The script that imports this
is called with the paths of the command, the library, the program target.c and the lying library."""
import contextlib
import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

TIDEMARK, LIBRARY, TARGET, LIAR = map(os.path.abspath, sys.argv[1:5])
VICTIM, ATTACKER, SERVICE = 65531, 65532, 65533  # users that nothing else on the machine runs as
EPERM = 1
CLONE_NEWNS, MS_PRIVATE, MS_REC = 0x20000, 1 << 18, 1 << 14
USR1, USR2 = 1 << (signal.SIGUSR1 - 1), 1 << (signal.SIGUSR2 - 1)


def skip(reason):
    print(reason)
    sys.exit(77)


if os.getuid() != 0:
    skip('only root can make processes of several users')


def preload_for_all(library):
    """In a process about to execute something: what it executes, set-id or not, has the library."""
    libc = ctypes.CDLL(None, use_errno=True)
    files = {}
    for name in 'ld.so.cache', 'passwd', 'group', 'nsswitch.conf':
        with contextlib.suppress(FileNotFoundError), open('/etc/' + name, 'rb') as file:
            files[name] = file.read()
    if (libc.unshare(CLONE_NEWNS) or libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None) or
            libc.mount(b'none', b'/etc', b'tmpfs', 0, b'mode=755')):
        raise OSError(ctypes.get_errno(), 'mount')
    files['ld.so.preload'] = library.encode() + b'\n'
    for name, data in files.items():
        with open('/etc/' + name, 'wb') as file:
            file.write(data)
        os.chmod('/etc/' + name, 0o644)


def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


class WithUsers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Copies where any user may read and execute them, and a directory like /tmp."""
        cls.directory = tempfile.mkdtemp(prefix='tidemark-test-')
        os.chmod(cls.directory, 0o755)
        cls.command, cls.library, cls.target = (shutil.copy(path, cls.directory) for path in (TIDEMARK, LIBRARY, TARGET))
        os.mkdir(f'{cls.directory}/liar')
        cls.liar = shutil.copy(LIAR, f'{cls.directory}/liar/libtidemark.so')
        cls.out = f'{cls.directory}/out'

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def setUp(self):
        self.children = []
        os.mkdir(self.out)
        os.chmod(self.out, 0o1777)

    def tearDown(self):
        for child in self.children:
            child.kill()
            child.communicate()
        shutil.rmtree(self.out)

    def start(self, *command, user=VICTIM, for_all=False, settings='', preload=None, **variables):
        """Preloads for that one program, or as for every program of the machine."""
        environment = {'PATH': os.environ['PATH'], 'TIDEMARK': f'out={self.out}/%e.%p.%n.heap{settings}', **variables}
        if not for_all:
            environment['LD_PRELOAD'] = preload or self.library

        def prepare():
            if for_all:
                preload_for_all(self.library)
            become(user)
        child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, preexec_fn=prepare)
        self.children.append(child)
        return child

    @staticmethod
    def facts(child):
        """What target.c tells, until it holds or ends."""
        found = {}
        for line in child.stdout:
            if line == 'holds\n':
                break
            name, value = line.rstrip('\n').split('=', 1)
            found[name] = value
        return found

    def end(self, child):
        """What it said on stderr."""
        said = child.communicate('', timeout=60)[1]
        self.children.remove(child)
        return said

    def hold(self, *arguments, **options):
        child = self.start(self.target, *(arguments or ['hold']), **options)
        self.facts(child)
        return child

    def tidemark(self, *arguments, user=0, expect=0, before=None, **options):
        def prepare():
            if user:
                become(user)
            if before:
                before()
        done = subprocess.run([self.command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
                              preexec_fn=prepare, **options)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        if expect != 0:
            self.assertEqual(done.stdout, '')
            self.assertRegex(done.stderr, r'^tidemark: .*\n$')
        return done.stdout if expect == 0 else done.stderr

    def assert_private(self, path, user):
        status = os.lstat(path)
        self.assertTrue(stat.S_ISREG(status.st_mode), path)
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink), (0o600, user, 1))
        with open(path, 'rb') as file:
            self.assertEqual(file.read(8), b'TIDEMARK')


def as_user(user, function):
    """Runs the function in a process of that user; what it returns is its exit status (below 256)."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            become(user)
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_until(is_so, seconds=20):
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def main():
    unittest.main(argv=sys.argv[:1])
