"""CPython's regression suite as Debian packages it, every file in a process of its own, PYTHONMALLOC=malloc.

Tests that need the network, a display, gigabytes or very much time ask for a resource, and none is granted.
"""

import os
import shutil
import subprocess
import xml.etree.ElementTree

from suite import Result, Skipped, command, fresh, judge

NAME = "cpython"
TITLE = "CPython's regression suite"
EXECUTABLES = ["python3"]
FULL = False
JUDGED = {r"test\.test_subprocess\.POSIXProcessTestCase\.test_pass_fds_redirected$":
          "looks for any descriptor that it did not pass on, and finds the live page's, which each process has; passes with live=no"}
PYTHON = "/usr/bin/python3"
LIMIT = 900
# Waits for ever for a connection on a machine whose vsock device does not connect it to itself; unittest knows no limit.
IGNORED = ["--ignore", "ThreadedVSOCKSocketStreamTest"]
QUICK = """test_array test_ast test_bytes test_bz2 test_collections test_compile test_ctypes test_deque test_dict test_exceptions
test_fork1 test_gc test_generators test_io test_json test_list test_lzma test_marshal test_memoryio test_memoryview
test_mmap test_pickle test_re test_set test_sqlite test_sqlite3 test_struct test_sys test_thread test_threading
test_threading_local test_tuple test_unicode test_weakref test_xml_etree_c test_zlib""".split()


def prepare(_):
    if not os.path.exists(PYTHON):
        raise Skipped(f"{PYTHON} is not installed")
    if subprocess.run([PYTHON, "-c", "import test.test_dict"], capture_output=True, check=False).returncode != 0:
        raise Skipped("CPython's tests are not installed (package libpython3.11-testsuite)")


def items(_):
    return subprocess.run([PYTHON, "-m", "test", "--list-tests"], capture_output=True, text=True, check=True).stdout.split()


def quick(everything):
    return [item for item in everything if item in QUICK]


def once(run, _, item):
    place = fresh(run, item)
    said = os.path.join(place, "said.xml")
    status, text = command(run, [PYTHON, "-m", "test", "--timeout", str(LIMIT - 60), "--junit-xml", said, *IGNORED, item], place, LIMIT,
                           {"PYTHONMALLOC": "malloc", "TMPDIR": place})
    result = Result()
    if os.path.exists(said):
        for case in xml.etree.ElementTree.parse(said).iter("testcase"):
            result.ran += case.find("skipped") is None
            if case.find("failure") is not None or case.find("error") is not None:
                result.failed.add(case.get("name"))
    if status == 0 and not result.ran:
        result.skipped = next((line for line in text.splitlines() if " skipped" in line), "")
        result.ran = not result.skipped
    shutil.rmtree(place, ignore_errors=True)
    return judge(result, status, text, LIMIT)
