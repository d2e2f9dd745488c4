"""A program that is built, run and recorded, for the tests of symbols: a snapshot with its real mappings, or with mappings
that a test changes, written here so that the tests do not depend on how the library records.

Tests that use this have the usage: TEST SYMBOLS_SHOW PROGRAM_SOURCE
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

SHOW, SOURCE = map(os.path.abspath, sys.argv[1:3])


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, errors="surrogateescape", timeout=100, check=False, **options
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def build_id(path):
    with open(path, "rb") as file:
        if file.read(4) != b"\177ELF":
            return ""
    found = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", path))
    return found.group(1) if found else ""


class Mapping:
    def __init__(self, start, end, permissions, offset, inode, path):
        self.start, self.end, self.permissions = start, end, permissions
        self.offset, self.inode, self.path = offset, inode, path
        self.build_id = ""


def mappings_of(pid):
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        for line in file:
            span, permissions, offset, _, inode, *path = line.rstrip("\n").split(None, 5)
            start, end = (int(number, 16) for number in span.split("-"))
            bits = sum(1 << bit for bit, letter in enumerate("rwx") if letter in permissions)
            found.append(Mapping(start, end, bits, int(offset, 16), int(inode), path[0] if path else ""))
            if found[-1].inode and found[-1].offset == 0:
                found[-1].build_id = build_id(found[-1].path)
    return found


class Recorded:
    """What is known of a process; write() makes a snapshot file of it."""

    def __init__(self, process, exe):
        self.process = process
        self.pid = process.pid
        self.exe = exe
        self.began = time.time()
        self.addresses = {}
        for line in iter(process.stdout.readline, ""):
            name, address = line.split()
            # '>' marks a return address; symbols_show wants '=' in front of the others.
            self.addresses[name] = address[1:] if address[0] == ">" else "=" + address
            if name == "libc":
                break
        self.maps = mappings_of(process.pid)
        process.stdout.close()

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)

    def of_program(self):
        return [mapping for mapping in self.maps if mapping.path == self.exe]

    def rename(self, path):
        for mapping in self.of_program():
            mapping.path = path

    def set_build_id(self, text):
        for mapping in self.of_program():
            if mapping.build_id:
                mapping.build_id = text

    def write(self, path):
        strings, offsets = b"\0", {"": 0}

        def string(text):
            nonlocal strings
            if text not in offsets:
                offsets[text] = len(strings)
                strings += os.fsencode(text) + b"\0"
            return offsets[text]

        records = b"".join(
            struct.pack(
                "<9Q4I", m.start, m.end, m.offset, m.inode, 0, 0, 0, 0, 0, m.permissions, string(m.path),
                string(m.build_id), 0
            )
            for m in self.maps
        )
        now = time.time()
        process = struct.pack(
            "<2i4I8Q", self.pid, 1, 1, 4096, 262144, 4096, int(now * 1e9), int((now - self.began) * 1e9), 0, 0, 1, 0, 0, 0
        )
        sections = [
            (b"PROC", len(process), process), (b"EXE ", 1, os.fsencode(self.exe)), (b"STRS", 1, strings), (b"MAPS", 88, records)
        ]
        data = b"TIDEMARK" + struct.pack("<4I", 1, 24, 0, 0)
        for tag, record, payload in sections:
            data += tag + struct.pack("<IQ", record, len(payload)) + payload + bytes(-len(payload) % 8)
        data += b"END!" + struct.pack("<IQII", 8, 8, zlib.crc32(data), len(sections))
        with open(path, "wb") as file:
            file.write(data)
        return path


FLAGS = ["-O2", "-g", "-rdynamic"]

with open(SOURCE, encoding="utf-8") as source_file:
    LINES = source_file.read().splitlines()


def line_of(comment):
    return next(number for number, line in enumerate(LINES, 1) if line.endswith("// " + comment))


class Answer:
    def __init__(self, line):
        self.function, self.file, line_number, inlined, self.module, offset = line.split("\t")
        self.line, self.inlined, self.offset = int(line_number), inlined == "inlined", int(offset, 16)

    def __repr__(self):
        return f"{self.function} {self.file}:{self.line} {self.module}+{self.offset:x}"


class Symbols(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="tidemark-symbols-")
        self.addCleanup(directory.cleanup)
        self.directory = os.path.realpath(directory.name)

    def path(self, *names):
        path = os.path.join(self.directory, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def build(self, *flags, name="program", compiler="g++"):
        path = self.path(name)
        run(compiler, *FLAGS, *flags, SOURCE, "-o", path)
        return path

    def record(self, program, *prefix, exe=None):
        process = subprocess.Popen(
            [*prefix, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        recorded = Recorded(process, exe or program)
        self.addCleanup(lambda: process.stdin.closed or recorded.end())
        return recorded

    def ended(self, program):
        recorded = self.record(program)
        recorded.end()
        return recorded

    def show(self, recorded, *addresses, options=(), environment=None, under=()):
        snapshot = recorded.write(self.path("snapshot"))
        out = run(*under, SHOW, *options, snapshot, *addresses, env={**os.environ, **(environment or {})})
        *blocks, notes = out.split("\n\n")
        answers = [[Answer(line) for line in block.strip("\n").split("\n")] for block in blocks]
        return answers, notes.splitlines()

    def ask(self, recorded, name, **how):
        (answer,), notes = self.show(recorded, recorded.addresses[name], **how)
        return answer, [note for note in notes if recorded.exe in note]

    def assert_inlined(self, answer, innermost="shop::weigh"):
        """All that there is to know of the address inside three functions. gcc does not say which parameters a static
        function has that it inlined everywhere."""
        self.assertEqual(
            [(one.function, one.line, one.inlined) for one in answer],
            [
                (innermost, line_of("weigh calls"), True),
                ("shop::Basket::add(int)", line_of("add calls"), True),
                ("long shop::fill<long>(long)", line_of("fill calls"), False),
            ],
        )
        for one in answer:
            self.assertTrue(one.file.endswith("/symbols_program.cc"), one)

    def assert_functions_only(self, recorded, name="shown"):
        answer, notes = self.ask(recorded, name)
        self.assertEqual([(one.function, one.file, one.line) for one in answer], [(name, "-", 0)])
        return notes

    def strip(self, program, *flags):
        """Takes the debug information out of the program; returns the file that has it."""
        run("objcopy", "--only-keep-debug", program, program + ".debug")
        run("strip", *(flags or ["--strip-all"]), program)
        return program + ".debug"
