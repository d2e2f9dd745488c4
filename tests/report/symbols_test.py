"""What addresses are called: a real program, its debug information where it can be (inside, beside, by build id, shared),
and files that are missing, others than the process had, or damaged.

usage: symbols_test.py SYMBOLS_SHOW PROGRAM_SOURCE
"""

import os
import lzma
import random
import re
import shutil
import struct
import sys
import unittest

from symbols_recorded import Symbols, build_id, line_of, run


class Present(Symbols):
    def test_inlined_functions_and_lines(self):
        for name, flags in {"pie": ["-pie", "-fPIE"], "fixed": ["-no-pie", "-fno-pie"]}.items():
            recorded = self.ended(self.build(*flags, name=name))
            answer, notes = self.ask(recorded, "inlined")
            self.assert_inlined(answer)
            self.assertEqual(notes, [])
            self.assertEqual({one.module for one in answer}, {recorded.exe})
            for what in "hidden", "shown":
                (one,), _ = self.ask(recorded, what)
                self.assertRegex(one.function, rf"^{what}(\(\))?$")
                self.assertEqual(one.line, line_of(what + " calls"))

    def test_a_call_is_not_what_stands_behind_it(self):
        recorded = self.ended(self.build())
        main = recorded.addresses["main"]
        (exact, behind), _ = self.show(recorded, main, main[1:])
        self.assertEqual(exact[-1].function, "main")
        self.assertNotEqual(behind[-1].function, "main")
        self.assertEqual(exact[-1].offset - behind[-1].offset, 1)

    def test_link_time_address(self):
        recorded = self.ended(self.build())
        answer, _ = self.ask(recorded, "main")
        table = run("nm", recorded.exe)
        self.assertEqual(answer[-1].offset, int(re.search(r"^(\w+) T main$", table, re.M).group(1), 16))

    def test_many_addresses(self):
        recorded = self.ended(self.build())
        code = next(mapping for mapping in recorded.maps if mapping.permissions & 4 and "libc.so" in mapping.path)
        addresses = [f"={code.start + offset:x}" for offset in range(0, 6000, 2)]
        answers, _ = self.show(recorded, *addresses, recorded.addresses["inlined"], *addresses)
        self.assertEqual([str(answer) for answer in answers[:3000]], [str(answer) for answer in answers[3001:]])
        self.assertEqual(len({answer[0].offset for answer in answers}), 3001)
        self.assert_inlined(answers[3000])

    def test_compilers_without_address_table(self):
        program = self.build()
        run("objcopy", "--remove-section=.debug_aranges", program)
        self.assert_inlined(self.ask(self.ended(program), "inlined")[0])

    @unittest.skipUnless(shutil.which("clang++"), "needs clang")
    def test_clang(self):
        recorded = self.ended(self.build(compiler="clang++"))
        self.assert_inlined(self.ask(recorded, "inlined")[0], "shop::weigh(char const*)")

    def test_older_dwarf_and_compressed(self):
        for number, flags in enumerate((["-gdwarf-4"], ["-gz"])):
            program = self.build(*flags, name=f"program{number}")
            self.assert_inlined(self.ask(self.ended(program), "inlined")[0])

    def test_what_is_not_of_a_file(self):
        recorded = self.ended(self.build())
        vdso = next(mapping for mapping in recorded.maps if mapping.path == "[vdso]")
        ((inside,), (nowhere,)), notes = self.show(recorded, f"={vdso.start + 0x123:x}", "=10")
        self.assertEqual((inside.function, inside.module, inside.offset), ("-", "[vdso]", 0x123))
        self.assertEqual((nowhere.function, nowhere.module), ("-", ""))
        self.assertEqual(notes, [])


