# SPDX-License-Identifier: Apache-2.0
"""What README says: its program compiles without a warning and prints what stands below it."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
LIBRARIES = os.environ["SEALQ_LIBRARIES"]


class Readme(unittest.TestCase):
    def test_the_program_prints_what_stands_below_it(self):
        program = re.search(r"```c\n(.*?)```", README, re.S).group(1)
        expected = re.search(r"\$ \./hello\n    (.*)\n", README).group(1)
        with tempfile.TemporaryDirectory() as folder:
            source, binary = f"{folder}/hello.c", f"{folder}/hello"
            pathlib.Path(source).write_text(program)
            subprocess.run([*os.environ["CC"].split(), "-Wall", "-Wextra", "-Werror", source,
                            "-o", binary, f"-I{ROOT}/include", f"-L{LIBRARIES}",
                            f"-Wl,-rpath,{LIBRARIES}", "-lsealq-core"], check=True)
            printed = subprocess.run([binary], check=True, capture_output=True, timeout=60).stdout
        self.assertEqual(printed.decode(), expected + "\n")

    def test_the_demos_line_is_the_demos_line_cut(self):
        line = subprocess.run([os.environ["SEALQ"], "demo"], check=True, capture_output=True,
                              timeout=60).stdout.decode()
        start, end = re.search(r"\$ make demo\n    (.*), … , (.*)\n", README).groups()
        self.assertTrue(line.startswith(start + ","))
        self.assertTrue(line.endswith(", " + end + "\n"))

    def test_every_link_leads_somewhere(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    tap.main()
