"""Snapshots and processes with hostile names everywhere: functions, source file, program, directory, command line, and
whatever text a snapshot has. The scripts that import this are called with the paths of the command, the library and the
program of these tests."""
import os
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'html'))
from sections import Sections  # noqa: E402 pylint: disable=wrong-import-position

TIDEMARK, LIBRARY, PROGRAM = map(os.path.abspath, sys.argv[1:4])

# What a terminal obeys: a title, a cleared screen, colour in one byte and in two, backspace, return.
TERMINAL = b'\x1b]0;owned\x07\x1b[2J\x9b31m\xc2\x9b1m\x7f\x08\r'
# What a reader of lines would take for lines of its own format.
LINES = b'\nFORGED 9\n# HELP forged\nforged{a="1"} 1\nsnapshot=9\n+ 1\ns 1 x;y;z'
# What a browser obeys.
MARKUP = b'</script><script>hit=1</script><img src=x onerror=hit=1>"\'`&lt;'
# What cannot be seen or turns round what stands beside it, and what is no UTF-8.
LOOK = b'\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf\xf3\xa0\x81\x81\xff\xfe\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80'
# What a spreadsheet or printf would work out, and escapes that are none.
FORMULA = b'=1+1|"\\u003c\\x1b\\n,%s%n;{}[]:#@'
PAYLOADS = TERMINAL, LINES, MARKUP, LOOK, FORMULA
ALL = b' '.join(PAYLOADS)

UNSEEN = re.compile('[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\U000e0000-\U0010ffff]')
UTF8 = {'LC_ALL': 'C.UTF-8'}
ASCII = {'LC_ALL': 'C'}


def clean_environment(**more):
    kept = {key: value for key, value in os.environ.items() if key not in ('LD_PRELOAD', 'TIDEMARK', 'NO_COLOR')}
    return {**kept, 'TERM': 'xterm', **more}


def hostile_program(directory, build_id=None):
    """A copy of the program with other names in it, under a hostile name of its own; bytes."""
    with open(PROGRAM, 'rb') as file:
        data = file.read()
    if build_id:  # behind the note's name
        at = data.index(b'\x14\0\0\0\x03\0\0\0GNU\0') + 12
        data = data[:at] + build_id + data[at + 20:]
    for number, payload in enumerate(PAYLOADS):
        old, = set(re.findall(b'function_%d_x+' % number, data))
        assert len(payload) < len(old)
        data = data.replace(old, payload.ljust(len(old), b'x'))
    old, = set(re.findall(b'source_x+\\.c', data))
    for_file = (TERMINAL + LOOK + b'\nFORGED <img>').replace(b'/', b'|')
    data = data.replace(old, for_file.ljust(len(old) - 2, b'x')[:len(old) - 2] + b'.c')
    # The kernel writes a line break in a mapping's path as four characters, so no file would be found under it.
    place = os.path.join(os.fsencode(directory), LOOK + TERMINAL)
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, FORMULA + (TERMINAL + MARKUP).replace(b'/', b'|'))
    with open(path, 'wb') as file:
        file.write(data)
    os.chmod(path, 0o755)
    return path


def snapshot(program, path, *arguments, sites='all'):
    """As the program leaves it, with every other text replaced as well."""
    subprocess.run([program, *arguments], check=True, stdin=subprocess.DEVNULL, timeout=60,
                   env=clean_environment(LD_PRELOAD=LIBRARY, TIDEMARK=f'sites={sites},threads=yes,exit=snapshot,out={path}'))
    file = Sections(path)
    file.replace(b'CONF', file.payload(b'CONF') + b'x=' + ALL + b'\n')
    file.replace(b'VERS', ALL)
    file.replace(b'ENV ', b'MALLOC_X=' + ALL.replace(b'\n', b'') + b'\nPYTHONMALLOC=' + TERMINAL + b'\n')
    file.replace(b'META', renamed(file, b'META', 24, 24, (TERMINAL, MARKUP[:23], LOOK)))
    file.replace(b'CNTR', renamed(file, b'CNTR', 0, 24, (TERMINAL[:23],)))
    file.write(path)
    return path


def renamed(file, tag, at, size, names):
    """The section with other names in its first records."""
    (record_bytes, payload), = [(record_bytes, payload) for name, record_bytes, payload in file.list if name == tag]
    for number, name in enumerate(names):
        start = number * record_bytes + at
        payload = payload[:start] + name[:size - 1].ljust(size, b'\0') + payload[start + size:]
    return payload


def later(path, seconds, to):
    """A copy of a snapshot that says it was taken so much later."""
    file = Sections(path)
    process = bytearray(file.payload(b'PROC'))
    for at in 24, 32:  # realtime_ns, since_start_ns
        struct.pack_into('<Q', process, at, struct.unpack_from('<Q', process, at)[0] + int(seconds * 1e9))
    file.replace(b'PROC', bytes(process))
    file.write(to)
    return to


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix='tidemark-test-')
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.place = cls.scratch.name
        cls.program = hostile_program(cls.place)
        cls.before = snapshot(cls.program, f'{cls.place}/before.heap', ALL)
        cls.after = snapshot(cls.program, f'{cls.place}/after.heap', ALL, MARKUP)

    def run_command(self, *arguments, status=0, locale=UTF8, **options):
        """What it printed, which is plain on both ways out."""
        done = subprocess.run([TIDEMARK, *arguments], capture_output=True, timeout=60, check=False,
                              env=clean_environment(**locale), **options)
        self.assertEqual(done.returncode, status, done)
        self.assert_plain(done.stderr)
        return done.stderr if status else done.stdout

    def assert_plain(self, data, only_ascii=False):
        """Returns the text."""
        text = data.decode('ascii' if only_ascii else 'utf-8')
        for character in sorted(set(text) - {'\n'}):
            self.assertNotIn(unicodedata.category(character), ('Cc', 'Cs', 'Co', 'Zl', 'Zp'), ascii(character))
            self.assertIsNone(UNSEEN.match(character), ascii(character))
        for line in text.split('\n'):
            self.assertFalse(line.lstrip(' ').lower().startswith('forged'), line)
        return text
