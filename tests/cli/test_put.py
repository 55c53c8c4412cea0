# SPDX-License-Identifier: Apache-2.0
"""sealq put: what is a message, what is refused, and the very first use."""
import json
import os
import signal
import subprocess
import unittest

import tap
from sealq import (CLOSED, DATA, IO, NO_INPUT, OK, SEALQ, TIMED_OUT, USAGE, Home, assert_refused,
                   run)

BODY_BYTES_MAX = 16 * 1024 * 1024


class FirstUse(Home):
    def test_hello_world_is_five_lines_of_shell(self):
        script = """set -e
            echo hello | "$0" put emails
            "$0" work emails --join -- cat
            "$0" join emails
            "$0" stat emails > counts
            "$0" close emails"""
        process = run("-c", script, SEALQ, program="sh", env=self.environment, cwd=self.home)
        self.assertEqual((process.returncode, process.stdout), (OK, b"hello\n"), process.stderr)
        self.assertIn("dones        1 ", (self.home / "counts").read_text())

    def test_makes_the_key_and_says_where_and_what_losing_it_means(self):
        process = self.sealq("put", "emails", input=b"hello")
        self.assertEqual(process.stdout, b"")
        self.assert_one_line(process, str(self.keyring), "losing it loses the data")
        self.assertEqual(self.sealq("put", "emails", input=b"again").stderr, b"")
        self.assertEqual(len(json.loads(self.sealq("key", "list", "--json").stdout)["keys"]), 1)

    def test_work_makes_them_too(self):
        process = self.sealq("work", "emails", "--join", "--", "cat")
        self.assert_one_line(process, "losing it loses the data")

    def test_ten_processes_at_once_make_one_key(self):
        processes = [self.start("put", "emails") for _ in range(10)]
        said = "".join(self.finish(process)[1] for process in processes)
        self.assertEqual(said.count("losing it loses the data"), 1, said)
        self.assertEqual(self.stat("emails")["ready"], 10)

    def test_nothing_is_made_where_a_store_or_keyring_is_named(self):
        for named in ({"SEALQ_STORE": str(self.home / "elsewhere")},
                      {"SEALQ_KEYRING": str(self.home / "nothing")}):
            process = self.sealq("put", "emails", input=b"x", environment=named, expected=NO_INPUT)
            self.assert_one_line(process, "sealq key new")
        self.sealq("put", "emails", "--store", "elsewhere", input=b"x", expected=NO_INPUT)
        self.sealq("put", "emails", "--keyring", "nothing", input=b"x", expected=NO_INPUT)
        self.assertEqual(os.listdir(self.home), [])

    def test_a_lost_key_is_not_replaced(self):
        self.sealq("put", "emails", input=b"x")
        self.keyring.unlink()
        for words in (["put", "emails"], ["work", "emails", "--join", "--", "cat"], ["stat"],
                      ["join", "emails"], ["list", "emails"], ["close", "emails"]):
            self.assert_one_line(self.sealq(*words, expected=NO_INPUT), "sealq key new")
        self.assertFalse(self.keyring.exists())

    def test_a_wrong_channel_name_makes_nothing(self):
        for name in ("", "a b", "-", "_a", "a/b", "a" * 65, "\x1b[31m", "é"):
            assert_refused(self, self.sealq("put", "--", name, expected=USAGE), "channel's name")
        self.assertEqual(os.listdir(self.home), [])

    def test_a_store_where_it_is_named(self):
        self.sealq("key", "new")
        for how in ({"SEALQ_STORE": str(self.home / "a")},
                    {"XDG_DATA_HOME": str(self.home / "b")}):
            self.sealq("put", "emails", input=b"x", environment=how)
            text = self.sealq("stat", environment=how).stdout
            self.assertIn(b"emails ", text)
        self.assertTrue((self.home / "b" / "sealq" / "store").is_dir())
        self.assertFalse(self.store.exists())
        self.sealq("--store", "a", "stat", "emails")

    def test_plaintext_is_asked_for_by_name(self):
        how = {"SEALQ_KEYRING": "plaintext"}
        self.sealq("put", "emails", input=b"hello", environment=how)
        process = self.sealq("work", "emails", "--join", "--keyring", "plaintext", "--", "cat")
        self.assertEqual(process.stdout, b"hello")
        self.assertFalse(self.keyring.exists())
        self.sealq("key", "new", environment=how, expected=USAGE)

    def test_closed_standard_descriptors_do_not_become_the_store(self):
        self.sealq("put", "emails", input=b"x")
        for closed in ("2>&-", "<&- 2>&-", "<&- >&- 2>&-"):
            process = run("-c", f'"$0" put emails --header wrong {closed}; "$0" stat {closed}',
                          SEALQ, program="sh", env=self.environment, cwd=self.home)
            self.assertEqual(process.returncode, IO if ">&- 2" in closed else OK)
        self.assertEqual(self.stat("emails")["ready"], 1)