class Apart(Symbols):
    def test_by_build_id(self):
        program = self.build()
        debug = self.strip(program)
        recorded = self.ended(program)
        root = self.path("root")
        there = self.path(root + program)
        shutil.copy(program, there)
        identity = build_id(program)
        debug_there = self.path(root, f"usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug")
        shutil.move(debug, debug_there)
        answer, notes = self.ask(recorded, "inlined", options=["--root", root])
        self.assert_inlined(answer)
        self.assertEqual(notes, [])
        # Without the program its debug file is enough.
        os.remove(there)
        answer, notes = self.ask(recorded, "inlined", options=["--root", root])
        self.assert_inlined(answer)
        self.assertEqual(notes, [])
        # One of another program is not taken, whatever its name.
        shutil.copy(self.build("-DOTHER", "-O1", name="other"), debug_there)
        answer, notes = self.ask(recorded, "inlined", options=["--root", root])
        self.assertEqual(answer[0].function, "-")
        self.assertEqual(len(notes), 1)

    def test_by_link(self):
        places = "{0}/program.debug", "{0}/.debug/program.debug", "{0}/root/usr/lib/debug{0}/program.debug"
        for number, place in enumerate(places):
            program = self.build(name=f"{number}/program")
            directory = os.path.dirname(program)
            debug = self.strip(program)
            run("objcopy", "--add-gnu-debuglink=" + debug, program)
            recorded = self.ended(program)
            there = self.path(place.format(directory))
            if there != debug:
                shutil.move(debug, there)
            options = []
            if "/root/" in there:
                options = ["--root", directory + "/root"]
                shutil.copy(program, self.path(directory + "/root" + program))
            answer, notes = self.ask(recorded, "inlined", options=options)
            self.assert_inlined(answer)
            self.assertEqual(notes, [])

    def test_link_without_build_id_goes_by_checksum(self):
        program = self.build("-Wl,--build-id=none")
        debug = self.strip(program)
        run("objcopy", "--add-gnu-debuglink=" + debug, program)
        recorded = self.ended(program)
        self.assert_inlined(self.ask(recorded, "inlined")[0])
        with open(debug, "ab") as file:
            file.write(b"\0")
        notes = self.assert_functions_only(recorded)
        self.assertIn("program.debug", notes[0])

    def test_link_of_another_build(self):
        program = self.build()
        debug = self.strip(program)
        run("objcopy", "--add-gnu-debuglink=" + debug, program)
        recorded = self.ended(program)
        shutil.copy(self.build("-O1", name="other"), debug)
        self.assert_functions_only(recorded)

    def test_stripped(self):
        program = self.build()
        os.remove(self.strip(program))
        recorded = self.ended(program)
        identity = build_id(program)
        notes = self.assert_functions_only(recorded)
        self.assertEqual(len(notes), 1)
        self.assertIn(f"/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug", notes[0])
        self.assertIn("debuginfod", notes[0])
        answer, _ = self.ask(recorded, "hidden")
        self.assertNotIn("hidden", answer[0].function)

    def test_mini_debug_information(self):
        program = self.build()
        debug = self.strip(program)
        keep = self.path("keep")
        with open(keep, "w", encoding="ascii") as file:
            file.write("_ZL6hiddenv\n")
        run("objcopy", "-S", "--keep-symbols=" + keep, debug, self.path("mini"))
        with open(self.path("mini"), "rb") as file:
            packed = lzma.compress(file.read())
        with open(self.path("mini.xz"), "wb") as file:
            file.write(packed)
        os.remove(debug)
        run("objcopy", "--add-section", ".gnu_debugdata=" + self.path("mini.xz"), program)
        answer, _ = self.ask(self.ended(program), "hidden")
        self.assertEqual(answer[0].function, "hidden()")

    @unittest.skipUnless(shutil.which("dwz"), "needs dwz")
    def test_shared_by_several(self):
        first, second = self.build(name="first"), self.build("-DOTHER", "-fno-ipa-cp", name="second")
        shared = self.path("root/usr/lib/debug/.dwz/shared.debug")
        run("dwz", "-m", shared, "-M", "/usr/lib/debug/.dwz/shared.debug", first, second)
        recorded = self.ended(first)
        root = self.path("root")
        shutil.copy(first, self.path(root + first))
        answer, notes = self.ask(recorded, "inlined", options=["--root", root])
        self.assert_inlined(answer)
        self.assertEqual(notes, [])
        os.remove(shared)
        answer, notes = self.ask(recorded, "inlined", options=["--root", root])
        self.assertEqual([one.line for one in answer], [line_of(f"{name} calls") for name in ("weigh", "add", "fill")])
        self.assertEqual(len(notes), 1)
        self.assertIn("/usr/lib/debug/.dwz/shared.debug", notes[0])

    @unittest.skipUnless(shutil.which("dwz"), "needs dwz")
    def test_shared_is_no_file(self):
        first, second = self.build(name="first"), self.build("-DOTHER", "-fno-ipa-cp", name="second")
        shared = self.path("shared.debug")
        run("dwz", "-m", shared, "-M", shared, first, second)
        recorded = self.ended(first)
        self.assert_inlined(self.ask(recorded, "inlined")[0])
        os.remove(shared)
        os.mkfifo(shared)  # which would wait for a writer
        answer, _ = self.ask(recorded, "inlined")
        self.assertEqual(answer[0].line, line_of("weigh calls"))


    def test_split(self):
        for version in 4, 5:
            program = self.build("-gsplit-dwarf", f"-gdwarf-{version}", name=f"{version}/program")
            recorded = self.ended(program)
            answer, notes = self.ask(recorded, "inlined")
            self.assert_inlined(answer)
            self.assertEqual(notes, [])
            for name in os.listdir(os.path.dirname(program)):
                if name.endswith(".dwo"):
                    os.remove(self.path(str(version), name))
            (answer,), notes = self.show(recorded, recorded.addresses["inlined"])
            self.assertRegex(answer[-1].function, r"^long shop::fill<long>\(long\)")
            self.assertEqual(answer[0].line, line_of("weigh calls"))
            self.assertIn(".dwo", notes[0])


