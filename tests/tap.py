# SPDX-License-Identifier: Apache-2.0
"""Runs a module's unittest cases and prints TAP, one line a test, for Meson to count.

    if __name__ == "__main__":
        tap.main()
"""
import sys
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def say(self, verdict, test, directive=""):
        self.count += 1
        print(f"{verdict} {self.count} - {test.id().split('.')[-1]}{directive}", flush=True)

    def explain(self, error):
        for line in self._exc_info_to_string(error, None).splitlines():
            print("# " + line)

    def addSuccess(self, test):
        self.say("ok", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say("not ok", test)
        self.explain(error)

    addError = addFailure

    def addSkip(self, test, reason):
        self.say("ok", test, " # SKIP " + reason)

    def _exc_info_to_string(self, error, test):
        import traceback
        return "".join(traceback.format_exception(*error))


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}", flush=True)
    result = TapResult()
    suite.run(result)
    sys.exit(0 if not result.failures else 1)
