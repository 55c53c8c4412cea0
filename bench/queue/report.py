# SPDX-License-Identifier: Apache-2.0
"""What bench/queue.py found: on the screen, as JSON and as a picture."""
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import picture
import table

KINDS = {"ours": "ours", "blocking": "they block", "raw": "raw: they spin and never sleep"}


@dataclass
class Result:
    machine: dict
    rates: dict = field(default_factory=dict)  # (queue, cell): items a second, a round each
    left_out: dict = field(default_factory=dict)  # (queue, cell): why
    absent: dict = field(default_factory=dict)  # queue: why, for all cells
    round_trips: dict = field(default_factory=dict)  # (queue, case): microseconds
    memory: dict = field(default_factory=dict)  # queue: bytes an item

    def millions(self, queue, cell):
        """The median in million items a second; None when it was not measured."""
        samples = self.rates.get((queue, cell))
        return statistics.median(samples) / 1e6 if samples else None

    def best(self, kind, cell):
        """(name, millions) of the fastest of a kind."""
        found = [(self.millions(queue.name, cell), queue.name) for queue in table.QUEUES.values()
                 if queue.kind == kind and (queue.name, cell) in self.rates]
        return max(found)[::-1] if found else None


# ── the machine ──────────────────────────────────────────────────────────────────────────────

def machine(folder):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "compiler": compiler(folder),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def compiler(folder):
    """The one that built the programs."""
    for parent in Path(folder).resolve().parents:
        database = parent / "compile_commands.json"
        if database.is_file():
            command = json.loads(database.read_text(encoding="utf-8"))[0]["command"].split()[0]
            return subprocess.run([command, "--version"], capture_output=True, text=True,
                                  timeout=10).stdout.partition("\n")[0]
    return "unknown compiler"


# ── on the screen ────────────────────────────────────────────────────────────────────────────

def print_tables(result):
    about = result.machine
    print(f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['compiler']}, "
          f"{about['date'][:10]}, load {about['load']:.1f}\n")
    print("Million items a second: medians (least-most)\n")
    cells = [cell for cell in table.CELLS if any(pair[1] == cell for pair in result.rates)]
    rows = [["", *cells]]
    for kind, title in KINDS.items():
        queues = [queue.name for queue in table.QUEUES.values() if queue.kind == kind and any(
            pair[0] == queue.name for pair in [*result.rates, *result.left_out])]
        if queues:
            rows += [[f"({title})"]] + [[queue, *(rate_cell(result, queue, cell) for cell in cells)]
                                        for queue in queues]
    print_columns(rows)
    if result.round_trips:
        print("Round trips in microseconds: p50 / p99 / p99.9\n")
        print_columns(pairs_as_rows(result.round_trips,
                                    lambda figures: " / ".join(f"{us:.1f}" for us in figures)))
    if result.memory:
        print("Bytes an item, a million in the queue\n")
        print_columns([[queue, f"{figure:.1f}"] for queue, figure in result.memory.items()])


def rate_cell(result, queue, cell):
    samples = result.rates.get((queue, cell))
    if not samples:
        return result.left_out.get((queue, cell), "-").split()[0].rstrip(":")
    return (f"{result.millions(queue, cell):.2f} "
            f"({min(samples) / 1e6:.1f}-{max(samples) / 1e6:.1f})")


def pairs_as_rows(figures, text):
    queues, cases = (list(dict.fromkeys(pair[i] for pair in figures)) for i in (0, 1))
    return [["", *cases]] + [[queue, *(text(figures[queue, case]) if (queue, case) in figures
                                       else "-" for case in cases)] for queue in queues]


def print_columns(rows):
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[i]) for row in full) for i in range(len(full[0]))]
    for row in rows:
        print("  ".join(word.rjust(width) if i else word.ljust(width)
                        for i, (word, width) in enumerate(zip(row, widths))).rstrip()
              if len(row) > 1 else row[0])
    print()


def print_lines(result):
    for cell in table.CELLS:
        if not table.CELLS[cell].one_cpu:
            against_peers(result, cell, "sealq", cell)
        if cell == "1p1c":
            against_peers(result, "1p1c-hints", "sealq-hints", cell)
    against(result, "1p1c-batch16", ("sealq-batch16", "1p1c"), "single", ("sealq", "1p1c"))
    against(result, "1p1c-unbounded", ("sealq-unbounded", "1p1c"), "bounded", ("sealq", "1p1c"))
    against(result, "8p8c-one-cpu", ("sealq", "8p8c-one-cpu"), "two-cpus", ("sealq", "8p8c"))
    joined = result.millions("sealq-batch16", "1p1c")
    without = result.millions("sealq-batch16-nojoin", "1p1c")
    if joined and without:
        print(f"queue 1p1c-batch16-join ours={joined:.2f} without={without:.2f} "
              f"cost={100 * (1 - joined / without):.0f}%")


def against_peers(result, title, queue, cell):
    ours = result.millions(queue, cell)
    if not ours:
        return
    peers, ratios = "", ""
    for kind in ("blocking", "raw"):
        if best := result.best(kind, cell):
            peers += f" best_{kind}={best[0]}:{best[1]:.2f}"
            ratios += f" ratio_{kind}={ours / best[1]:.2f}"
    print(f"queue {title} ours={ours:.2f}{peers}{ratios}")


def against(result, title, first, name, second):
    ours, other = result.millions(*first), result.millions(*second)
    if ours and other:
        print(f"queue {title} ours={ours:.2f} {name}={other:.2f} ratio={ours / other:.2f}")


# ── in files ─────────────────────────────────────────────────────────────────────────────────

def write_json(result, path):
    rates = [{"queue": queue, "cell": cell, "kind": table.QUEUES[queue].kind,
              "median": round(statistics.median(samples)), "rounds": [round(x) for x in samples]}
             for (queue, cell), samples in result.rates.items()]
    content = {
        "machine": result.machine,
        "items_per_s": rates,
        "round_trip_us": [{"queue": queue, "case": case, "p50": us[0], "p99": us[1], "p99.9": us[2]}
                          for (queue, case), us in result.round_trips.items()],
        "bytes_an_item": result.memory,
        "left_out": [{"queue": queue, "cell": cell, "why": why}
                     for (queue, cell), why in result.left_out.items()],
        "absent": result.absent,
    }
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plot(result, path):
    if not shutil.which("gnuplot"):
        print("queue: no picture: install gnuplot-nox", file=sys.stderr)
        return
    subprocess.run(["gnuplot"], input=picture.script(result, path), check=True, text=True,
                   timeout=60)
