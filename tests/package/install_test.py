"""`meson install` puts everything where it belongs, the installed command finds the installed library, and a program that is
built with what pkg-config says can ask it from within (tests/package/asks.c).

usage: install_test.py BUILD MESON     BUILD: a build directory in which all is built
"""
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, MESON = sys.argv[1:3]
HERE = os.path.dirname(os.path.abspath(__file__))

# The setting of whoever runs the test must not be the programs'.
ENVIRONMENT = {key: value for key, value in os.environ.items()
               if not key.startswith(("TIDEMARK", "LD_", "MESON", "NINJA")) and key != "DESTDIR"}


def run(*words, **environment):
    done = subprocess.run(words, env={**ENVIRONMENT, **environment}, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}; it said: {done.stdout}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="tidemark-install.")
        cls.addClassCleanup(shutil.rmtree, cls.root)
        run(*MESON.split(), "install", "--no-rebuild", "--quiet", "-C", BUILD, DESTDIR=cls.root)
        options = {option["name"]: option["value"] for option in json.loads(
            run(*MESON.split(), "introspect", "--buildoptions", BUILD))}
        cls.prefix = options["prefix"]
        cls.libdir = os.path.join(cls.prefix, options["libdir"])
        cls.library = cls.root + os.path.join(cls.libdir, "tidemark", "libtidemark.so")
        cls.command = cls.root + os.path.join(cls.prefix, options["bindir"], "tidemark")
        cls.pkg_config = {"PKG_CONFIG_LIBDIR": cls.root + cls.libdir + "/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": cls.root}

    def build(self, compiler, *options):
        """asks.c as a program outside of the source tree."""
        directory = tempfile.mkdtemp(dir=self.root)
        source = shutil.copy(HERE + "/asks.c", directory)
        flags = run("pkg-config", "--cflags", "--libs", "tidemark", **self.pkg_config).split()
        run(compiler, "-Wall", "-Wextra", "-Werror", *options, source, "-o", directory + "/asks", *flags, "-pthread")
        return directory + "/asks"

    def under(self, program, *words, **settings):
        settings.setdefault("out", os.path.dirname(program) + "/%p.%n.heap")
        return run(program, *words, LD_PRELOAD=self.library,
                   TIDEMARK=",".join(f"{key}={value}" for key, value in settings.items())).strip()

    def report(self, path):
        return json.loads(run(self.command, "report", "--json", path))

    def test_files(self):
        found = {os.path.join(directory, name) for directory, _, names in os.walk(self.root + self.prefix)
                 for name in names}
        wanted = [self.command, self.library, self.root + os.path.join(self.libdir, "pkgconfig", "tidemark.pc")]
        for words in (["include", "tidemark.h"], ["share", "man", "man1", "tidemark.1"],
                      ["share", "man", "man7", "libtidemark.7"],
                      ["share", "bash-completion", "completions", "tidemark"]):
            wanted.append(self.root + os.path.join(self.prefix, *words))
        self.assertLessEqual(set(wanted), found)
        strangers = {path for path in found if "tidemark" not in path.removeprefix(self.root)}
        self.assertEqual(strangers, set(), "what is installed beside")

    def test_command_finds_library(self):
        maps = run(self.command, "run", "--", "cat", "/proc/self/maps")
        self.assertEqual({line.split()[-1] for line in maps.splitlines() if "libtidemark" in line}, {self.library})

    def test_pkg_config(self):
        self.assertEqual(run("pkg-config", "--modversion", "tidemark", **self.pkg_config).strip(),
                         run(self.command, "--version").split()[1])
        named = run("pkg-config", "--variable=preload", "tidemark", **self.pkg_config).strip()
        self.assertEqual(self.root + named.removeprefix(self.root), self.library)

    def test_program_asks(self):
        for compiler, *options in (["cc"], ["cc", "-std=c99", "-pedantic"], ["cc", "-no-pie", "-fno-pie", "-O2"],
                                   ["c++", "-x", "c++"], ["c++", "-x", "c++", "-std=c++11", "-pedantic"]):
            if shutil.which(compiler) is None:
                continue
            with self.subTest(compiler=compiler, options=options):
                program = self.build(compiler, *options)
                self.assertEqual(run(program, "there").strip(), "0")
                self.assertEqual(self.under(program, "there"), "1")
                for words in (["snapshot", "0"], ["record", "1"]):
                    self.assertEqual(run(program, *words).strip(), os.strerror(errno.ENOSYS))
                self.assertEqual(self.under(program, "snapshot", "0"), "done")
                path = self.under(program, "snapshot", "4096", signal="none")
                self.assertGreater(self.report(path)["rss_bytes"], 0)

    def test_what_goes_wrong(self):
        program = self.build("cc")
        self.assertEqual(self.under(program, "snapshot", "4"), os.strerror(errno.ENAMETOOLONG))
        self.assertEqual(self.under(program, "record", "3"), os.strerror(errno.EINVAL))
        self.assertTrue(self.under(program, "snapshot", "4096", out="/nowhere/%p.heap")
                        .endswith(os.strerror(errno.ENOENT)))

    def test_recording(self):
        program = self.build("cc", "-g", "-O1")
        for sites, names in (("0", False), ("2", True)):
            report = json.dumps(self.report(self.under(program, "record", sites)))
            self.assertEqual("leak_here" in report, names)

    def test_threads(self):
        self.assertEqual(self.under(self.build("cc"), "threads"), "40")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
