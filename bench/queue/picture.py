# SPDX-License-Identifier: Apache-2.0
"""The picture of the rates, as a script for gnuplot: a group of bars a cell.

Ours in greens, those that block in colours, the raw ones in greys.
"""
import math

import table

COLOURS = {
    "ours": ["#0b6e4f", "#2fa37c", "#7cc9ae"],
    "blocking": ["#1f4e9c", "#5a86c9", "#c2410c", "#b78a00", "#7a3e9d", "#00808f", "#a8325a",
                 "#e08a4f"],
    "raw": ["#555555", "#8a8a8a", "#b5b5b5", "#d6d6d6"],
}
# One bar for those that are the same queue for other numbers of threads: the best where both are.
MERGED = {"sealq-hints": "sealq-hints", "atomic_queue2-spsc": "atomic_queue2",
          "optimist-spsc": "optimist", "boost-spsc": "boost", "ck_ring-spsc": "ck_ring",
          "ck_ring-spmc": "ck_ring", "ck_ring-mpmc": "ck_ring"}
SHOWN_OF_OURS = {"sealq", "sealq-hints", "sealq-batch16"}


def bars(result):
    """{bar: (kind, {cell: millions})}, in the order of the table."""
    found = {}
    for queue in table.QUEUES.values():
        if queue.kind == "ours" and queue.name not in SHOWN_OF_OURS:
            continue
        for cell in queue.cells:
            if rate := result.millions(queue.name, cell):
                _, rates = found.setdefault(MERGED.get(queue.name, queue.name), (queue.kind, {}))
                rates[cell] = max(rate, rates.get(cell, 0))
    return found


def blocks(series, cells, width):
    """A data block a bar, `x millions label`; in a cell those that are there stand side by side."""
    rows = {name: [] for name in series}
    for centre, cell in enumerate(cells):
        there = [name for name, (_, rates) in series.items() if cell in rates]
        for i, name in enumerate(there):
            rate = series[name][1][cell]
            x = centre + width * (i - (len(there) - 1) / 2)
            rows[name].append(f"{x:.4f} {rate:.4f} {rate:.{0 if rate >= 10 else 1}f}")
    return [f"$bar{i} << END\n" + "\n".join(points) + "\nEND"
            for i, points in enumerate(rows.values())]


def plots(series):
    used = dict.fromkeys(COLOURS, 0)
    for i, (name, (kind, _)) in enumerate(series.items()):
        colour = COLOURS[kind][used[kind] % len(COLOURS[kind])]
        used[kind] += 1
        title = quoted(name + (" (raw)" if kind == "raw" else ""))
        yield f"$bar{i} using 1:2 with boxes lc rgb '{colour}' title {title} noenhanced"
        yield (f"$bar{i} using 1:2:3 with labels rotate left offset 0,0.3 font ',8' "
               "tc rgb '#444444' notitle")


def script(result, path):
    series = bars(result)
    cells = [cell for cell in table.CELLS if any(cell in rates for _, rates in series.values())]
    most = max(sum(cell in rates for _, rates in series.values()) for cell in cells)
    heights = [rate for _, rates in series.values() for rate in rates.values()]
    width = 0.88 / most
    about = result.machine
    title = ("Queues between threads: producers and consumers, 8-byte items, capacity 65,536\n"
             f"{about['cpu']}, {about['cores']} cores, {about['compiler']}, {about['date'][:10]}")
    return "\n".join(blocks(series, cells, width) + [
        "set terminal pngcairo size 1600,800 font 'sans,12' background '#ffffff'",
        f"set output {quoted(path)}",
        f"set title {quoted(title)} noenhanced",
        "set ylabel 'million items a second, logarithmic'",
        "set logscale y",
        "set format y '%g'",
        "set grid ytics mytics lt 1 lc rgb '#c8c8c8', lt 1 lc rgb '#eeeeee'",
        "set tics nomirror",
        "set border 3",
        "set key outside right top vertical Left reverse samplen 1.5 spacing 1.25",
        f"set xrange [-0.5:{len(cells) - 0.5}]",
        f"set yrange [{10 ** math.floor(math.log10(min(heights))):g}:{2 * max(heights):g}]",
        "set xtics (" + ", ".join(f"{quoted(cell)} {i}" for i, cell in enumerate(cells)) + ")",
        f"set boxwidth {width:.4f}",
        "set style fill solid 1.0 noborder",
        "plot " + ", \\\n     ".join(plots(series)),
    ]) + "\n"


def quoted(text):
    """In double quotes, as gnuplot reads them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
