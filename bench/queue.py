#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The queue between threads, beside its peers: medians of interleaved rounds.

    bench/queue.py [FOLDER] [--quick] [--cells 1p1c,2p2c] [--queues sealq,moodycamel] [--rounds 9]
                   [--json FILE] [--plot FILE]

FOLDER has the programs: build-bench/bench/queue when not given. In a round every queue runs once in
every cell, each in a process of its own. Without --cells and --queues also the times of round trips
and the memory are measured. Names are those of bench/queue/table.py.

A peer that can't be built, is too slow to wait for, or loses items is named and left out. Ours must
do neither: then the exit code is 1.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time

# In place of this folder, in which queue.py would hide Python's own.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "queue")
import report  # noqa: E402
import table  # noqa: E402

FAST = 10e6  # items a second: start-up effects show in a short run
FAST_ITEMS_MIN = 4000000
ITEMS_MIN = 2 * 65536  # enough to fill a bounded queue
CALIBRATION_ITEMS = 20000
NOT_BUILT = 77  # the exit code by which build_foreign.py's stand-ins say so
PINGPONG_CASES = {  # round trips, pause before each, whether a process computes meanwhile
    "parked": (2000, 200, False),
    "parked-busy": (2000, 200, True),
    "spinning": (20000, 0, False),
}


class LeftOut(Exception):
    """A queue that has no figure here, and why."""


def say(text):
    print(f"queue: {text}", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, folder, quick):
        self.folder = folder
        self.target_s = 0.06 if quick else 0.15
        self.timeout_s = 2 if quick else 10
        self.cpu = min(os.sched_getaffinity(0))
        self.left_out = {}  # (queue, cell): why
        self.absent = {}  # queue: why

    def call(self, queue, where, arguments, one_cpu=False, timeout_s=None):
        timeout_s = timeout_s or self.timeout_s
        command = queue.command(self.folder) + [str(argument) for argument in arguments]
        pin = (lambda: os.sched_setaffinity(0, {self.cpu})) if one_cpu else None
        try:
            process = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin,
                                     timeout=timeout_s)
        except FileNotFoundError:
            raise LeftOut(f"not built: install {queue.package}, type make clean") from None
        except subprocess.TimeoutExpired:
            raise LeftOut(f"killed after {timeout_s} s of {arguments[2]} items") from None
        if process.returncode == NOT_BUILT:
            raise LeftOut(process.stderr.strip())
        if process.returncode != 0:
            why = process.stderr.strip() or f"exit code {process.returncode}"
            if queue.kind == "ours":
                sys.exit(f"queue: {queue.name} FAILED in {where} ({' '.join(command)}): {why}")
            raise LeftOut(f"FAILED: {' '.join(command[1:])}: {why}")
        return [float(word) for word in process.stdout.split()]

    def seconds(self, queue, cell, items):
        arguments = [cell.producers, cell.consumers, items, *queue.options]
        return self.call(queue, cell.name, arguments, cell.one_cpu)[0]

    def calibrate(self, queue, cell):
        """How many items a run takes: counts grow until one takes a while."""
        items = CALIBRATION_ITEMS
        while (seconds := self.seconds(queue, cell, items)) < 0.015 and items < FAST_ITEMS_MIN:
            items = whole(items * min(10, max(2, 0.03 / seconds)))
        rate = items / seconds
        items = max(rate * self.target_s, min(ITEMS_MIN, rate * 0.5))
        if rate >= FAST and self.target_s >= 0.15:
            items = max(items, FAST_ITEMS_MIN)
        return whole(items)

    def exists(self, queue):
        try:
            self.call(queue, "1p1c", [1, 1, 40])
            return True
        except LeftOut as reason:
            if queue.kind == "ours":
                sys.exit(f"queue: {queue.name}: {reason}")
            say(f"{queue.name} is left out: {reason}")
            self.absent[queue.name] = str(reason)
            return False

    def calibrate_all(self, pairs):
        queues = dict.fromkeys(queue for queue, _ in pairs)
        found = {queue for queue in queues if self.exists(queue)}
        items = {pair: self.attempt(*pair, self.calibrate) for pair in pairs if pair[0] in found}
        return {pair: count for pair, count in items.items() if count}

    def attempt(self, queue, cell, work):
        """What work returns; a queue that was left out of a cell is not tried there again."""
        if (queue.name, cell.name) in self.left_out:
            return None
        try:
            return work(queue, cell)
        except LeftOut as reason:
            say(f"{queue.name} is left out of {cell.name}: {reason}")
            self.left_out[queue.name, cell.name] = str(reason)
            return None

    def rates(self, pairs, rounds, deadline):
        """Items a second of every round, by (queue, cell), until the deadline but once for all."""
        items = self.calibrate_all(pairs)
        rates = {(queue.name, cell.name): [] for queue, cell in items}
        for number in range(rounds):
            for queue, cell in turned(list(items), number):
                if number == 0 or time.monotonic() < deadline:
                    rate = self.attempt(queue, cell, lambda *pair: self.rate(*pair, items))
                    rates[queue.name, cell.name] += [rate] if rate else []
        return {pair: samples for pair, samples in rates.items() if pair not in self.left_out}

    def rate(self, queue, cell, items):
        count = items[queue, cell]
        seconds = self.seconds(queue, cell, count)
        if seconds > 4 * self.target_s and count > CALIBRATION_ITEMS:
            items[queue, cell] = whole(count * max(0.1, self.target_s / seconds))
        return count / seconds

    def round_trips(self, rounds):
        """Microseconds (p50, p99, p99.9), medians of the rounds, by (queue, case)."""
        samples = {}
        for _ in range(rounds):
            for case, (count, pause_us, is_busy) in PINGPONG_CASES.items():
                with computing() if is_busy else contextlib.nullcontext():
                    for queue in self.those_with("pingpong"):
                        arguments = [1, 1, count, "MODE=pingpong", f"PAUSE_US={pause_us}"]
                        figures = self.figures(queue, case, arguments + list(queue.options))
                        if figures:
                            samples.setdefault((queue.name, case), []).append(figures)
        return {pair: [statistics.median(column) for column in zip(*rows)]
                for pair, rows in samples.items()}

    def memory(self):
        """Bytes an item, by queue."""
        bytes_an_item = {}
        for queue in self.those_with("memory"):
            arguments = [1, 1, table.MILLION, "MODE=memory", *queue.memory]
            figures = self.figures(queue, "memory", arguments)
            if figures:
                bytes_an_item[queue.name] = figures[0]
        return bytes_an_item

    def those_with(self, member):
        return [queue for queue in table.QUEUES.values()
                if getattr(queue, member) and queue.name not in self.absent]

    def figures(self, queue, case, arguments):
        try:
            return self.call(queue, case, arguments, timeout_s=30)
        except LeftOut as reason:
            say(f"{queue.name} is left out of {case}: {reason}")
            self.left_out[queue.name, case] = str(reason)
            return None


