# SPDX-License-Identifier: Apache-2.0
"""The command line around the commands: help, version, and what is no command."""
import unittest

import tap
from sealq import IO, OK, assert_refused, run


class Help(unittest.TestCase):
    def test_help_lists_the_commands(self):
        process = run("help")
        self.assertEqual((process.returncode, process.stderr), (OK, b""))
        for name in (b"demo", b"help"):
            self.assertIn(b"\n  " + name, process.stdout)
        self.assertEqual(run("--help").returncode, OK)

    def test_help_of_a_command_is_its_help_option(self):
        for name in ("demo", "help"):
            process = run("help", name)
            self.assertEqual(process.stdout, run(name, "--help").stdout)
            self.assertIn(b"usage: sealq " + name.encode(), process.stdout)

    def test_help_tells_options_with_their_defaults(self):
        text = run("demo", "--help").stdout.decode()
        self.assertRegex(text, r"--consumers N .*\(5\)")
        self.assertRegex(text, r"--count N .*\(100\)")
        self.assertIn("--json", text)

    def test_help_of_no_command_is_refused(self):
        assert_refused(self, run("help", "nothing"), "nothing", "help --all")
        assert_refused(self, run("help", "demo", "help"), "one command")

    def test_no_command_is_refused_with_what_to_type(self):
        assert_refused(self, run(), "sealq demo")

    def test_an_unknown_command_is_refused(self):
        assert_refused(self, run("demmo"), "demmo", "sealq help")
        assert_refused(self, run(""), "no such command")

    def test_an_unknown_global_option_is_refused(self):
        assert_refused(self, run("--nothing", "demo"), "--nothing", "sealq help")

    def test_version_is_one_line(self):
        self.assertRegex(run("--version").stdout.decode(), r"^sealq \d+\.\d+\.\d+\n$")

    def test_a_full_disk_is_reported(self):
        with open("/dev/full", "wb") as full:
            self.assertEqual(run("help", stdout=full).returncode, IO)


if __name__ == "__main__":
    tap.main()
