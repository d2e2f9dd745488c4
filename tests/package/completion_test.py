"""The completion, as bash runs it: `complete` has registered a function, which is called with the words of a line and the
number of the one to complete.

usage: completion_test.py TIDEMARK LIBRARY COMPLETION
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

TIDEMARK, LIBRARY, COMPLETION = map(os.path.abspath, sys.argv[1:4])

# Options whose values are words of a list.
VALUES = (("run", "--sites"), ("run", "--exit"), ("report", "--by"), ("report", "--group"), ("diff", "--by"), ("diff", "--group"),
          ("export", "--format"), ("export", "--value"), ("top", "--sort"), ("metrics", "--format"))

# As readline hands it over: the words, the number of the last, and its function's arguments.
SCRIPT = r"""
shopt -s progcomp
source "$1"; shift
[[ $(complete -p tidemark) =~ -F\ ([_a-z]+) ]] || { echo "nothing is registered"; exit 1; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
"${BASH_REMATCH[1]}" tidemark "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || true
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="tidemark-completion.")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        os.symlink(TIDEMARK, cls.directory + "/tidemark")
        for name in ("one.heap", "two.heap", "other.txt", "page.html"):
            with open(f"{cls.directory}/{name}", "w", encoding="utf-8"):
                pass
        os.mkdir(cls.directory + "/older")

    def complete(self, *words, before=""):
        environment = dict(os.environ, PATH=self.directory + ":" + os.environ["PATH"])
        done = subprocess.run(["bash", "--norc", "-c", before + SCRIPT, "bash", COMPLETION, "tidemark", *words],
                              cwd=self.directory, env=environment, text=True, check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Outside of a line that is being edited, bash lets nobody set options of the completion; that is silent.
        self.assertEqual(done.stderr, "", words)
        return sorted(line for line in done.stdout.splitlines() if line)

    def test_commands(self):
        listed = subprocess.run([TIDEMARK, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
        commands = re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)
        self.assertIn("snapshot", commands)
        self.assertEqual(self.complete(""), sorted(commands + ["--help", "--version"]))
        self.assertEqual(self.complete("sn"), ["snapshot"])
        self.assertEqual(self.complete("--v"), ["--version"])

    def test_options(self):
        for command, option in (("run", "--sites"), ("report", "--debuginfod"), ("snapshot", "--timeout"),
                                ("start", "--all"), ("compare", "--with")):
            self.assertIn(option, self.complete(command, "--"))
            self.assertEqual(self.complete(command, option[:-1]), [option])

    def test_values(self):
        self.assertEqual(self.complete("run", "--sites", ""), ["all", "off", "sample"])
        self.assertEqual(self.complete("run", "--sites", "s"), ["sample"])
        self.assertEqual(self.complete("run", "--sites", "="), ["all", "off", "sample"])
        self.assertEqual(self.complete("run", "--sites", "=", "a"), ["all"])
        self.assertEqual(self.complete("run", "--rate", ""), [])
        self.assertEqual(self.complete("report", "--group", "fi"), ["file"])
        self.assertIn("retain=", self.complete("run", "--set", ""))

    def test_values_are_taken(self):
        """Each value that is offered is one that the command knows."""
        for command, option in VALUES:
            self.assertIn(option, self.complete(command, "--"))
            for value in self.complete(command, option, ""):
                # The option behind it is what is wrong, if the value is not.
                done = subprocess.run([TIDEMARK, command, option, value, "--nothing"], stderr=subprocess.PIPE, text=True,
                                      check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn("nothing", done.stderr, f"{command} {option} {value}")
        for key in self.complete("run", "--set", ""):
            done = subprocess.run(["true"], env={"LD_PRELOAD": LIBRARY, "TIDEMARK": key + "?"}, stderr=subprocess.PIPE,
                                  text=True, check=False)
            self.assertNotIn("unknown key", done.stderr)

    def test_files(self):
        self.assertEqual(self.complete("report", ""), ["older", "one.heap", "two.heap"])
        self.assertEqual(self.complete("report", "--top", "3", "tw"), ["two.heap"])

    def test_pids(self):
        with subprocess.Popen(["sleep", "60"], env=dict(os.environ, LD_PRELOAD=LIBRARY)) as child, \
                subprocess.Popen(["sleep", "60"]) as other:
            try:
                for command in ("snapshot", "start", "stop", "trim"):
                    found = self.complete(command, "")
                    self.assertIn(str(child.pid), found)
                    self.assertNotIn(str(other.pid), found)
                self.assertEqual(self.complete("snapshot", "--report", str(child.pid)), [str(child.pid)])
            finally:
                child.kill()
                other.kill()

    def test_command_behind_dashes(self):
        self.assertIn("sleep", self.complete("run", "--", "slee"))
        self.assertIn("sleep", self.complete("run", "--exit", "none", "--", "slee"))
        self.assertEqual(self.complete("run", "--", "cat", "oth"), ["other.txt"])
        self.assertEqual(self.complete("run", "--", "cat", "--si"), [])

    def test_hostile_names(self):
        name = "a b$(touch owned).heap"
        with open(f"{self.directory}/{name}", "w", encoding="utf-8"):
            pass
        self.assertEqual(self.complete("report", "a"), [name], shlex.quote(name))
        self.assertFalse(os.path.exists(self.directory + "/owned"))
        os.remove(f"{self.directory}/{name}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
