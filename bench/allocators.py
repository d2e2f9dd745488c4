"""The allocators that are compared: where Debian puts them, which version, and whether they can be preloaded.

glibc is the program without a preload. Each library is tried on a small program first: the dynamic loader only warns
when it cannot preload a file and goes on without it, and then glibc would be measured under another name.
"""

import glob
import os
import subprocess

# (name, patterns of files; of several matches the last in order of version, Debian's package of it)
PACKAGED = (
    ("jemalloc", ("/usr/lib/*-linux-gnu/libjemalloc.so.2",), "libjemalloc2"),
    ("mimalloc", ("/usr/lib/*-linux-gnu/libmimalloc.so.*",), "libmimalloc2.0"),
    ("tcmalloc", ("/usr/lib/*-linux-gnu/libtcmalloc_minimal.so.4",), "libtcmalloc-minimal4"),
    ("scudo", ("/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so",), "libclang-rt-14-dev"),
)
PEERS = ("glibc",) + tuple(name for name, _, _ in PACKAGED)


class Allocator:
    """`kind`: tidemark, peer (packaged by Debian) or extra (given by --with). A program runs with the library preloaded,
    the variables of `environment` set, as an argument of the command `wrapper`, where there is one."""

    def __init__(self, name, path, kind, version, environment=None, wrapper=()):
        self.name, self.path, self.kind, self.version = name, path, kind, version
        self.environment, self.wrapper = environment or {}, list(wrapper)

    def record(self):
        return {"name": self.name, "path": self.path, "kind": self.kind, "version": self.version}

    def said(self, output):
        """What of the output is the program's."""
        return output

    def tidy(self):
        """After each run: what it left behind goes."""


def version_of(path):
    """Debian's version of the package that owns the file, or of its date."""
    for candidate in (path, path.replace("/usr/lib/", "/lib/", 1)):
        done = subprocess.run(["dpkg-query", "-S", candidate], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False)
        if done.returncode == 0:
            package = done.stdout.split(": ")[0].split(",")[0]
            done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package],
                                  stdout=subprocess.PIPE, text=True, check=True)
            return done.stdout
    return "no package"


def why_not(path):
    """None if the library is in force when preloaded into a program, or the reason."""
    done = subprocess.run(["/bin/cat", "/proc/self/maps"], env={"LD_PRELOAD": path}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        return f"a program with it preloaded ended with status {done.returncode}"
    if os.path.realpath(path).encode() not in done.stdout:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        return words[0] if words else "the dynamic loader did not map it"
    return None


def versioned(path):
    """Key that sorts …-9 before …-14."""
    return [int(part) if part.isdigit() else part for part in path.replace("-", "/").replace(".", "/").split("/")]


def available(tidemark, extras):
    """(the allocators, lines about those left out). `extras`: (name, path) pairs of --with."""
    found, left_out = [Allocator("tidemark", os.path.abspath(tidemark), "tidemark", "this tree")], []
    found.append(Allocator("glibc", None, "peer", version_of("/usr/lib/x86_64-linux-gnu/libc.so.6")))
    for name, patterns, package in PACKAGED:
        files = sorted((path for pattern in patterns for path in glob.glob(pattern)), key=versioned)
        if files:
            path = os.path.realpath(files[-1])
            found.append(Allocator(name, path, "peer", version_of(path)))
        else:
            left_out.append(f"{name} is left out: no {patterns[0]} (Debian package {package})")
    for name, path in extras:
        found.append(Allocator(name, os.path.abspath(path), "extra", "given by --with"))
    usable = []
    for allocator in found:
        reason = why_not(allocator.path) if allocator.path else None
        if reason is None:
            usable.append(allocator)
        else:
            left_out.append(f"{allocator.name} is left out: {allocator.path}: {reason}")
    return usable, left_out
