"""Programs that do with memory, with the loader or with processes what few do: each case runs one with the library
preloaded, and looks at what it says. The programs check themselves and end with the line "ok".

usage: strange.py CASE TIDEMARK LIBRARY DIRECTORY     DIRECTORY: where the programs are built
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SKIP = 77
TLS_LIBRARIES = 64
# meson names the directories of the libraries that it builds, where only run paths are to lead to them.
DROPPED = ("LD_PRELOAD", "TIDEMARK", "LD_LIBRARY_PATH", "MALLOC_PERTURB_")
CASE, TIDEMARK, LIBRARY, DIRECTORY = sys.argv[1], *map(os.path.abspath, sys.argv[2:5])


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def built(name):
    return os.path.join(DIRECTORY, "strange_" + name)


def plain_environment(**more):
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return {**kept, **more}


def run(*command, preload=LIBRARY, **more):
    """What came of it: status, stdout and stderr as text. preload="": without the library."""
    environment = plain_environment(**({"LD_PRELOAD": preload} if preload else {}), **more)
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


def expect(true, what, ended):
    if not true:
        print(f"{CASE}: {what}; status {ended.returncode}\n{ended.stdout}{ended.stderr}")
        sys.exit(1)


def well(*command, silent=True, **more):
    """Runs a program that says "ok", with nothing on stderr, without the library and with it."""
    plain = run(*command, **{**more, "preload": more.get("preload", LIBRARY).replace(LIBRARY, "").strip()})
    expect(plain.returncode in (0, SKIP), "it fails without the library", plain)
    if plain.returncode == SKIP:
        skip(plain.stdout)
    ended = run(*command, **more)
    expect(ended.returncode == 0 and ended.stdout == "ok\n", "it fails under the library", ended)
    expect(not silent or not ended.stderr, "it says something on stderr", ended)
    return ended


def deepbind():
    well(built("deepbind"), "libstrange_plugin.so")


def foreign():
    behind = os.path.join(DIRECTORY, "libstrange_behind.so")
    both = f"{LIBRARY} {behind}"
    well(built("foreign"), preload=both)
    for address in ("static", "stack", "mapping", "wild"):
        ended = run(built("foreign"), address, preload=both)
        expect("tidemark: free(0x" in ended.stderr, f"free of a {address} address is not noticed", ended)


def namespace():
    plugin = os.path.join(DIRECTORY, "runpath/libstrange_plugin.so")
    for more in ((), (LIBRARY,)):
        ended = run(built("namespace"), plugin, *more)
        expect(ended.returncode == 0 and ended.stdout == "ok\n", "it fails", ended)
        expect(ended.stderr.count("another namespace") == 1, "the block left alone is not told once", ended)


def audited():
    """An auditor sees every binding; it lives in a namespace of its own with a libc of its own."""
    plugin = os.path.join(DIRECTORY, "runpath/libstrange_plugin.so")
    auditor = os.path.join(DIRECTORY, "libstrange_auditor.so")
    read, write = os.pipe()
    script = f"exec 3>&{write}; LD_PRELOAD={LIBRARY} LD_AUDIT={auditor} exec {built('work')} 5000 {plugin}"
    ended = subprocess.run(["sh", "-c", script], env=plain_environment(), capture_output=True, text=True, timeout=60,
                           check=False, pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as counts:
        bindings = [int(line) for line in counts]
    expect(ended.returncode == 0 and ended.stdout == "ok\n" and not ended.stderr, "it fails", ended)
    expect(bindings and bindings[-1] > 50, f"the auditor saw {bindings} bindings", ended)


def thread_locals():
    """As much static TLS is left for libraries that are loaded later as there is without the library."""
    libraries = [os.path.join(DIRECTORY, f"libstrange_tls{i}.so") for i in range(TLS_LIBRARIES)]
    plain = run(built("thread_locals"), *libraries, preload="")
    expect(0 < int(plain.stdout) < TLS_LIBRARIES, "the libraries are too few or too large for a test", plain)
    for setting in ("", "sites=sample"):
        ended = run(built("thread_locals"), *libraries, TIDEMARK=setting)
        expect(ended.returncode == 0 and ended.stdout == plain.stdout,
               f"with '{setting}' as many fit, and without the library {plain.stdout.strip()}", ended)


def own_malloc():
    well(built("own_malloc"))
    ended = run(built("own_malloc"), os.path.join(DIRECTORY, "runpath/libstrange_plugin.so"))
    expect(ended.returncode == 0 and ended.stdout == "ok\n", "a plug-in does not get the program's malloc", ended)
    for program, told in ("own_malloc", True), ("vfork", False):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "snapshot")
            ended = run(TIDEMARK, "run", "--exit", "snapshot", "--set", "children=no", "--out", path, "--",
                        built(program), preload="")
            expect(os.path.exists(path), "there is no snapshot", ended)
            ended = run(TIDEMARK, "report", path, preload="")
            expect(("allocator of its own" in ended.stdout) == told, f"the report on {program} is wrong", ended)


def chromium():
    """A large program with an allocator of its own, made of many processes."""
    program = shutil.which("chromium")
    if not program:
        skip("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        page = os.path.join(directory, "page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write("<p id=x></p><script>x.textContent = 'sum ' + [...Array(9999).keys()].reduce((a, b) => a + b)"
                       "</script>")
        command = (program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--user-data-dir=" + directory, "--dump-dom", "file://" + page)
        ended = run(*command)
        if "sum 49985001" not in ended.stdout and "sum 49985001" not in run(*command, preload="").stdout:
            skip("chromium does not run here without the library either: " + ended.stderr[-500:])
        expect("sum 49985001" in ended.stdout and ended.returncode == 0, "it does not show a page", ended)
        expect("tidemark:" not in ended.stderr, "it says something", ended)


def php():
    """PHP loads each of its extensions with RTLD_DEEPBIND."""
    program = shutil.which("php")
    if not program:
        skip("php is not installed")
    script = ("$kept = []; for ($i = 0; $i < 20000; $i++) { $kept[] = str_repeat('x', $i % 300);"
              "if ($i % 3) unset($kept[$i / 2]); } ctype_alpha('abc'); iconv('UTF-8', 'ISO-8859-1', 'abc');"
              "posix_getpwuid(0); bindtextdomain('domain', '/nowhere'); putenv('TZ=UTC'); echo 'ok', PHP_EOL;")
    well(program, "-r", script)
    well(program, "-r", script, USE_ZEND_ALLOC="0")


def vfork():
    well(built("vfork"))


def forked():
    for check in "fast", "full":
        well(built("forked"), TIDEMARK="check=" + check)


def direct():
    well(built("direct"), DIRECTORY)


def ring():
    well(built("ring"))


def faults():
    well(built("faults"))


def low():
    well(built("low"))


def locked():
    well(built("work"), "20000", "locked")


def strict():
    well(built("work"), "5000", "strict")


def laid_out():
    """Addresses that grow upwards from low ones, and the same ones in each run."""
    if not shutil.which("setarch"):
        skip("setarch (util-linux) is not installed")
    for layout in ("--addr-compat-layout", "--addr-no-randomize"):
        well("setarch", layout, built("work"), "5000")
    well("sh", "-c", f"ulimit -s unlimited && exec {built('work')} 5000")


def static():
    program = built("static")
    ended = run(TIDEMARK, "run", "--", program, preload="")
    expect(ended.returncode == 0 and ended.stdout == "ok\n", "it does not run", ended)
    expect("statically linked" in ended.stderr and program in ended.stderr, "`tidemark run` does not warn", ended)
    ended = run(program)
    expect(ended.stdout == "ok\n" and not ended.stderr, "it fails with LD_PRELOAD in the environment", ended)


def set_id():
    """The loader drops LD_PRELOAD where a program raises privileges: it runs as it is, and `tidemark run` says so."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        skip("needs root and setpriv (util-linux)")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        program, command, library = (os.path.join(directory, name) for name in ("maps", "tidemark", "libtidemark.so"))
        for path, copy in (("/bin/cat", program), (TIDEMARK, command), (LIBRARY, library)):
            shutil.copy(path, copy)
            os.chmod(copy, 0o755)
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        ended = run(*as_nobody, "env", "LD_PRELOAD=" + library, program, "/proc/self/maps", preload="")
        expect("libtidemark.so" in ended.stdout, "the library is not preloaded before", ended)
        os.chmod(program, 0o4755)
        if os.statvfs(directory).f_flag & os.ST_NOSUID:
            skip("/var/tmp is mounted nosuid")
        ended = run(*as_nobody, "env", "LD_PRELOAD=" + library, program, "/proc/self/maps", preload="")
        expect(ended.returncode == 0 and "libtidemark" not in ended.stdout, "the library is in a setuid program", ended)
        ended = run(*as_nobody, command, "run", "--set", "children=yes", "--", program, "/dev/null", preload="",
                    TIDEMARK_LIBRARY=library)
        expect(ended.returncode == 0 and "setuid" in ended.stderr, "`tidemark run` does not warn", ended)


