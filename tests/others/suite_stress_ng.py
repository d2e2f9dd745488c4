"""stress-ng's stressors of memory, processes and threads, each with --verify, two workers for two seconds.

What they find wrong in memory they report themselves; their number of rounds depends on the machine and is not
compared. The address space of each is limited, for some of them take all there is.
"""

import os
import re
import resource
import shutil

from suite import Result, command, judge, tool

NAME = "stress-ng"
TITLE = "stress-ng, memory stressors with --verify"
EXECUTABLES = ["stress-ng"]
FULL = True
JUDGED = {}
LIMIT = 240
SECONDS = 2
ADDRESS_SPACE = 4 << 30
# Options besides `--NAME 2`; a name before a slash is the stressor, what follows tells variants apart.
STRESSORS = {
    "malloc": "", "malloc/touch": "--malloc-touch", "malloc/threads": "--malloc-pthreads 4", "malloc/trim": "--malloc-trim --malloc-zerofree",
    "malloc/large": "--malloc-bytes 512M --malloc-max 16", "malloc/thresh": "--malloc-thresh 4096",
    "bigheap": "", "brk": "", "madvise": "", "memfd": "", "memthrash": "", "mincore": "", "misaligned": "", "mlock": "",
    "mlockmany": "", "mmap": "--mmap-bytes 64M", "mmapaddr": "", "mmapfixed": "", "mmapfork": "", "mmapmany": "", "mprotect": "",
    "mremap": "--mremap-bytes 64M", "munmap": "", "msync": "", "pagemove": "", "remap": "", "shm": "", "stack": "", "stackmmap": "",
    "userfaultfd": "", "vm": "--vm-bytes 64M", "vm/all-methods": "--vm-bytes 4M --vm-method all", "vm-addr": "", "vm-rw": "--vm-rw-bytes 16M",
    "vm-segv": "", "vm-splice": "", "bad-altstack": "", "context": "", "fork": "", "forkheavy": "--forkheavy-procs 64", "vfork": "", "vforkmany": "",
    "clone": "", "daemon": "", "exec": "", "spawn": "", "zombie": "", "pthread": "", "dup": "", "close": "", "env": "", "dynlib": "",
    "sigsegv": "", "sigabrt": "", "signest": "", "sigq": "", "sem": "", "mutex": "", "judy": "", "list": "", "tree": "", "tsearch": "", "hsearch": "",
    "lsearch": "", "bsearch": "", "qsort": "", "skiplist": "", "sparsematrix": "", "matrix": "", "str": "", "wcs": "", "zlib": "", "memrate": "--memrate-bytes 64M",
    "mcontend": "", "resources": "", "fault": "", "full": "", "randlist": "", "rlimit": "", "seal": "", "timer": "", "tlb-shootdown": "",
}


def prepare(_):
    tool("stress-ng")


def items(_):
    return list(STRESSORS)


def quick(everything):
    return [name for name in everything if name.split("/")[0] in ("malloc", "bigheap", "brk", "fork", "vfork", "pthread", "vm", "mremap")]


def limit_address_space():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def once(run, _, item):
    place = run.path(item.replace("/", "-"))
    os.mkdir(place)
    stressor = item.split("/")[0]
    status, text = command(run, ["stress-ng", f"--{stressor}", "2", *STRESSORS[item].split(), "--verify", "--timeout", f"{SECONDS}s",
                                 "--temp-path", place], place, LIMIT, setup=limit_address_space)
    shutil.rmtree(place, ignore_errors=True)
    result = Result(ran=1)
    if status == 4 or re.search(r"skipped|not implemented", text):  # 4: its own status for what is not implemented
        return Result(skipped="stress-ng has no such stressor here")
    for line in text.splitlines():
        if "stress-ng: fail:" in line:
            result.failed.add(re.sub(r"0x[0-9a-f]+|\d+", "N", line.split("] ", 1)[-1]))
    return judge(result, status, text, LIMIT)
