# SPDX-License-Identifier: Apache-2.0
"""Running the command line as a user does, for the tests beside this file."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SEALQ = os.environ["SEALQ"]
SQUARES = os.environ["SQUARES"]

OK, FAILED, USAGE, DATA, NO_INPUT, CLOSED, IO, TIMED_OUT = 0, 1, 64, 65, 66, 69, 74, 124


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


class Home(unittest.TestCase):
    """Cases with an empty home directory each: no keyring, no store."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        self.keyring = self.home / ".config" / "sealq" / "keyring"
        self.store = self.home / ".local" / "share" / "sealq" / "store"
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"],
                            "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
        self.environment |= {name: os.environ[name] for name in os.environ if "SAN_OPTIONS" in name}

    def sealq(self, *words, expected=OK, environment=(), **options):
        """The finished process; input is bytes for its standard input."""
        if "input" in options:
            options["stdin"] = None
        process = run(*words, env=self.environment | dict(environment), cwd=self.home, **options)
        if expected is not None:
            self.assertEqual(process.returncode, expected, process.stderr)
        return process

    def start(self, *words, environment=(), **options):
        """A process that runs on, with pipes; killed at the end should it still be there."""
        process = subprocess.Popen([SEALQ, *words], env=self.environment | dict(environment),
                                   cwd=self.home, **{"stdin": subprocess.PIPE,
                                                     "stdout": subprocess.PIPE,
                                                     "stderr": subprocess.PIPE} | options)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close() # not read to its end: a job may be there still, and have it

    def finish(self, process, expected=OK):
        """What is left on its stdout and stderr."""
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, expected, err)
        return out, err.decode()

    def put_lines(self, channel, *lines):
        self.sealq("put", channel, "--lines", input="".join(f"{line}\n" for line in lines).encode())

    def stat(self, channel):
        return json.loads(self.sealq("stat", channel, "--json").stdout)

    def listed(self, channel, *words):
        return json.loads(self.sealq("list", channel, "--json", *words).stdout)["messages"]

    def gate(self, number=1):
        """A FIFO for the job of message `number` to wait at: `read x < gateN`, until open_gate()."""
        path = self.home / f"gate{number}"
        os.mkfifo(path)
        self.addCleanup(lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK)))

    def open_gate(self, number=1):
        with open(self.home / f"gate{number}", "w", encoding="utf-8") as gate:
            gate.write("open\n")

    def assert_one_line(self, process, *words):
        line = process.stderr.decode()
        self.assertRegex(line, r"\Asealq: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, line)
