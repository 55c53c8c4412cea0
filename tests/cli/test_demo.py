# SPDX-License-Identifier: Apache-2.0
"""sealq demo, and the exercise in examples/squares.c."""
import json
import unittest

import tap
from sealq import IO, OK, SQUARES, assert_refused, run

# Written here by other means than the program's: (n, n²) as Python itself prints such a list.
SCENARIO = (str([(n, n * n) for n in range(100)]) + "\n").encode()


def pairs(count):
    return [[n, n * n] for n in range(count)]


class Demo(unittest.TestCase):
    def test_prints_the_scenario_byte_for_byte(self):
        process = run("demo")
        self.assertEqual(process.stdout, SCENARIO)
        self.assertEqual((process.returncode, process.stderr), (OK, b""))

    def test_prints_the_same_whatever_the_interleaving(self):
        for _ in range(50):
            for crowd in (["--producers", "7", "--consumers", "9"], ["--capacity", "1"]):
                self.assertEqual(run("demo", *crowd).stdout, SCENARIO, crowd)

    def test_squares_prints_the_scenario_byte_for_byte(self):
        for _ in range(50):
            process = run(program=SQUARES)
            self.assertEqual((process.returncode, process.stdout), (OK, SCENARIO))

    def test_count_zero_prints_an_empty_list(self):
        self.assertEqual(run("demo", "--count", "0").stdout, b"[]\n")
        self.assertEqual(json.loads(run("demo", "--count", "0", "--json").stdout)["results"], [])

    def test_count_is_the_total_over_all_producers(self):
        self.assertEqual(run("demo", "--count", "3", "--producers", "5").stdout,
                         b"[(0, 0), (1, 1), (2, 4)]\n")
        self.assertEqual(run("demo", "--count", "1").stdout, b"[(0, 0)]\n")

    def test_json_tells_options_and_results(self):
        process = run("demo", "--json", "--producers", "2", "--consumers", "3", "--count", "10",
                      "--capacity", "4")
        self.assertEqual(json.loads(process.stdout),
                         {"producers": 2, "consumers": 3, "count": 10, "capacity": 4,
                          "results": pairs(10)})

    def test_json_may_stand_before_the_command(self):
        self.assertEqual(run("--json", "demo").stdout, run("demo", "--json").stdout)

    def test_a_million_items_through_eight_producers_and_64_consumers(self):
        process = run("demo", "--producers", "8", "--consumers", "64", "--count", "1000000",
                      "--json")
        self.assertEqual(json.loads(process.stdout)["results"], pairs(1000000))

    def test_wrong_numbers_are_refused_with_what_to_type(self):
        for option, most in (("--producers", "4096"), ("--consumers", "4096"),
                             ("--count", "100000000"), ("--capacity", "4294967296")):
            for wrong in ("x", "", "-1", " 1", "1 ", "1.5", "0x10", "1e3", "4294967297",
                          "99999999999999999999999"):
                assert_refused(self, run("demo", f"{option}={wrong}"), option, most)
        for option in ("--producers", "--consumers"):
            assert_refused(self, run("demo", option, "0"), f"{option} 0", "from 1")

    def test_unknown_options_and_arguments_are_refused(self):
        assert_refused(self, run("demo", "--consumer-count", "3"), "--consumer-count", "--help")
        assert_refused(self, run("demo", "--cons", "3"), "--cons", "not a whole name")
        assert_refused(self, run("demo", "--cons=3"), "--cons=3")
        assert_refused(self, run("demo", "--js"), "--js", "not a whole name")
        assert_refused(self, run("demo", "--count"), "--count needs a value")
        assert_refused(self, run("demo", "--json=3"), "--json=3", "no value")
        assert_refused(self, run("demo", "-x"), "-x")
        assert_refused(self, run("demo", "100"), "no argument, not 100")
        assert_refused(self, run("demo", "--", "--count"), "no argument, not --count")

    def test_terminal_escapes_in_arguments_are_shown_harmless(self):
        process = run("demo", "--count", "\x1b[31m\x07\x7f\u009b0m\u00e9")
        assert_refused(self, process, r"\x1b[31m\x07\x7f\xc2\x9b0m" + "\u00e9")
        self.assertNotIn(b"\x1b", process.stderr)
        process = run("demo", b"\xff\xfe\x1b]0;title\x07")
        assert_refused(self, process, r"\xff\xfe\x1b]0;title\x07")

    def test_a_full_disk_is_reported(self):
        with open("/dev/full", "wb") as full:
            process = run("demo", stdout=full)
        self.assertEqual(process.returncode, IO)
        self.assertRegex(process.stderr.decode(), r"^sealq: cannot write the output: No space.*\n$")

    def test_too_many_threads_are_reported_not_crashed_on(self):
        # Address space for a few stacks of 8 MiB only: the thread after them cannot be had.
        limited = ("sh", "-c", 'ulimit -v 200000; exec "$0" "$@"')
        process = run("demo", "--consumers", "500", prefix=limited)
        if b"Sanitizer" in process.stderr:
            self.skipTest("a sanitizer needs more address space than this test leaves")
        self.assertEqual((process.returncode, process.stdout), (71, b""))
        self.assertRegex(process.stderr.decode(), "cannot start the consumers: .*ask for fewer")
        process = run("demo", "--producers", "500", prefix=limited)
        self.assertEqual((process.returncode, process.stdout), (71, b""))
        self.assertRegex(process.stderr.decode(), "cannot start the producers: .*ask for fewer")


if __name__ == "__main__":
    tap.main()
