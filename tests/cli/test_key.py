# SPDX-License-Identifier: Apache-2.0
"""sealq key: every subcommand, where the keyring is, and that nothing secret gets out."""
import json
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import tempfile
import unittest

import tap
from sealq import IO, OK, SEALQ, assert_refused, run

NO_INPUT, EXISTS, KEYRING = 66, 73, 78
ID = r"[0-9a-f]{16}"


class Key(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        self.keyring = self.home / ".config" / "sealq" / "keyring"
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"],
                            "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
        self.environment |= {name: os.environ[name] for name in os.environ if "SAN_OPTIONS" in name}

    def key(self, *words, expected=OK, environment=(), **options):
        process = run("key", *words, env=self.environment | dict(environment), **options)
        if expected is not None:
            self.assertEqual(process.returncode, expected, process.stderr)
        return process

    def listed(self, **options):
        return json.loads(self.key("list", "--json", **options).stdout)["keys"]

    def test_new_add_promote_retire_remove(self):
        self.assertRegex(self.key("new", "--comment", "first").stdout.decode(),
                         rf"^key {ID} made, as primary\n$")
        first = self.listed()[0]
        self.assertEqual((first["state"], first["comment"], first["age_days"]),
                         ("primary", "first", 0))
        self.key("add")
        second = self.listed()[1]["id"]
        assert_refused(self, self.key("retire", first["id"], expected=64), "is the primary")
        self.key("promote", second[:8])
        self.key("retire", first["id"])
        self.assertEqual([key["state"] for key in self.listed()], ["retired", "primary"])
        assert_refused(self, self.key("promote", first["id"], expected=64), "is retired")
        self.key("remove", first["id"])
        self.assertEqual([key["id"] for key in self.listed()], [second])
        text = self.key("list").stdout.decode()
        self.assertRegex(text, rf"(?m)^{second}  primary      0 d  \(all\)")

    def test_rotate_and_check_tell_the_primary(self):
        self.key("new")
        made = re.search(ID, self.key("rotate").stdout.decode()).group()
        check = json.loads(self.key("check", "--json").stdout)
        self.assertEqual((check["keys"], check["primary"]), (2, made))
        self.assertIn(b"the keyring is sound: 2 keys", self.key("check").stdout)

    def test_two_hosts_share_keys_by_export_and_import(self):
        self.key("new")
        exported = self.key("export").stdout
        other = {"HOME": str(self.home / "hostb")}
        self.assertIn(b"1 key imported, 0 known", self.key("import", input=exported, stdin=None,
                                                           environment=other).stdout)
        self.assertIn(b"0 keys imported, 1 known", self.key("import", input=exported, stdin=None,
                                                            environment=other).stdout)
        self.assertEqual(self.listed(environment=other), self.listed())

    def test_the_keyring_is_found_where_it_is_named(self):
        self.key("new")
        found = self.listed()
        elsewhere = self.home / "sealq.keyring"
        elsewhere.write_bytes(self.keyring.read_bytes())
        elsewhere.chmod(0o600)
        for environment in ({"SEALQ_KEYRING": str(elsewhere)},
                            {"CREDENTIALS_DIRECTORY": str(self.home)}):
            self.assertEqual(self.listed(environment={"HOME": "/nowhere"} | environment), found)
        (self.home / "sealq").mkdir()
        elsewhere.rename(self.home / "sealq" / "keyring")
        self.assertEqual(self.listed(environment={"HOME": "/nowhere",
                                                  "XDG_CONFIG_HOME": str(self.home)}), found)
        descriptor = os.open(self.keyring, os.O_RDONLY)
        process = self.key("list", "--json", "--keyring", f"fd:{descriptor}",
                           pass_fds=[descriptor])
        os.close(descriptor)
        self.assertEqual(json.loads(process.stdout)["keys"], found)
        assert_refused(self, self.key("rotate", "--keyring", "fd:3", expected=64), "name a file")
        assert_refused(self, self.key("list", "--keyring", "fd:x", expected=64), "fd:3")

    def test_failures_have_their_codes_and_one_line_of_advice(self):
        for words, code, said in ((["list"], NO_INPUT, b"sealq key new"),
                                  (["rotate"], NO_INPUT, b"sealq key new")):
            self.assertIn(said, self.key(*words, expected=code).stderr)
        self.key("new")
        self.assertIn(b"already", self.key("new", expected=EXISTS).stderr)
        self.keyring.chmod(0o644)
        self.assertIn(b"chmod 600", self.key("list", expected=KEYRING).stderr)
        self.keyring.chmod(0o600)
        with open("/dev/full", "wb") as full:
            self.key("export", expected=IO, stdout=full)
        self.keyring.write_bytes(b"")
        self.assertEqual(self.key("check", expected=KEYRING).stderr.count(b"\n"), 1)

    def test_wrong_words_are_refused(self):
        for words in ([], ["nothing"], ["promote"], ["list", "x"], ["retire", "a", "b"],
                      ["list", "--comment", "x"], ["new", "--channel", "a"]):
            assert_refused(self, self.key(*words, expected=64))

    def test_a_terminal_is_refused_secrets_without_yes(self):
        self.key("new")
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, terminal)
        self.assertIn(b"--yes", self.key("export", expected=64, stdout=terminal).stderr)
        self.key("export", "--yes", stdout=terminal)
        self.assertIn(b"pipe it in", self.key("import", expected=64, stdin=terminal).stderr)

    def test_nothing_secret_is_printed_but_by_export(self):
        self.key("new")
        said = [self.key(*words) for words in (["add"], ["rotate"], ["list"], ["list", "--json"],
                                               ["check"], ["check", "--json"])]
        output = b"".join(process.stdout + process.stderr for process in said).decode()
        for secret in re.findall(r"\b[0-9a-f]{64}\b", self.keyring.read_text()):
            for at in range(0, 64 - 16):
                self.assertNotIn(secret[at:at + 16], output)

    def test_a_killed_sealq_leaves_no_core_and_shows_no_secret_in_proc(self):
        self.key("new")
        exported = self.key("export").stdout
        secret = re.search(rb"\b[0-9a-f]{64}\b", exported).group()
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
        if pattern.startswith(("|", "/")):
            self.skipTest("core files do not go to the folder of the process here: " + pattern)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        process = subprocess.Popen([SEALQ, "key", "import"], stdin=subprocess.PIPE, cwd=self.home,
                                   env=self.environment, stderr=subprocess.DEVNULL,
                                   preexec_fn=lambda: resource.setrlimit(
                                       resource.RLIMIT_CORE, unlimited))
        process.stdin.write(exported[:-1])  # it has the key now, and waits for the rest
        process.stdin.flush()
        state = pathlib.Path("/proc", str(process.pid), "stat")
        while state.read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()
        proc = pathlib.Path("/proc", str(process.pid))
        self.assertNotIn(secret, (proc / "cmdline").read_bytes())
        if os.geteuid() == 0:
            self.assertNotIn(secret, (proc / "environ").read_bytes())
        else:  # not dumpable: its memory is hidden from its own user, too
            for name in ("environ", "mem"):
                self.assertRaises(PermissionError, (proc / name).open, "rb")
        process.send_signal(signal.SIGABRT)
        self.assertEqual(process.wait(), -signal.SIGABRT)
        process.stdin.close()
        self.assertEqual(list(self.home.glob("core*")), [])

    def as_one_who_cannot_lock(self):
        """Options of run(). Root may lock whatever the limit, so it becomes nobody."""
        nobody = 65534
        if os.geteuid() == 0:
            for name in (self.home, *self.home.rglob("*")):
                os.chown(name, nobody, nobody)
            options = {"user": nobody, "group": nobody, "extra_groups": []}
            try:
                run("--version", env=self.environment, **options)
            except PermissionError as error:
                self.skipTest(f"root cannot become nobody to run {SEALQ}: {error}")
        else:
            options = {}
        return options | {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))}

    def test_keys_that_cannot_be_locked_are_told_or_refused(self):
        self.key("new")
        self.assertTrue(json.loads(self.key("check", "--json").stdout)["locked_in_memory"])
        self.key("check", "--require-mlock")
        limited = self.as_one_who_cannot_lock()
        before = self.keyring.read_bytes()
        self.assertIn(b"NOT locked", self.key("check", **limited).stdout)
        self.assertFalse(json.loads(self.key("check", "--json", **limited).stdout)
                         ["locked_in_memory"])
        for words in (["check"], ["list"], ["export"], ["add"], ["rotate"]):
            process = self.key(*words, "--require-mlock", expected=KEYRING, **limited)
            self.assertEqual(process.stdout, b"")
            self.assertRegex(process.stderr.decode(), r"^sealq: .*ulimit -l.*\n$")
        self.assertEqual(self.keyring.read_bytes(), before)

    def test_a_full_keyring_is_exported_and_imported(self):
        """The secure heap has room for two of them and their text."""
        self.key("new")
        while self.key("add", expected=None).returncode == OK:
            pass
        exported = self.key("export").stdout
        self.assertEqual(exported.count(b"\n"), 256 + 2)
        again = self.key("import", input=exported, stdin=None)
        self.assertEqual(again.stdout, b"0 keys imported, 256 known before\n")


if __name__ == "__main__":
    tap.main()