def whole(items):
    return max(1, round(items / table.ITEMS_STEP)) * table.ITEMS_STEP


def turned(pairs, number):
    """In another order each round, cell by cell, so that nobody always follows the same one."""
    order = []
    for cell in table.CELLS.values():
        those = [pair for pair in pairs if pair[1] == cell]
        order += those[number % len(those):] + those[:number % len(those)] if those else []
    return order


@contextlib.contextmanager
def computing():
    """A process beside that only computes."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def parse():
    def names(text):
        return text.split(",")
    root = os.path.dirname(HERE)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=f"{root}/build-bench/bench/queue")
    parser.add_argument("--quick", action="store_true", help="within a minute, a line a cell")
    parser.add_argument("--cells", type=names, default=[], help="only these")
    parser.add_argument("--queues", type=names, default=[], help="only these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="write all figures there")
    parser.add_argument("--plot", help="draw a PNG there")
    return parser.parse_args()


def main():
    options, start = parse(), time.monotonic()
    bench = Bench(options.folder, options.quick)
    try:
        pairs = table.choose(options.cells, options.queues, options.quick)
    except ValueError as error:
        sys.exit(f"queue: {error}")
    if not pairs:
        sys.exit("queue: none of these queues is measured in these cells")
    result = report.Result(report.machine(options.folder))
    if result.machine["load"] > result.machine["cores"]:
        say(f"others are at work (load {result.machine['load']:.1f}): only ratios may be of use")
    result.rates = bench.rates(pairs, options.rounds,
                               start + 48 if options.quick else float("inf"))
    result.left_out, result.absent = bench.left_out, bench.absent
    if not options.quick and not options.cells and not options.queues:
        result.round_trips = bench.round_trips(3)
        result.memory = bench.memory()
    if not options.quick:
        report.print_tables(result)
    report.print_lines(result)
    if options.json:
        report.write_json(result, options.json)
    if options.plot and result.rates:
        report.plot(result, options.plot)
    if any(queue.startswith("sealq") for queue, _ in bench.left_out):
        sys.exit("queue: ours was killed")


if __name__ == "__main__":
    main()
