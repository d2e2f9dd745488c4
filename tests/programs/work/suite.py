# Runs a module of CPython's own test suite and prints each test with how it ended, without times and addresses.
import os
import sys
import unittest


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.ended = {}

    def addSuccess(self, test):
        self.ended[test.id()] = "ok"

    def addError(self, test, err):
        super().addError(test, err)
        self.ended[test.id()] = "error"
        print(self.errors[-1][1], file=sys.stderr)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.ended[test.id()] = "failed"
        print(self.failures[-1][1], file=sys.stderr)

    def addSkip(self, test, reason):
        self.ended[test.id()] = "skipped"

    def addExpectedFailure(self, test, err):
        self.ended[test.id()] = "expected failure"

    def addUnexpectedSuccess(self, test):
        self.ended[test.id()] = "unexpected success"


def main():
    outcomes = Outcomes()
    out = os.dup(1)  # tests write where they like
    os.dup2(2, 1)
    unittest.defaultTestLoader.loadTestsFromName(f"test.{sys.argv[1]}").run(outcomes)
    with os.fdopen(out, "w") as file:
        for name in sorted(outcomes.ended):
            print(name, outcomes.ended[name], file=file)
        print(len(outcomes.ended), "tests", file=file)


if __name__ == "__main__":  # multiprocessing imports this file again
    main()
