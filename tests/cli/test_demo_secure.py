# SPDX-License-Identifier: Apache-2.0
"""sealq demo --secure: the scenario between processes, on a sealed store."""
import os
import re
import signal
import unittest

import tap
from sealq import FAILED, OK, Home, assert_refused, run

SCENARIO = str([(n, n * n) for n in range(100)]) + "\n"
WITHOUT_42 = str([(n, n * n) for n in range(100) if n != 42]) + "\n"


class DemoSecure(Home):
    def demo(self, *options):
        """The finished process, with its temporary store below the test's folder."""
        return self.sealq("demo", "--secure", *options, expected=None,
                          environment={"TMPDIR": str(self.home)})

    def left_behind(self):
        return [entry for entry in os.listdir(self.home) if entry.startswith("sealq-demo")]

    def test_prints_the_scenario_byte_for_byte_and_leaves_nothing(self):
        for crowd in ([], ["--producers", "3", "--consumers", "7"], ["--capacity", "1"]):
            process = self.demo(*crowd)
            self.assertEqual((process.returncode, process.stderr), (OK, b""), crowd)
            self.assertEqual(process.stdout, SCENARIO.encode(), crowd)
            self.assertEqual(self.left_behind(), [])

    def test_a_flipped_bit_makes_one_dead_letter(self):
        process = self.demo("--tamper")
        self.assertEqual(process.returncode, FAILED)
        self.assertEqual(process.stdout, WITHOUT_42.encode())
        self.assertRegex(process.stderr, rb"flipped one bit of the message 42 in data\.mdb\n"
                         rb"sealq: message 43 is a dead letter: refused: .*\n\Z")
        self.assertEqual(self.left_behind(), [])

    def test_the_disk_shows_nothing_of_what_a_consumer_gets(self):
        process = self.demo("--show", "--count", "1000")
        self.assertEqual(process.returncode, OK)
        lines = process.stderr.decode().splitlines()
        self.assertRegex(lines[0], r"^what lies on the disk \(\d+ bytes, from \d+ on in data.mdb\):")
        body = re.fullmatch(r"what a consumer gets: (\d+)", lines[-1])[1]
        stored = bytes(int(digits, 16) for line in lines[1:-1]
                       for digits in line[4:52].split())
        self.assertEqual(stored[:5], b"SQE\x01\x01")
        self.assertEqual(len(stored), 144 + len(body))

    def test_another_store_keeps_two_empty_channels(self):
        self.put_lines("c", "the first use makes store and keyring")
        store = str(self.store)
        process = self.demo("--store", store)
        self.assertEqual((process.returncode, process.stdout), (OK, SCENARIO.encode()))
        process = self.demo("--store", store, "--tamper")
        self.assertEqual((process.returncode, process.stdout), (FAILED, WITHOUT_42.encode()))
        names = [line.split()[0] for line in self.sealq("stat").stdout.decode().splitlines()[1:]]
        self.assertEqual(len(names), 1 + 2 * 2, names)

    def test_what_makes_no_sense_is_refused(self):
        for options in (["--store", "mem:"], ["--tamper", "--count", "0"],
                        ["--show", "--capacity", "5"], ["--consumers", "101"]):
            assert_refused(self, self.demo(*options))
        assert_refused(self, run("demo", "--tamper"), "--secure")
        assert_refused(self, run("demo", "--show"), "--secure")

    def test_a_signal_ends_all_processes_and_removes_the_store(self):
        demo = self.start("demo", "--secure", "--count", "100000000",
                          environment={"TMPDIR": str(self.home)})
        while not self.left_behind():
            self.assertIsNone(demo.poll())
        demo.send_signal(signal.SIGTERM)
        out, _ = demo.communicate(timeout=60)
        self.assertNotEqual(demo.returncode, OK)
        self.assertEqual(out, b"")
        self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    tap.main()
