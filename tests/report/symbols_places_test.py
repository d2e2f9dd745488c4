"""What addresses are called where more than the file system has a say: a process that still runs, maybe in a container;
code that was made at run time; debuginfod servers, which are asked only on request.

usage: symbols_places_test.py SYMBOLS_SHOW PROGRAM_SOURCE
"""

import http.server
import os
import sys
import threading
import unittest

from symbols_recorded import Mapping, Symbols, build_id, mappings_of


class Alive(Symbols):
    @unittest.skipUnless(os.geteuid() == 0, "only root may open what a process has mapped")
    def test_deleted_while_it_runs(self):
        recorded = self.record(self.build())
        os.remove(recorded.exe)
        self.assert_inlined(self.ask(recorded, "inlined")[0])
        recorded.end()
        self.assertEqual(self.ask(recorded, "inlined")[0][0].function, "-")

    @unittest.skipUnless(os.geteuid() == 0, "only root may change the root directory")
    def test_in_a_container(self):
        """A process with a root directory and a number of its own is found, with its files and its perf map."""
        program = self.build("-static", name="root/program")
        root = os.path.dirname(program)
        recorded = self.record("/program", "unshare", "--fork", "--kill-child", "--pid", "chroot", root)
        children = f"/proc/{recorded.pid}/task/{recorded.pid}/children"
        with open(children, encoding="ascii") as file:
            outer = int(file.read())
        recorded.maps = mappings_of(outer)
        for mapping in recorded.maps:
            mapping.path = mapping.path.removeprefix(root)
        recorded.exe = "/program"
        recorded.pid = 1
        self.assert_inlined(self.ask(recorded, "inlined")[0])
        jit = add_code(recorded)
        recorded.began -= 1e6  # when the system's own process 1 may have begun; it runs something else
        for number in 1, outer:
            perf_map = self.path(f"root/tmp/perf-{number}.map")
            with open(perf_map, "w", encoding="ascii") as file:
                file.write(f"{jit:x} 10 made_by_{number}\n")
            (answer,), _ = self.show(recorded, f"={jit:x}")
            self.assertEqual(answer[0].function, f"made_by_{number}")
            os.remove(perf_map)


def add_code(recorded, inode=0, path=""):
    """A mapping with code that is in no file; returns an address in it."""
    start = recorded.maps[0].start - 0x100000
    recorded.maps.insert(0, Mapping(start, start + 0x10000, 7, 0, inode, path))
    return start


class MadeAtRunTime(Symbols):
    def perf_map(self, recorded, text):
        path = self.path(f"root/tmp/perf-{recorded.pid}.map")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def look(self, recorded, *addresses):
        return self.show(recorded, *(f"={address:x}" for address in addresses), options=["--root", self.path("root")])

    def test_perf_map(self):
        recorded = self.ended(self.build())
        code = add_code(recorded)
        self.perf_map(
            recorded,
            f"{code:x} 1000 old\n{code + 0x100:x} 20 newer with blanks\n"
            f"0x{code + 0x2000:x} 0x10 py::Cart.add:/opt/cart.py\n"
            f"{code + 0x2010:x} 10 py::_load:<frozen importlib._bootstrap>\n",
        )
        answers, _ = self.look(recorded, code, code + 0x100, code + 0x11F, code + 0x120, code + 0x2000, code + 0x2010,
                               code + 0x3000)
        self.assertEqual(
            [(answer[0].function, answer[0].file, answer[0].module) for answer in answers],
            [
                ("old", "-", "[JIT]"),
                ("newer with blanks", "-", "[JIT]"),
                ("newer with blanks", "-", "[JIT]"),
                ("old", "-", "[JIT]"),
                ("Cart.add", "/opt/cart.py", "[JIT]"),
                ("_load", "<frozen importlib._bootstrap>", "[JIT]"),
                ("-", "-", "[JIT]"),
            ],
        )

    def test_in_what_only_looks_like_a_file(self):
        recorded = self.ended(self.build())
        code = add_code(recorded, 77, "/memfd:doublemapper (deleted)")
        self.perf_map(recorded, f"{code:x} 10 made\n")
        ((answer,),), _ = self.look(recorded, code)
        self.assertEqual(answer.function, "made")

    def test_without_one(self):
        recorded = self.ended(self.build())
        code = add_code(recorded)
        os.makedirs(self.path("root", "x"))
        answers, notes = self.look(recorded, code, code + 1)
        self.assertEqual([(answer.function, answer.module) for (answer,) in answers], [("-", "[JIT]")] * 2)
        self.assertEqual(len(notes), 1)
        self.assertIn("/tmp" + f"/perf-{recorded.pid}.map", notes[0])

    def test_of_an_earlier_process(self):
        recorded = self.ended(self.build())
        code = add_code(recorded)
        path = self.perf_map(recorded, f"{code:x} 10 old\n")
        os.utime(path, (recorded.began - 100, recorded.began - 100))
        ((answer,),), _ = self.look(recorded, code)
        self.assertEqual(answer.function, "-")

    def test_not_a_file(self):
        recorded = self.ended(self.build())
        code = add_code(recorded)
        os.mkfifo(self.path(f"root/tmp/perf-{recorded.pid}.map"))
        ((answer,),), _ = self.look(recorded, code)
        self.assertEqual(answer.function, "-")


class Server(http.server.BaseHTTPRequestHandler):
    files = {}
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, format, *arguments):
        pass


class Servers(Symbols):
    def setUp(self):
        super().setUp()
        Server.files, Server.asked[:] = {}, []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.environment = {
            "DEBUGINFOD_URLS": f"http://127.0.0.1:{server.server_port}",
            "DEBUGINFOD_CACHE_PATH": self.path("cache", "x"),
        }

    def stripped(self):
        program = self.build()
        debug = self.strip(program)
        recorded = self.ended(program)
        for kind, path in ("debuginfo", debug), ("executable", program):
            with open(path, "rb") as file:
                Server.files[f"/buildid/{build_id(program)}/{kind}"] = file.read()
        os.remove(debug)
        return recorded

    def test_are_asked_when_wanted(self):
        recorded = self.stripped()
        at = f"/buildid/{build_id(recorded.exe)}/"
        how = {"options": ["--debuginfod"], "environment": self.environment}
        answer, notes = self.ask(recorded, "inlined", **how)
        self.assert_inlined(answer)
        self.assertEqual(notes, [])
        self.assertEqual(Server.asked, [at + "debuginfo"])
        os.remove(recorded.exe)
        answer, notes = self.ask(recorded, "inlined", **how)
        self.assert_inlined(answer)
        self.assertEqual(notes, [])
        self.assertEqual(Server.asked, [at + "debuginfo", at + "executable"])

    def test_are_not_asked_otherwise(self):
        recorded = self.stripped()
        calls = self.path("calls")
        under = ["strace", "-f", "-e", "trace=%network", "-o", calls]
        addresses = [recorded.addresses[name] for name in ("shown", "libc")]
        for expected in "shown", "-":
            for environment in self.environment, {"DEBUGINFOD_URLS": "http://127.0.0.1:1"}:
                (shown, _), _ = self.show(recorded, *addresses, environment=environment, under=under)
                self.assertEqual(shown[0].function, expected)
                with open(calls, encoding="utf-8") as file:
                    text = file.read()
                self.assertIn("exited with 0", text)
                self.assertNotRegex(text, "(connect|socket)[(]")
            if expected != "-":
                os.remove(recorded.exe)
        self.assertEqual(Server.asked, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
