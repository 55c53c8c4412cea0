# SPDX-License-Identifier: Apache-2.0
"""Running the command line as a user does, for the tests beside this file."""
import os
import subprocess

SEALQ = os.environ["SEALQ"]
SQUARES = os.environ["SQUARES"]

OK, FAILED, USAGE, IO = 0, 1, 64, 74


def run(*arguments, program=SEALQ, prefix=(), **options):
    """The finished process, with stdout and stderr as bytes unless they are given."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               "stdin": subprocess.DEVNULL, "timeout": 100} | options
    return subprocess.run([*prefix, program, *arguments], check=False, **options)


def assert_refused(case, process, *words):
    """Exit 64, nothing on stdout, and one line on stderr of the form 'sealq: what: what to do'."""
    line = process.stderr.decode()
    case.assertEqual(process.returncode, USAGE, line)
    case.assertEqual(process.stdout, b"")
    case.assertEqual(line.count("\n"), 1, line)
    case.assertRegex(line, r"^sealq: .+: .+\n$")
    for word in words:
        case.assertIn(word, line)
