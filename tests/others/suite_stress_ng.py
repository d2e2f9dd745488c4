"""stress-ng's stressors of memory, processes and threads, each with --verify, two workers for two seconds.

What they find wrong in memory they report themselves; their number of rounds depends on the machine and is not
compared. The address space of each is limited, and the number of processes of those that would make thousands: they
are to test the library, not the machine.
"""

import re
import resource
import shutil

from suite import Result, command, fresh, judge, tool

NAME = "stress-ng"
TITLE = "stress-ng, memory stressors with --verify"
EXECUTABLES = ["stress-ng"]
FULL = True
# Its malloc stressor asks calloc(n, size / n) for 0 bytes where n > size, and stores a pointer there: valgrind says the
# same of it without the library.
JUDGED = {r"\(said: tidemark: .*something was written past the end of this block of N bytes?, .*": "stress-ng stores 8 bytes into a block of less"}
LIMIT = 240
SECONDS = 2
ADDRESS_SPACE = 4 << 30
# Options besides `--NAME 2`; a name before a slash is the stressor, what follows tells variants apart.
STRESSORS = {
    "malloc": "", "malloc/touch": "--malloc-touch", "malloc/threads": "--malloc-pthreads 4", "malloc/zerofree": "--malloc-zerofree",
    "malloc/large": "--malloc-bytes 512M --malloc-max 32", "malloc/thresh": "--malloc-thresh 4096",
    "vm": "--vm-bytes 64M", "vm/all-methods": "--vm-bytes 4M --vm-method all", "vm-rw": "--vm-rw-bytes 16M",
    "mmap": "--mmap-bytes 64M", "mremap": "--mremap-bytes 64M", "memrate": "--memrate-bytes 64M",
    "clone": "--clone-max 32", "exec": "--exec-max 32", "pthread": "--pthread-max 32", "zombie": "--zombie-max 32",
    "forkheavy": "--forkheavy-procs 32",
    # Those that need no bound of their own.
    **dict.fromkeys("""
bigheap brk madvise memfd memthrash mincore misaligned mlock mmapaddr mmapfixed mmapfork mmapmany mprotect munmap msync
pagemove remap shm stack stackmmap userfaultfd vm-addr vm-segv vm-splice bad-altstack context fork vfork vforkmany daemon spawn
dup close env dynlib sigsegv sigabrt signest sigq sem mutex judy list tree tsearch hsearch lsearch bsearch qsort skiplist
sparsematrix matrix str wcs zlib mcontend fault full randlist rlimit seal timer tlb-shootdown""".split(), ""),
}


def prepare(_):
    tool("stress-ng")


def items(_):
    return list(STRESSORS)


def quick(everything):
    return [name for name in everything if name.split("/")[0] in ("malloc", "bigheap", "brk", "fork", "vfork", "pthread", "vm", "mremap")]


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (ADDRESS_SPACE, ADDRESS_SPACE))


def once(run, _, item):
    place = fresh(run, item)
    stressor = item.split("/")[0]
    status, text = command(run, ["stress-ng", f"--{stressor}", "2", *STRESSORS[item].split(), "--verify", "--timeout", f"{SECONDS}s",
                                 "--temp-path", place], place, LIMIT, setup=limits)
    shutil.rmtree(place, ignore_errors=True)
    result = Result(ran=1)
    if status == 4 or re.search(r"skipped|not implemented", text):  # 4: its own status for what is not implemented
        return Result(skipped="stress-ng has no such stressor here")
    for line in text.splitlines():
        if "stress-ng: fail:" in line:
            result.failed.add(re.sub(r"0x[0-9a-f]+|\d+", "N", line.split("] ", 1)[-1]))
    return judge(result, status, text, LIMIT)
