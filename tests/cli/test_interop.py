# SPDX-License-Identifier: Apache-2.0
"""The openers in examples/interop, on what the C library just sealed."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import tap
from sealq import SEALQ

SEAL = os.environ["SEAL"]
INTEROP = pathlib.Path(__file__).resolve().parents[2] / "examples" / "interop"
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's python3-cryptography
BODIES = [b"", b"x", b"hello, queue", bytes(range(256)) * 5, b"\0" * (1 << 20)]


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, check=False,
                          timeout=100, **options)


class Interop:
    """The cases, for each opener."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.keyring = pathlib.Path(folder.name, "keyring")
        self.part = pathlib.Path(folder.name, "part")
        self.sealq("key", "new", "--keyring", self.keyring, "--comment", "made for a test")
        self.sealq("key", "rotate", "--keyring", self.keyring)
        exported = self.sealq("key", "export", "--keyring", self.keyring, "--channel", "emails")
        self.sealq("key", "import", "--keyring", self.part, input=exported)

    def sealq(self, *words, **options):
        process = run(SEALQ, *words, **options)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def seal(self, body, channel="emails", headers=(), padded=False):
        environment = os.environ | ({"PADDED": "1"} if padded else {})
        process = run(SEAL, self.keyring, channel, *headers, input=body, env=environment)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def open(self, envelope, keyring=None, channel="emails"):
        return run(*self.opener, keyring or self.keyring, channel, input=envelope)

    def assert_refused(self, envelope, word, **how):
        process = self.open(envelope, **how)
        self.assertNotEqual(process.returncode, 0)
        self.assertEqual(process.stdout, b"")
        self.assertRegex(process.stderr.decode(), rf"^open\.\w+: .*{word}.*\n$")

    def test_opens_what_the_c_library_sealed(self):
        for body in BODIES:
            for how in ({}, {"padded": True}, {"headers": ["content-type=text/plain", "a=1"]}):
                process = self.open(self.seal(body, **how))
                self.assertEqual((process.returncode, process.stdout), (0, body), process.stderr)

    def test_opens_with_a_channel_key_alone(self):
        process = self.open(self.seal(b"hello"), keyring=self.part)
        self.assertEqual((process.returncode, process.stdout), (0, b"hello"))
        self.assert_refused(self.seal(b"hello", channel="sms"), "no such key", keyring=self.part,
                            channel="sms")

    def test_refuses_what_was_altered(self):
        envelope = self.seal(b"hello, queue")
        for at in (6, 20, 45, 60, 90, 121, len(envelope) - 1):
            altered = bytearray(envelope)
            altered[at] ^= 1
            self.assert_refused(bytes(altered), "forged")
        self.assert_refused(envelope[:-1], "malformed")
        self.assert_refused(b"", "malformed")
        self.assert_refused(envelope, "another channel", channel="sms")

    def test_refuses_a_key_that_it_lacks_or_that_was_retired(self):
        envelope = self.seal(b"hello")
        key_id = envelope[8:16].hex()
        self.sealq("key", "rotate", "--keyring", self.keyring)
        self.sealq("key", "retire", key_id, "--keyring", self.keyring)
        self.assert_refused(envelope, "retired")
        self.sealq("key", "remove", key_id, "--keyring", self.keyring)
        self.assert_refused(envelope, "no such key")


def has_cryptography():
    return run(PYTHON, "-c", "import cryptography").returncode == 0


@unittest.skipUnless(os.path.exists(PYTHON) and has_cryptography(),
                     "python3-cryptography is not installed")
class Python(Interop, unittest.TestCase):
    opener = (PYTHON, INTEROP / "open.py")


@unittest.skipUnless(shutil.which("node"), "nodejs is not installed")
class JavaScript(Interop, unittest.TestCase):
    opener = ("node", INTEROP / "open.mjs")


class Length(unittest.TestCase):
    def test_each_opener_has_at_most_40_lines_of_code(self):
        for path in INTEROP.glob("open.*"):
            lines = [line for line in path.read_text().splitlines()
                     if line.strip() and not line.lstrip().startswith(("#", "//"))]
            self.assertLessEqual(len(lines), 40, path.name)


if __name__ == "__main__":
    tap.main()