class Put(Home):
    def setUp(self):
        super().setUp()
        self.sealq("key", "new")

    def bodies(self, channel="c"):
        """All messages, in order, as the commands get them."""
        script = 'n=$(ls | grep -c "^out"); cat > out$(printf %05d $n)'
        self.sealq("work", channel, "--join", "-j1", "--", "sh", "-c", script)
        outs = sorted(self.home.glob("out*"))
        found = [path.read_bytes() for path in outs]
        for path in outs:
            path.unlink()
        return found

    def test_bodies_come_out_byte_for_byte(self):
        bodies = [b"", b"\0", b"a\0b\n\n", b"\xff\xfe\x80", bytes(range(256)) * 300,
                  os.urandom(BODY_BYTES_MAX)]
        for body in bodies:
            self.assertEqual(self.sealq("put", "c", input=body).stdout, b"")
        self.assertEqual(self.bodies(), bodies)

    def test_a_body_above_the_bound_is_refused(self):
        process = self.sealq("put", "c", input=bytes(BODY_BYTES_MAX + 1), expected=DATA)
        self.assert_one_line(process, "standard input", str(BODY_BYTES_MAX))
        self.assertEqual(self.stat("c")["puts"], 0)
        lines = b"a\nb\n" + b"x" * (BODY_BYTES_MAX + 1) + b"\nc\n"
        process = self.sealq("put", "c", "--lines", input=lines, expected=DATA)
        self.assert_one_line(process, "line 3", str(BODY_BYTES_MAX), "(2 messages were put)")
        self.assertEqual(self.bodies(), [b"a", b"b"])

    def test_a_line_of_the_bound_goes_in(self):
        line = b"x" * BODY_BYTES_MAX
        self.sealq("put", "c", "--lines", input=b"a\n" + line + b"\n" + line)
        self.assertEqual(self.bodies(), [b"a", line, line])

    def test_a_message_a_line(self):
        self.sealq("put", "c", "--lines", input=b"one\n\n\0two\r\n\xff\nlast")
        self.assertEqual(self.bodies(), [b"one", b"", b"\0two\r", b"\xff", b"last"])
        self.sealq("put", "c", "--lines", input=b"")
        self.assertEqual(self.stat("c")["puts"], 5)

    def test_messages_that_end_with_nul(self):
        self.sealq("put", "c", "--null", input=b"one\n\0\0two\0last")
        self.assertEqual(self.bodies(), [b"one\n", b"", b"two", b"last"])

    def test_many_lines_in_order(self):
        lines = [b"%d" % n for n in range(25000)]
        process = self.sealq("put", "c", "--lines", "--json", input=b"\n".join(lines))
        self.assertEqual(json.loads(process.stdout), {"put": 25000, "duplicates": 0})
        self.assertEqual(self.stat("c")["ready"], 25000)

    def test_a_message_a_file(self):
        for name in ("a", "b"):
            (self.home / name).write_bytes(name.encode() * 3)
        self.sealq("put", "c", "a", "-", "b", input=b"middle")
        self.assertEqual(self.bodies(), [b"aaa", b"middle", b"bbb"])
        process = self.sealq("put", "c", "a", "no\x1bthing", "b", expected=NO_INPUT)
        self.assert_one_line(process, r"no\x1bthing", "1 messages were put")
        self.assert_one_line(self.sealq("put", "c", ".", expected=IO), "directory")
        self.assertEqual(self.bodies(), [b"aaa"])

    def test_what_a_pipe_delivered_is_put_while_it_pauses(self):
        put = self.start("put", "c", "--lines")
        work = self.start("work", "c", "-j1", "--", "cat")
        for line in (b"one\n", b"two\n"):
            put.stdin.write(line + b"and a part of ano")
            put.stdin.flush()
            self.assertEqual(work.stdout.read(len(line) - 1), line[:-1])
            put.stdin.write(b"ther\n")
            put.stdin.flush()
            self.assertEqual(work.stdout.read(17 + 4), b"and a part of another")
        put.send_signal(signal.SIGINT)
        self.assertEqual(put.stderr.readline(), b"sealq: interrupted: 4 messages were put\n")
        self.finish(put, 128 + signal.SIGINT)
        work.send_signal(signal.SIGTERM)
        self.finish(work)

    def test_a_full_channel_makes_puts_wait(self):
        self.sealq("put", "c", "--capacity", "2", input=b"0")
        process = self.sealq("put", "c", "--lines", "--timeout", "0", input=b"1\n2\n",
                             expected=TIMED_OUT)
        self.assert_one_line(process, "full")
        put = self.start("put", "c", "--lines")
        put.stdin.write(b"".join(b"%d\n" % n for n in range(2, 30)))
        put.stdin.close()
        put.stdin = None
        work = self.start("work", "c", "-j1", "--", "sh", "-c", "cat; echo")
        self.assertEqual([int(work.stdout.readline()) for _ in range(30)], list(range(30)))
        self.finish(put)
        work.send_signal(signal.SIGTERM)
        self.finish(work)

    def test_a_dedupe_key_adds_once(self):
        for body, expected in ((b"a", {"put": 1, "duplicates": 0}),
                               (b"b", {"put": 0, "duplicates": 1})):
            process = self.sealq("put", "c", "--dedupe", "order-7", "--json", input=body)
            self.assertEqual(json.loads(process.stdout), expected)
        self.assertEqual(self.sealq("put", "c", "--dedupe", "order-7", input=b"c").stderr, b"")
        self.assertEqual(self.bodies(), [b"a"])
        assert_refused(self, self.sealq("put", "c", "--lines", "--dedupe", "k", expected=USAGE))

    def test_priorities_go_first(self):
        for priority in (200, 5, 100):
            self.sealq("put", "c", "--priority", str(priority), input=b"%d" % priority)
        self.assertEqual(self.bodies(), [b"5", b"100", b"200"])

    def test_a_delayed_message_is_not_ready(self):
        self.sealq("put", "c", "--delay", "3600000", input=b"later")
        message = self.listed("c")[0]
        self.assertEqual((message["state"], self.stat("c")["delayed"]), ("delayed", 1))
        self.assertRegex(self.sealq("list", "c").stdout, rb"in 3[56]\d\d s\n")
        self.sealq("join", "c", "--timeout", "0", expected=TIMED_OUT)
        self.sealq("put", "d", "--delay", "200", input=b"soon")
        self.assertEqual(self.bodies("d"), [b"soon"])

    def test_an_expired_message_is_dead(self):
        self.sealq("put", "c", "--expires", "1", input=b"x")
        process = self.sealq("work", "c", "--join", "--", "cat", expected=None)
        self.assertEqual(process.stdout, b"")
        self.assertEqual([message["death"] for message in self.listed("c")], ["expired"])

    def test_headers_are_checked(self):
        self.sealq("put", "c", "--header", "a=1", "--header", "b==", input=b"x")
        for wrong in ("a", "=a", ""):
            assert_refused(self, self.sealq("put", "c", "--header", wrong, expected=USAGE),
                           "NAME=VALUE")
        self.sealq("put", "c", "--header", "a=1", "--header", "a=2", input=b"x", expected=USAGE)
        many = [word for n in range(33) for word in ("--header", f"a{n}=1")]
        assert_refused(self, self.sealq("put", "c", *many, expected=USAGE), "32")
        self.assertEqual(self.stat("c")["puts"], 1)

    def test_a_closed_channel_refuses(self):
        self.sealq("put", "c", input=b"x")
        self.sealq("close", "c")
        self.assert_one_line(self.sealq("put", "c", input=b"x", expected=CLOSED), "cannot put")

    def test_wrong_usage_is_refused(self):
        for words in ([], ["c", "--lines", "--null"], ["c", "--priority", "256"],
                      ["c", "--delay", "-1"], ["c", "--timeout", "x"], ["c", "--line"]):
            assert_refused(self, self.sealq("put", *words, expected=USAGE))
        self.assertFalse(self.store.exists())

    def test_reading_an_ended_terminal_is_hinted_at(self):
        main, terminal = os.openpty()
        process = subprocess.Popen([SEALQ, "put", "c", "--lines"], env=self.environment,
                                   stdin=terminal, stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        os.close(terminal)
        self.assertIn(b"ctrl-D", process.stderr.readline())
        os.write(main, b"typed\n\x04")
        self.finish(process)
        os.close(main)
        self.assertEqual(self.bodies(), [b"typed"])


if __name__ == "__main__":
    tap.main()