class Absent(Symbols):
    def test_other_build_id(self):
        recorded = self.ended(self.build())
        recorded.set_build_id("0123456789abcdef")
        answer, notes = self.ask(recorded, "shown")
        self.assertEqual((answer[0].function, answer[0].file), ("-", "-"))
        self.assertEqual(len(notes), 1)
        self.assertIn(build_id(recorded.exe)[:8], notes[0])
        self.assertIn("01234567", notes[0])

    def test_missing(self):
        recorded = self.ended(self.build())
        os.remove(recorded.exe)
        answer, notes = self.ask(recorded, "main")
        self.assertEqual(answer[0].function, "-")
        self.assertIn("is not there", notes[0])
        self.assertEqual(answer[0].module, recorded.exe)
        start = recorded.of_program()[0].start
        self.assertEqual(answer[0].offset, int(recorded.addresses["main"][1:], 16) - start)

    def test_deleted(self):
        recorded = self.ended(self.build())
        recorded.rename(recorded.exe + " (deleted)")
        self.assert_inlined(self.ask(recorded, "inlined")[0])
        for mapping in recorded.maps:
            mapping.build_id = ""
        answer, notes = self.ask(recorded, "inlined")
        self.assertEqual(answer[0].function, "-")
        self.assertIn("(deleted)", notes[0])

    def test_changed_without_build_id(self):
        recorded = self.ended(self.build("-Wl,--build-id=none"))
        self.assertEqual(self.ask(recorded, "inlined")[1], [])
        later = recorded.began + 1000
        os.utime(recorded.exe, (later, later))
        answer, notes = self.ask(recorded, "inlined")
        self.assert_inlined(answer)
        self.assertIn("was changed", notes[0])

    def test_not_a_file(self):
        recorded = self.ended(self.build())
        os.remove(recorded.exe)
        os.mkfifo(recorded.exe)  # which would wait for a writer
        answer, notes = self.ask(recorded, "inlined")
        self.assertEqual(answer[0].function, "-")
        self.assertIn("no regular file", notes[0])

    def test_not_a_program(self):
        recorded = self.ended(self.build())
        with open(recorded.exe, "wb") as file:
            file.write(b"\177ELF is what it says")
        answer, notes = self.ask(recorded, "inlined")
        self.assertEqual(answer[0].function, "-")
        self.assertIn("no program or library", notes[0])

    def test_circle(self):
        """Entries of the debug information that follow each other in a circle end the search, not the program."""
        recorded = self.ended(self.build())
        recorded.set_build_id("")
        table = run("readelf", "-SW", recorded.exe)
        start = int(re.search(r"\.debug_info\s+PROGBITS\s+\w+\s+(\w+)", table).group(1), 16)
        entries = run("readelf", "-wi", recorded.exe)
        # A namespace leads to the entry behind it; here that leads back to the namespace.
        name = re.search(r"<1><(\w+)>: Abbrev Number: \d+ \(DW_TAG_namespace\)", entries)
        place = next(re.finditer(r"<(\w+)>   DW_AT_sibling     : <0x\w+>", entries[name.end():]))
        with open(recorded.exe, "r+b") as file:
            file.seek(start + int(place.group(1), 16))
            file.write(struct.pack("<I", int(name.group(1), 16)))
        answers, _ = self.show(recorded, *recorded.addresses.values())
        self.assertEqual(len(answers), len(recorded.addresses))

    def test_damaged(self):
        """Whatever is in a file, the command ends well and answers."""
        recorded = self.ended(self.build("-static-libstdc++"))
        recorded.set_build_id("")  # so that it is taken
        with open(recorded.exe, "rb") as file:
            whole = file.read()
        dice = random.Random(4)
        table = run("readelf", "-SW", recorded.exe)
        sections = [
            (int(offset, 16), int(size, 16))
            for offset, size in re.findall(r"\.(?:debug_\w+|symtab|note\S*|dynsym)\s+\w+\s+\w+\s+(\w+)\s+(\w+)", table)
        ]
        sections += [(0, 0x400), (len(whole) - 0x800, 0x800)]
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(dice.choice((1, 4, 40))):
                offset, size = dice.choice(sections)
                data[offset + dice.randrange(size)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            if dice.randrange(8) == 0:
                del data[dice.randrange(len(data)):]
            with open(recorded.exe, "wb") as file:
                file.write(data)
            answers, _ = self.show(recorded, *recorded.addresses.values())
            self.assertEqual(len(answers), len(recorded.addresses))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
