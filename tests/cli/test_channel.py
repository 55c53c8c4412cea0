# SPDX-License-Identifier: Apache-2.0
"""sealq join, stat, list and close; keyrings that do not fit; several processes."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

import tap
from sealq import CLOSED, FAILED, NO_INPUT, TIMED_OUT, USAGE, Home, assert_refused

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Buries a message for a reason that would colour a terminal.
BURY = r"""
#include "sealq/sealq.h"
int main(int argc, char **argv)
{
    sq_keyring *keyring;
    sq_store *store;
    sq_channel *channel;
    sq_message *message;
    if (argc != 3 || sq_keyring_open(argv[1], &keyring) < 0 ||
        sq_store_open(argv[2], keyring, 0, &store) < 0 ||
        sq_channel_open(store, "c", 0, &channel) < 0 ||
        sq_channel_get(channel, SQ_FOREVER, &message) < 0 ||
        sq_message_bury(message, "red \x1b[31m\x07\n\xc2\x9b!") < 0)
        return 1;
    sq_channel_free(channel);
    sq_store_close(store);
    sq_keyring_free(keyring);
    return 0;
}
"""


class Channel(Home):
    def setUp(self):
        super().setUp()
        self.sealq("key", "new")

    def test_join_waits_for_all_and_tells_of_deaths(self):
        self.put_lines("c", "a", "b")
        self.sealq("join", "c", "--timeout", "0", expected=TIMED_OUT)
        process = self.sealq("join", "c", "--timeout", "1", expected=TIMED_OUT)
        self.assert_one_line(process, "not finished in time")
        self.gate(1)
        self.gate(2)
        work = self.start("work", "c", "-j1", "--", "sh", "-c",
                          "echo; read x < gate$SEALQ_MESSAGE_ID; exit 65")
        work.stdout.readline()
        join = self.start("join", "c", "--json")
        self.wait_until_asleep(join)
        self.open_gate(1)
        self.open_gate(2)
        out, err = self.finish(join, FAILED)
        self.assertEqual(json.loads(out)["channel"], "c")
        self.assertIn("died meanwhile: sealq list c --state dead", err)
        work.terminate()
        self.finish(work, FAILED)
        self.assertEqual(self.sealq("join", "c").stderr, b"")

    def wait_until_asleep(self, process):
        """In a futex or poll: it joins. Only root may see that of a process that hides its keys."""
        deadline = time.monotonic() + 20
        where = pathlib.Path(f"/proc/{process.pid}/wchan")
        while not re.search("futex|poll", where.read_text()):
            if time.monotonic() > deadline:
                self.skipTest("/proc does not tell what a process waits for")

    def test_what_is_not_there_is_told(self):
        for words in (["join", "c"], ["stat", "c"], ["stat"], ["list", "c"], ["close", "c"]):
            self.assert_one_line(self.sealq(*words, expected=NO_INPUT))
        self.assertFalse(self.store.exists())
        self.put_lines("there", "x")
        for words in (["join", "c"], ["stat", "c"], ["list", "c"], ["close", "c"]):
            self.assert_one_line(self.sealq(*words, expected=NO_INPUT), "c")
        self.assertNotIn(b"\nc ", self.sealq("stat").stdout)

    def test_stat_counts(self):
        self.put_lines("a", "1", "2", "3")
        self.sealq("put", "b", "--delay", "1000000", input=b"x")
        self.sealq("work", "a", "--join", "--", "sh", "-c", "read x; [ $x != 2 ] || exit 65",
                   expected=FAILED)
        self.sealq("close", "a")
        stats = self.stat("a")
        self.assertEqual((stats["dones"], stats["dead"], stats["deaths"], stats["unfinished"],
                          stats["closed"], stats["policy"]["attempts"]), (2, 1, 1, 0, True, 10))
        channels = json.loads(self.sealq("stat", "--json").stdout)["channels"]
        self.assertEqual([(each["channel"], each["delayed"], each["closed"])
                          for each in channels], [("a", 0, True), ("b", 1, False)])
        table = self.sealq("stat").stdout.decode()
        self.assertRegex(table, r"(?m)^a +0 +0 +0 +1 +2  closed$")
        self.assertRegex(table, r"(?m)^b +1 +0 +0 +0 +0  open$")
        self.assertRegex(self.sealq("stat", "a").stdout.decode(), r"(?m)^dead +1 ")

    def test_list_shows_states_and_reasons(self):
        self.put_lines("c", "1", "22", "333")
        self.sealq("put", "c", "--delay", "1000000", "--priority", "7", input=b"x")
        self.sealq("work", "c", "-j1", "--halt", "soon", "--", "sh", "-c",
                   "read x; [ $x = 1 ] || exit 65", expected=FAILED)
        found = {message["id"]: message for message in self.listed("c")}
        self.assertEqual([found[n]["state"] for n in (2, 3, 4)], ["dead", "ready", "delayed"])
        self.assertEqual((found[2]["reason"], found[2]["death"], found[2]["attempts"],
                          found[2]["bytes"]), ("exit 65", "buried", 1, 2))
        self.assertEqual(found[4]["priority"], 7)
        self.assertEqual([message["id"] for message in self.listed("c", "--state", "dead")], [2])
        lines = self.sealq("list", "c", "--state", "dead").stdout.decode().splitlines()
        self.assertRegex(lines[1], r"^ +2  dead +1 +100 +2  buried: exit 65$")
        assert_refused(self, self.sealq("list", "c", "--state", "gone", expected=USAGE), "gone")

    def test_terminal_escapes_in_reasons_are_shown_harmless(self):
        self.put_lines("c", "x")
        source, binary = self.home / "bury.c", self.home / "bury"
        source.write_text(BURY)
        libraries = os.environ["SEALQ_LIBRARIES"]
        subprocess.run([*os.environ["CC"].split(), str(source), "-o", str(binary),
                        f"-I{ROOT}/include", f"-L{libraries}", f"-Wl,-rpath,{libraries}",
                        "-lsealq", "-lsealq-core"], check=True)
        subprocess.run([binary, self.keyring, self.store], check=True, env=self.environment)
        text = self.sealq("list", "c").stdout
        self.assertIn(rb"buried: red \x1b[31m\x07\x0a\xc2\x9b!", text)
        self.assertEqual(text.count(b"\n"), 2)
        raw = self.sealq("list", "c", "--json").stdout
        self.assertIsNone(re.search(rb"[^\x20-\x7e\n]", raw))
        self.assertEqual(json.loads(raw)["messages"][0]["reason"], "red \x1b[31m\x07\n\x9b!")

    def test_close_ends_puts_and_workers(self):
        work = self.start("work", "c", "--", "cat")
        self.put_lines("c", "x")
        self.assertEqual(work.stdout.read(1), b"x")
        process = self.sealq("close", "c", "--json")
        self.assertEqual(json.loads(process.stdout), {"channel": "c", "closed": True})
        self.finish(work)
        self.sealq("close", "c")
        self.sealq("put", "c", expected=CLOSED)
        self.sealq("work", "c", "--", "cat")

    def test_wrong_usage_is_refused(self):
        for words in (["join"], ["join", "a", "b"], ["join", "a", "--timeout", "x"],
                      ["stat", "a", "b"], ["list"], ["list", "a", "b"], ["close"],
                      ["close", "a", "b"]):
            assert_refused(self, self.sealq(*words, expected=USAGE))


class Keys(Home):
    """Keyrings that lack what the messages need: those stay."""

    def setUp(self):
        super().setUp()
        self.sealq("key", "new")
        self.put_lines("c", "first")
        self.old = self.home / "old"
        shutil.copy(self.keyring, self.old)

    def test_another_keyring_is_refused_and_the_messages_stay(self):
        self.sealq("key", "new", "--keyring", "other")
        for words in (["put", "c"], ["work", "c", "--join", "--", "cat"], ["join", "c"],
                      ["list", "c"], ["stat", "c"]):
            process = self.sealq(*words, "--keyring", "other", input=b"x", expected=None) \
                if "--" not in words else \
                self.sealq("work", "c", "--join", "--keyring", "other", "--", "cat", expected=None)
            self.assertNotEqual(process.returncode, 0, words)
            self.assertEqual(process.stdout, b"")
            self.assert_one_line(process)
        self.assertEqual(self.sealq("work", "c", "--join", "--", "cat").stdout, b"first")

    def test_a_key_that_is_missing_is_warned_of_once_and_the_messages_stay(self):
        self.sealq("key", "rotate")
        self.put_lines("c", "second", "third")
        work = self.start("work", "c", "-j1", "--keyring", str(self.old), "--", "sh", "-c",
                          "cat; echo")
        self.assertEqual(work.stdout.readline(), b"first\n")
        self.assertRegex(work.stderr.readline().decode(), r"^sealq: .*[0-9a-f]{16}")
        while self.stat("c")["delayed"] < 2:
            pass
        work.terminate()
        self.assertEqual(self.finish(work), (b"", ""))
        for message in self.listed("c"):
            self.assertEqual((message["state"], message["attempts"]), ("delayed", 0))
        self.assertEqual(self.stat("c")["deaths"], 0)

    def test_a_key_that_was_retired_is_told_and_the_messages_stay(self):
        first = json.loads(self.sealq("key", "list", "--json").stdout)["keys"][0]["id"]
        self.sealq("key", "rotate")
        self.sealq("key", "retire", first)
        work = self.start("work", "c", "-j1", "--", "cat")
        self.assertRegex(work.stderr.readline().decode(), f"^sealq: .*{first}.*retired")
        work.terminate()
        self.assertEqual(self.finish(work), (b"", ""))
        self.assertEqual([(message["state"], message["attempts"], message["error"])
                          for message in self.listed("c")], [("delayed", 0, "SQ_ERETIRED")])

    def test_a_damaged_keyring_is_told(self):
        self.keyring.write_text("nothing of the kind")
        self.assert_one_line(self.sealq("stat", expected=78))


class Processes(Home):
    def setUp(self):
        super().setUp()
        self.sealq("key", "new")

    def share(self, process_count, message_count):
        self.sealq("put", "c", input=b"", expected=0)
        self.sealq("work", "c", "--join", "--", "true")
        lines = [str(n) for n in range(message_count)]
        self.put_lines("c", *lines)
        workers = [self.start("work", "c", "--join", "-j2", "--", "sh", "-c", "cat; echo",
                              stdin=subprocess.DEVNULL) for _ in range(process_count)]
        found = [self.finish(worker) for worker in workers]
        self.assertEqual([err for _, err in found], [""] * process_count)
        self.assertEqual(sorted("".join(out.decode() for out, _ in found).split()), sorted(lines))

    def test_two_processes_share_a_channel(self):
        self.share(2, 100)

    def test_ten_processes_share_a_channel(self):
        self.share(10, 300)

    def test_ten_processes_put_and_ten_work(self):
        putters = [self.start("put", "c", "--lines", stdin=subprocess.PIPE) for _ in range(10)]
        for n, putter in enumerate(putters):
            putter.stdin.write(b"".join(b"%d-%d\n" % (n, i) for i in range(20)))
        workers = [self.start("work", "c", "-j2", "--", "sh", "-c", "cat; echo",
                              stdin=subprocess.DEVNULL) for _ in range(10)]
        for putter in putters:
            self.finish(putter)
        self.sealq("close", "c")
        found = "".join(self.finish(worker)[0].decode() for worker in workers).split()
        self.assertEqual(sorted(found), sorted(f"{n}-{i}" for n in range(10) for i in range(20)))


if __name__ == "__main__":
    tap.main()
