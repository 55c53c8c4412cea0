# SPDX-License-Identifier: Apache-2.0
"""The queues and the cells of the matrix, and which is measured where."""
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    name: str
    producers: int
    consumers: int
    one_cpu: bool = False


CELLS = {cell.name: cell for cell in (
    Cell("1p1c", 1, 1),
    Cell("2p2c", 2, 2),
    Cell("4p4c", 4, 4),
    Cell("1p5c", 1, 5),
    Cell("8p8c", 8, 8),
    Cell("8p8c-one-cpu", 8, 8, one_cpu=True),
)}
ITEMS_STEP = 40  # what every number of producers and consumers divides


@dataclass(frozen=True)
class Queue:
    name: str
    kind: str  # ours, blocking, or raw: it spins and never sleeps
    package: str = ""  # Debian's, of what it is built from
    program: str = ""  # when not named like the queue
    options: tuple = ()
    cells: tuple = tuple(CELLS)
    hopeless: bool = False  # slower than the others everywhere: not in the quick run
    pingpong: bool = False
    memory: tuple = ()  # options of the modes in which its memory is measured

    def command(self, folder):
        if self.package == "python3":
            return ["python3", os.path.join(os.path.dirname(__file__), self.program)]
        return [os.path.join(folder, "bench_queue_" + (self.program or self.name))]


MILLION = 1000000
BOUNDED = (f"CAPACITY={MILLION}",)
MOODYCAMEL, ATOMIC_QUEUE = "libconcurrentqueue-dev", "libatomic-queue-dev"
BOOST, CK = "libboost-dev", "libck-dev"
ONE_TO_ONE = ("1p1c",)


def ours(variant, *options, **others):
    return Queue("sealq-" + variant, "ours", program="sealq", options=options, **others)


QUEUES = {queue.name: queue for queue in (
    Queue("sealq", "ours", pingpong=True, memory=BOUNDED),
    ours("hints", "HINTS=1", cells=ONE_TO_ONE, pingpong=True),
    ours("unbounded", "CAPACITY=0", memory=("CAPACITY=0",)),
    ours("batch16", "BATCH=16"),
    ours("batch16-nojoin", "BATCH=16", "JOIN_AT_END=1"),
    ours("joiner", "JOINER=1"),
    Queue("moodycamel", "blocking", MOODYCAMEL, pingpong=True, memory=BOUNDED),
    Queue("moodycamel-plain", "blocking", MOODYCAMEL, "moodycamel_plain"),
    Queue("tbb", "blocking", "libtbb-dev", pingpong=True, memory=BOUNDED),
    Queue("gasync", "blocking", "libglib2.0-dev", pingpong=True, memory=BOUNDED),
    Queue("condvar", "blocking", pingpong=True, memory=BOUNDED),
    Queue("go", "blocking", "golang-go", pingpong=True),
    Queue("crossbeam", "blocking", "rustc and librust-crossbeam-channel-dev", pingpong=True),
    Queue("cpython", "blocking", "python3", "cpython.py", cells=("1p5c",), hopeless=True),
    Queue("atomic_queue2", "raw", ATOMIC_QUEUE),
    Queue("atomic_queue2-spsc", "raw", ATOMIC_QUEUE, "atomic_queue2_spsc", cells=ONE_TO_ONE),
    Queue("optimist", "raw", ATOMIC_QUEUE, "optimist_atomic_queue"),
    Queue("optimist-spsc", "raw", ATOMIC_QUEUE, "optimist_atomic_queue_spsc", cells=ONE_TO_ONE),
    Queue("ck_ring-spsc", "raw", CK, "ck_ring_spsc", cells=ONE_TO_ONE),
    Queue("ck_ring-spmc", "raw", CK, "ck_ring_spmc", cells=("1p5c",)),
    Queue("ck_ring-mpmc", "raw", CK, "ck_ring_mpmc",
          cells=("2p2c", "4p4c", "8p8c", "8p8c-one-cpu")),
    Queue("boost", "raw", BOOST, "boost_queue"),
    Queue("boost-spsc", "raw", BOOST, "boost_spsc_queue", cells=ONE_TO_ONE),
)}

# Of ours, what the lines of the quick run need besides the plain one, and where.
QUICK_OURS = {("sealq-hints", "1p1c"), ("sealq-unbounded", "1p1c"), ("sealq-batch16", "1p1c"),
              ("sealq-batch16-nojoin", "1p1c"), ("sealq", "8p8c-one-cpu")}


def is_in_quick(queue, cell):
    if queue.name == "sealq" or queue.kind != "ours":
        return not queue.hopeless and (not cell.one_cpu or queue.kind == "ours")
    return (queue.name, cell.name) in QUICK_OURS


def known_cell(name):
    """(cell, queue of ours or None): "1p1c-hints" is the cell 1p1c and the queue sealq-hints."""
    if name in CELLS:
        return name, None
    cell, _, variant = name.partition("-")
    if cell in CELLS and "sealq-" + variant in QUEUES:
        return cell, "sealq-" + variant
    raise ValueError(f"there is no cell {name}: there are {', '.join(CELLS)}, and those with a "
                     "variant of ours, such as 1p1c-hints")


def choose(cells, queues, quick):
    """The (queue, cell) to measure, by cell; empty names mean all."""
    cells, queues = [known_cell(name) for name in cells], set(queues)
    for name in queues - set(QUEUES):
        raise ValueError(f"there is no queue {name}: there are {', '.join(QUEUES)}")
    variants = {variant for _, variant in cells if variant}
    if variants and queues:
        queues |= variants
    chosen = {cell for cell, _ in cells} or set(CELLS)
    return [(queue, cell) for cell in CELLS.values() for queue in QUEUES.values()
            if cell.name in chosen and cell.name in queue.cells
            and (queue.name in queues if queues else not quick or is_in_quick(queue, cell))]