def traced():
    if not shutil.which("strace"):
        skip("strace is not installed")
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        ended = run("strace", "-f", "-o", log, "-E", "LD_PRELOAD=" + LIBRARY, built("work"), "5000", preload="")
        if ended.returncode and "ptrace" in ended.stderr:
            skip(ended.stderr)
        expect(ended.returncode == 0 and ended.stdout == "ok\n", "it fails", ended)


def gdb(*arguments, **more):
    return run("gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "set startup-with-shell off",
               *arguments, preload="", **more)


def called():
    """gdb calls malloc and free in the program, also for its own strings. By way of gdbserver: gdb 13 itself cannot call
    anything on processors whose registers it does not know all of."""
    if not shutil.which("gdb") or not shutil.which("gdbserver"):
        skip("gdb and gdbserver are not both installed")
    steps = ["break work_is_done", "continue", "info sharedlibrary", "print ((void *(*)(unsigned long))malloc)(100) != 0",
             "call ((void (*)(void *))free)(((void *(*)(unsigned long))malloc)(70000))",
             "print ((unsigned long (*)(const char *))strlen)(\"in the program\")", "continue"]
    for library in ("", "LD_PRELOAD=" + LIBRARY):
        server = f"gdbserver --once --wrapper env TERM= {library} -- - {built('work')} 1000"
        ended = gdb(*(word for step in ["target remote | " + server] + steps for word in ("-ex", step)), built("work"))
        good = "= 1\n" in ended.stdout and "= 14\n" in ended.stdout and "exited normally" in ended.stdout
        if not good and not library:
            skip("gdb cannot call a function of any program here: " + ended.stderr)
        expect(good, "calls from gdb fail, or the program does not end well after them", ended)
        expect(("libtidemark.so" in ended.stdout) == bool(library), "the library is not where it should be", ended)


