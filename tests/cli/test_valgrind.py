# SPDX-License-Identifier: Apache-2.0
"""The demo and the example under valgrind: no wrong access, no leak."""
import shutil
import unittest

import tap
from sealq import OK, SEALQ, SQUARES, run

VALGRIND = ("valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full")


def is_sanitized():
    with open(SEALQ, "rb") as program:
        content = program.read()
    return b"__asan_init" in content or b"__tsan_init" in content


class Valgrind(unittest.TestCase):
    def setUp(self):
        if not shutil.which("valgrind"):
            self.skipTest("valgrind is not installed")
        if is_sanitized():
            self.skipTest("a sanitizer's build cannot run under valgrind")

    def assert_clean(self, *arguments, kinds="all", **options):
        process = run(*arguments, prefix=(*VALGRIND, f"--show-leak-kinds={kinds}",
                                           f"--errors-for-leak-kinds={kinds}"), **options)
        self.assertEqual((process.returncode, process.stderr.decode()), (OK, ""))

    def test_demo_is_clean(self):
        self.assert_clean("demo", "--producers", "3", "--consumers", "8", "--count", "2000",
                          "--capacity", "7")

    def test_help_is_clean(self):
        self.assert_clean("help")

    def test_squares_is_clean(self):
        # Its daemons live until the end, with the queue and their stacks: reachable, not lost.
        self.assert_clean(program=SQUARES, kinds="definite,indirect")


if __name__ == "__main__":
    tap.main()
