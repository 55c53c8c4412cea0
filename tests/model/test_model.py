# SPDX-License-Identifier: Apache-2.0
"""Spin goes through every interleaving of the gate's model, and fails on each of its mutants."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap

MODEL = pathlib.Path(__file__).with_name("gate.pml")
MUTANTS = sorted(set(re.findall(r"MUTANT_[A-Z_]+[A-Z]", MODEL.read_text())))


def errors_of(*definitions):
    """How many errors Spin finds in the model: 0, or 1 as it stops at the first."""
    with tempfile.TemporaryDirectory() as folder:
        def run(*command):
            return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True,
                                  timeout=300).stdout
        run("spin", *(f"-D{name}" for name in definitions), "-a", str(MODEL))
        run("gcc", "-O2", "-DSAFETY", "-DMEMLIM=4096", "-o", "pan", "pan.c")
        report = run("./pan", "-E", "-m100000")  # -E: to be asleep at the end is no error in itself
    if "max search depth too small" in report or "out of memory" in report:
        raise AssertionError("the search was cut short:\n" + report)
    return int(re.search(r"errors: (\d+)", report).group(1))


@unittest.skipUnless(shutil.which("spin"), "spin is not installed")
class Model(unittest.TestCase):
    def test_the_gate_loses_no_wake_in_any_interleaving(self):
        self.assertEqual(errors_of("ITEMS_EACH=1"), 0)

    def test_there_are_mutants(self):
        self.assertGreaterEqual(len(MUTANTS), 6)


def add_mutant(mutant):
    def test(self):
        self.assertEqual(errors_of("ITEMS_EACH=1", mutant), 1)
    setattr(Model, f"test_{mutant.lower()}_fails", test)


for name in MUTANTS:
    add_mutant(name)

if __name__ == "__main__":
    tap.main()