def debugged():
    """A program that gdb has stopped anywhere goes on when it leaves."""
    if not shutil.which("gdb"):
        skip("gdb is not installed")
    with subprocess.Popen([built("work"), "200000"], env=plain_environment(LD_PRELOAD=LIBRARY), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        seen = [gdb("-p", str(program.pid), "-ex", "thread apply all bt 3") for _ in range(2)]
        output = program.communicate(timeout=100)[0]
        if "not permitted" in seen[0].stderr:
            skip(seen[0].stderr)
        expect("#0" in seen[0].stdout, "gdb shows no stack", seen[0])
        expect(program.returncode == 0 and output == "ok\n", "it does not go on after a debugger",
               subprocess.CompletedProcess((), program.returncode, output, ""))


def stopped():
    """Stopped and continued all the time, as a freezer or a checkpoint does."""
    with subprocess.Popen([built("work"), "100000"], env=plain_environment(LD_PRELOAD=LIBRARY), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        stops = 0
        while program.poll() is None:
            program.send_signal(signal.SIGSTOP)
            program.send_signal(signal.SIGCONT)
            stops += 1
        ended = subprocess.CompletedProcess((), program.returncode, program.stdout.read(), "")
        expect(program.returncode == 0 and ended.stdout == "ok\n" and stops > 1, f"it fails after {stops} stops", ended)


CASES = {function.__name__: function for function in (
    deepbind, foreign, namespace, audited, thread_locals, own_malloc, chromium, php, vfork, forked, direct, ring, faults, low, locked,
    strict, laid_out, static, set_id, traced, called, debugged, stopped)}

if __name__ == "__main__":
    CASES[CASE]()
