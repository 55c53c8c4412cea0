# SPDX-License-Identifier: Apache-2.0
"""sealq work: what a command gets, what its end means, and how the work ends."""
import json
import os
import pty
import re
import signal
import subprocess
import unittest

import tap
from sealq import FAILED, IO, OK, SEALQ, USAGE, Home, assert_refused

BODY_BYTES_MAX = 16 * 1024 * 1024


class Work(Home):
    def setUp(self):
        super().setUp()
        self.sealq("key", "new")

    def put(self, *bodies):
        for body in bodies:
            self.sealq("put", "c", input=body)

    def work(self, *words, expected=OK, **options):
        """Options, --, and a command: on channel c, until it is finished."""
        return self.sealq("work", "c", "--join", *words, expected=expected, **options)

    def shell(self, script, *options, expected=OK):
        return self.work(*options, "--", "sh", "-c", script, expected=expected)


class Commands(Work):
    def test_the_message_is_on_standard_input(self):
        bodies = [b"", b"\0\xff\n", os.urandom(1 << 20)]
        for body in bodies:
            self.put(body)
            for jobs in ("1", "4"):
                self.assertEqual(self.work("-j", jobs, "--", "cat").stdout, body)
                body = b""

    def test_a_command_need_not_read_its_message(self):
        self.put(b"x" * BODY_BYTES_MAX, b"y" * 100000)
        for _ in range(2):
            self.assertEqual(self.work("-j2", "--", "true").stderr, b"")
        self.assertEqual(self.stat("c")["dones"], 2)

    def test_a_command_may_read_and_write_much_at_once(self):
        body = os.urandom(4 << 20)
        self.put(body)
        self.assertEqual(self.work("-j3", "--", "cat").stdout, body)

    def test_braces_are_the_message_as_one_word(self):
        self.put(b"a b; $HOME * \xff")
        process = self.work("-j1", "--", "printf", "[%s]", "{}", "x{}", "{}")
        self.assertEqual(process.stdout, b"[a b; $HOME * \xff][x{}][a b; $HOME * \xff]")
        self.put(b"")
        self.assertEqual(self.work("--", "printf", "[%s]", "{}").stdout, b"[]")

    def test_what_cannot_be_a_word_is_dead(self):
        self.put(b"a\0b", b"x" * 131072, b"y" * 131071)
        process = self.work("-j1", "--", "sh", "-c", 'printf "${#1}"', "sh", "{}", expected=FAILED)
        self.assertEqual(process.stdout, b"131071")
        reasons = [message["reason"] for message in self.listed("c", "--state", "dead")]
        self.assertIn("NUL", reasons[0])
        self.assertIn("128 KiB", reasons[1])

    def test_it_inherits_three_descriptors_and_no_key(self):
        self.put(b"x", b"y")
        descriptor = os.open(self.keyring, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        hidden = {"SEALQ_KEYRING": f"fd:{descriptor}", "CREDENTIALS_DIRECTORY": str(self.home),
                  "SEALQ_CHANNEL": "another", "KEPT": "yes"}
        script = 'ls /proc/self/fd > fds$SEALQ_MESSAGE_ID; env > env$SEALQ_MESSAGE_ID'
        for jobs in ("-j1", "-j2"):
            os.lseek(descriptor, 0, os.SEEK_SET)
            self.sealq("work", "c", "--join", jobs, "--", "sh", "-c", script, environment=hidden,
                       pass_fds=[descriptor])
            self.put(b"z")
        for n in (1, 2, 3):
            # ls itself has the folder open, as 3.
            self.assertEqual((self.home / f"fds{n}").read_text().split(), ["0", "1", "2", "3"])
            found = dict(line.split("=", 1) for line in
                         (self.home / f"env{n}").read_text().splitlines())
            self.assertFalse({"SEALQ_KEYRING", "CREDENTIALS_DIRECTORY"} & set(found))
            self.assertEqual((found["SEALQ_CHANNEL"], found["SEALQ_MESSAGE_ID"],
                              found["SEALQ_ATTEMPT"], found["KEPT"]), ("c", str(n), "1", "yes"))

    def test_signals_are_as_by_default_in_a_group_of_its_own(self):
        self.put(b"x")
        process = self.shell("grep ^Sig /proc/self/status; ps -o pgid= -p $$; echo $$", "-j2")
        lines = process.stdout.decode().splitlines()
        masks = dict(line.split(":\t") for line in lines if line.startswith("Sig") and "Q" not in line)
        glibcs = 0b11 << 31 # signals 32 and 33, which posix_spawn leaves ignored
        self.assertEqual({int(masks[name], 16) & ~glibcs for name in ("SigBlk", "SigIgn")}, {0})
        self.assertEqual(lines[-2].strip(), lines[-1])

    def test_never_a_line_of_two_jobs(self):
        words = [f"{n:03}" * 50 for n in range(60)]
        self.put_lines("c", *words)
        script = ('read x; for i in 1 2 3 4 5; do printf "$x"; printf "$x\\n"; '
                  'printf "e$x" >&2; printf "$x\\n" >&2; done')
        process = self.shell(script, "-j8")
        for stream, start in ((process.stdout, ""), (process.stderr, "e")):
            self.assertEqual(sorted(stream.decode().splitlines()),
                             sorted(start + word * 2 for word in words for _ in range(5)))

    def test_a_last_line_gets_its_newline_only_when_more_follows(self):
        self.put_lines("c", "a", "b", "c")
        self.assertEqual(sorted(self.work("-j2", "--", "cat").stdout.split(b"\n")),
                         [b"a", b"b", b"c"])
        self.put(b"one\ntwo")
        self.assertEqual(self.work("-j2", "--", "cat").stdout, b"one\ntwo")

    def test_lines_are_put_then_worked_on(self):
        process = self.sealq("work", "c", "--lines", "-j3", "--", "echo", "{}",
                             input=b"".join(b"%d\n" % n for n in range(50)))
        self.assertEqual(sorted(map(int, process.stdout.split())), list(range(50)))
        self.assertEqual(process.stderr, b"")

    def test_a_process_left_behind_does_not_hold_it_up(self):
        self.put(b"x")
        self.gate()
        self.assertEqual(self.shell("echo here; read x < gate1 &", "-j2").stdout, b"here\n")


class Verdicts(Work):
    def test_exit_0_is_done(self):
        self.put_lines("c", "a", "b")
        self.assertEqual(self.work("--", "true").stderr, b"")
        self.assertEqual((self.stat("c")["dones"], self.listed("c")), (2, []))

    def test_exit_65_buries(self):
        self.put(b"x")
        err = self.shell("exit 65", expected=FAILED).stderr.decode()
        self.assertIn("sealq: job 1: exit 65, dead\n", err)
        self.assertIn("1 message died: sealq list c --state dead", err)
        message = self.listed("c")[0]
        self.assertEqual((message["death"], message["reason"]), ("buried", "exit 65"))

    def test_exit_75_tries_again_and_counts_nothing(self):
        self.put(b"x")
        process = self.shell("mkdir flag || { echo $SEALQ_ATTEMPT; exit 0; }; exit 75", "-j1")
        self.assertEqual(process.stdout, b"1\n")
        self.assertIn(b"job 1: exit 75, again in 1.0 s, not counted", process.stderr)
        self.assertEqual(self.stat("c")["attempts"], 1)

    def test_another_exit_or_a_signal_tries_again(self):
        self.put(b"x")
        process = self.shell("mkdir flag 2>&- && exit 1; mkdir gone 2>&- && kill -9 $$; exit 0")
        lines = process.stderr.decode().splitlines()
        self.assertRegex(lines[0], r"^sealq: job 1: exit 1, attempt 1 of 10, again in [01]\.\d s$")
        self.assertRegex(lines[1], r"^sealq: job 1: killed by signal 9 \(SIGKILL\), attempt 2 of "
                                   r"10, again in [12]\.\d s$")
        self.assertEqual((len(lines), self.stat("c")["retries"]), (2, 2))

    def test_attempts_are_used_up(self):
        self.put(b"x")
        lines = self.shell("exit 3", "--retries", "2", expected=FAILED).stderr.decode().splitlines()
        self.assertIn("job 1: exit 3, attempt 1 of 2, again in", lines[0])
        self.assertIn("job 1: exit 3, attempt 2 of 2, dead: attempts used up", lines[1])
        message = self.listed("c", "--state", "dead")[0]
        self.assertEqual((message["attempts"], message["reason"]), (2, "exit 3, attempt 2 of 2"))

    def test_a_missing_command_stops_the_work_and_takes_nothing(self):
        self.put(b"x", b"y")
        (self.home / "plain").write_text("no program")
        (self.home / "odd").write_text("no program")
        (self.home / "odd").chmod(0o700)
        for command, code in (["nothing-of-this-name"], 127), (["./nothing"], 127), \
                (["./plain"], 126), (["./odd"], 126), (["sh", "-c", "exit 127"], 127), \
                (["sh", "-c", "exit 126"], 126):
            process = self.work("-j1", "--", *command, expected=code)
            self.assert_one_line(process, "job 1" if command[-1] == "nothing-of-this-name" else "")
            self.assertEqual([(message["state"], message["attempts"])
                              for message in self.listed("c")], [("ready", 0)] * 2)

    def test_a_job_that_takes_too_long_is_ended(self):
        self.put(b"x")
        process = self.shell("sleep 100 & echo $! > child; wait", "--timeout", "1", "--retries",
                             "1", expected=FAILED)
        self.assertIn(b"job 1: timed out after 1 s, attempt 1 of 1, dead", process.stderr)
        self.assert_gone(int((self.home / "child").read_text()))

    def test_one_that_ignores_sigterm_is_killed(self):
        self.put(b"x")
        process = self.shell("trap '' TERM; echo $$; while :; do sleep 100; done", "--timeout",
                             "1", "--retries", "1", expected=FAILED)
        self.assertIn(b"timed out", process.stderr)
        self.assert_gone(int(process.stdout))

    def assert_gone(self, pid):
        """Dead; one that nobody reaps may be left as a zombie."""
        while True:
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                    if stat.read().rsplit(")", 1)[1].split()[0] in "ZX":
                        return
            except (FileNotFoundError, ProcessLookupError):
                return

    def test_halt_stops_at_the_first_failure(self):
        self.put_lines("c", "a", "b", "c")
        self.shell("exit 1", "--halt", "soon", "-j1", expected=FAILED)
        self.assertEqual((self.stat("c")["attempts"], self.stat("c")["unfinished"]), (1, 3))
        self.gate()
        script = ("read x; [ $x = b ] && { echo $$; read y < gate1; exit; }; "
                  "until [ -e go ]; do :; done; exit 1")
        work = self.start("work", "c", "--halt", "now", "-j2", "--", "sh", "-c", script)
        pid = int(work.stdout.readline())
        (self.home / "go").touch()
        self.finish(work, FAILED)
        self.assert_gone(pid)
        self.assertEqual([message["state"] for message in self.listed("c")
                          if message["attempts"] == 0], ["ready"])

    def test_the_log_has_a_line_a_job_and_never_the_message(self):
        self.put(b"secret", b"secret")
        for _ in range(2):
            self.work("-j1", "--joblog", "log", "--", "sh", "-c", ":\t'\x1b'", "s", "{}")
            self.put(b"secret")
        lines = (self.home / "log").read_text().splitlines()
        self.assertEqual(lines[0].split("\t"), ["Seq", "Starttime", "Runtime", "Exitval", "Signal",
                                                "Attempt", "Command"])
        self.assertEqual(len(lines), 1 + 3)
        for n, line in enumerate(lines[1:]):
            self.assertRegex(line, rf"^{n + 1}\t\d+\.\d{{3}}\t\d+\.\d{{3}}\t\d+\t0\t1\t"
                                   r"sh -c :\\x09'\\x1b' s \{\}$")


class Ending(Work):
    def started(self, *options):
        """A worker whose job runs and waits at a gate; a second message waits too."""
        self.put(b"x", b"y")
        self.gate(1)
        self.gate(2)
        work = self.start("work", "c", *options, "--", "sh", "-c",
                          "echo $$; read x < gate$SEALQ_MESSAGE_ID")
        return work, int(work.stdout.readline())

    def test_a_signal_drains(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                self.tearDown()
                self.doCleanups()
                self.setUp()
                work, _ = self.started("-j1")
                work.send_signal(number)
                self.assertIn(b"ending once 1 running job is done", work.stderr.readline())
                self.open_gate()
                self.assertEqual(self.finish(work), (b"", ""))
                stats = self.stat("c")
                self.assertEqual((stats["dones"], stats["ready"]), (1, 1))

    def test_a_signal_ends_an_idle_worker(self):
        work = self.start("work", "c", "-j4", "--", "cat")
        self.put(b"x")
        self.assertEqual(work.stdout.read(1), b"x")
        while self.stat("c")["dones"] < 1:
            pass
        work.terminate()
        self.assertEqual(self.finish(work)[0], b"")

    def test_a_second_signal_hands_the_messages_back(self):
        work, pid = self.started("-j1")
        work.terminate()
        work.stderr.readline()
        work.terminate()
        self.finish(work, 128 + signal.SIGTERM)
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.assertEqual([(message["state"], message["attempts"]) for message in self.listed("c")],
                         [("ready", 0)] * 2)

    def test_nohup_is_respected(self):
        self.put(b"x")
        self.gate()
        work = self.start("work", "c", "--join", "-j1", "--", "sh", "-c", "echo; read x < gate1",
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        work.stdout.readline()
        work.send_signal(signal.SIGHUP)
        self.open_gate()
        self.assertEqual(self.finish(work), (b"", ""))

    def test_a_killed_workers_message_goes_to_another_at_once(self):
        work, _ = self.started("-j1")
        other = self.start("work", "c", "--join", "-j1", "--", "sh", "-c",
                           'echo "$(cat) $SEALQ_ATTEMPT"')
        self.assertEqual(other.stdout.readline(), b"y 1\n")
        work.kill()
        self.assertEqual(other.stdout.readline(), b"x 2\n")
        self.finish(other)
        self.assertEqual(self.stat("c")["lost_leases"], 1)

    def test_output_that_cannot_be_written_ends_the_work(self):
        self.put(b"x", b"y")
        with open("/dev/full", "wb") as full:
            process = self.work("-j2", "--", "echo", "{}", stdout=full, expected=IO)
        self.assert_one_line(process, "cannot write the output: No space")
        self.assertEqual(self.stat("c")["ready"], 2)
        self.assertEqual({message["attempts"] for message in self.listed("c")}, {0})

    def test_a_second_signal_ends_a_worker_whose_output_nobody_reads(self):
        self.put(b"x")
        work = self.start("work", "c", "-j2", "--", "sh", "-c", "echo started >&2; yes")
        self.assertEqual(work.stderr.readline(), b"started\n")
        work.terminate()
        self.assertIn(b"ending once", work.stderr.readline())
        work.terminate()
        work.wait(timeout=60)
        self.assertEqual(self.stat("c")["ready"], 1)

    def test_join_ends_with_0_or_1(self):
        self.assertEqual(self.work("--", "true").returncode, OK)
        self.put(b"x")
        self.work("--", "true")
        self.put(b"x")
        self.shell("exit 65", expected=FAILED)
        self.assertEqual(self.work("--", "true").returncode, OK)

    def test_json_tells_at_the_end(self):
        self.put_lines("c", "a", "b")
        process = self.shell("read x; [ $x = a ] || exit 65", "--json", expected=FAILED)
        self.assertEqual(json.loads(process.stdout), {"done": 1, "failures": 1, "deaths": 1})

    def test_the_bar_is_for_terminals(self):
        self.put_lines("c", "a", "b")
        self.assertEqual(self.work("--bar", "--", "true").stderr, b"")
        self.put_lines("c", "a", "b")
        main, terminal = pty.openpty()
        process = subprocess.Popen([SEALQ, "work", "c", "--join", "--bar", "--", "cat"],
                                   env=self.environment, stdout=subprocess.PIPE, stderr=terminal)
        self.addCleanup(self.end, process)
        os.close(terminal)
        drawn = b""
        try:
            while piece := os.read(main, 4096):
                drawn += piece
        except OSError:  # how Linux says that a terminal's other side is closed
            pass
        process.communicate()
        self.assertEqual(process.returncode, OK)
        self.assertRegex(drawn.decode(), r"2 done, 0 running, 0 failed, 0 dead, 0 left")

    def test_wrong_usage_is_refused(self):
        for words in ([], ["c"], ["c", "cat"], ["c", "--"], ["--", "cat"],
                      ["c", "-j", "0", "--", "cat"], ["c", "-j", "x", "--", "cat"],
                      ["c", "--jobs", "1001", "--", "cat"], ["c", "--halt", "x", "--", "cat"],
                      ["c", "-x", "--", "cat"], ["c", "--retries", "0", "--", "cat"]):
            assert_refused(self, self.sealq("work", *words, expected=USAGE))
        assert_refused(self, self.sealq("work", "c", "-j", expected=USAGE), "needs a value")
        self.assertFalse(self.store.exists())
        self.assertTrue(re.search(r"-j, --jobs N", self.sealq("work", "--help").stdout.decode()))


if __name__ == "__main__":
    tap.main()
