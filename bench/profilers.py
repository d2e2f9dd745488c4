"""What a program runs under where recording is measured: Tidemark with and without call sites, heaptrack, gperftools, and what
each of them is compared with: the same allocator that records nothing.

heaptrack runs as its user runs it, interpreting and compressing beside the program. gperftools' heap profile is written
once, at the end: what it writes every so many bytes by default is put off.
"""

import glob
import os
import shutil
import tempfile

import allocators

TCMALLOC = "/usr/lib/*-linux-gnu/libtcmalloc.so.4"
HEAPTRACK = "/usr/bin/heaptrack"
RATE = 512 * 1024  # Tidemark's default, and what tcmalloc is told
NEVER = str(1 << 62)


class Heaptrack(allocators.Allocator):
    """Its script writes lines of its own before and after those of the program."""

    BEFORE, AFTER = b"starting application, this might take some time...\n", b"Heaptrack finished! Now run"

    def __init__(self, directory):
        self.out = os.path.join(directory, "profile-heaptrack")
        super().__init__("heaptrack", None, "profiler", allocators.version_of(HEAPTRACK), wrapper=[HEAPTRACK, "-o", self.out])

    def said(self, output):
        return output.partition(self.BEFORE)[2].rpartition(self.AFTER)[0]

    def tidy(self):
        for path in glob.glob(self.out + "*"):
            os.unlink(path)
        for path in glob.glob(os.path.join(tempfile.gettempdir(), "heaptrack_fifo*")):  # of a script that was killed
            pid = path.rpartition("fifo")[2]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}") and os.access(path, os.W_OK):
                os.unlink(path)


class HeapProfile(allocators.Allocator):
    """tcmalloc's complete heap profile."""

    def __init__(self, path, directory):
        self.out = os.path.join(directory, "profile-tcmalloc")
        super().__init__("heapprofile", path, "profiler", allocators.version_of(path), environment={
            "HEAPPROFILE": self.out, "HEAP_PROFILE_ALLOCATION_INTERVAL": NEVER, "HEAP_PROFILE_INUSE_INTERVAL": NEVER})

    def tidy(self):
        for path in glob.glob(self.out + "*"):
            os.unlink(path)


def tidemark(name, library, sites):
    """The variable's other settings are those of the caller's environment."""
    given = os.environ.get("TIDEMARK")
    return allocators.Allocator(name, library, "tidemark", "this tree",
                                environment={"TIDEMARK": ",".join(filter(None, [given, f"sites={sites}"]))})


def sampling(library, directory):
    """(what runs where samples are compared, lines about what is left out). `off-again` is `off`: what its ratio differs from
    1 by is the error of the measurement."""
    found = [tidemark("off", library, "off"), tidemark("off-again", library, "off"), tidemark("sample", library, "sample")]
    path, left_out = tcmalloc()
    if path:
        version = allocators.version_of(path)
        found += [allocators.Allocator("tcmalloc", path, "peer", version),
                  allocators.Allocator("tcmalloc-sample", path, "profiler", version,
                                       environment={"TCMALLOC_SAMPLE_PARAMETER": str(RATE)})]
    return found, left_out


def complete(library, directory):
    """The same where everything is recorded."""
    found = [allocators.Allocator("glibc", None, "peer", allocators.version_of("/usr/lib/x86_64-linux-gnu/libc.so.6")),
             *(tidemark(sites, library, sites) for sites in ("off", "sample", "all"))]
    path, left_out = tcmalloc()
    if shutil.which(HEAPTRACK):
        found.append(Heaptrack(directory))
    else:
        left_out = left_out + [f"heaptrack is left out: no {HEAPTRACK} (Debian package heaptrack)"]
    if path:
        found += [allocators.Allocator("tcmalloc", path, "peer", allocators.version_of(path)), HeapProfile(path, directory)]
    return found, left_out


def tcmalloc():
    """(path of tcmalloc with its profiler or None, lines about what is left out)"""
    files = sorted(glob.glob(TCMALLOC))
    reason = (allocators.why_not(os.path.realpath(files[-1])) if files
              else "it is not there (Debian package libgoogle-perftools4)")
    if reason:
        return None, [f"tcmalloc's profiles are left out: {TCMALLOC}: {reason}"]
    return os.path.realpath(files[-1]), []
