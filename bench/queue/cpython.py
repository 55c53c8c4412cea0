#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPython's queue.Queue with task_done, which ours is modelled on: what harness.h does."""
import queue
import sys
import threading
import time

CAPACITY = 65536


def main():
    producers, consumers, items = map(int, sys.argv[1:4])
    channel = queue.Queue(CAPACITY)
    ready = threading.Barrier(producers + consumers)
    starts, ends, sums = [], [], []

    def timed(work, *arguments):
        ready.wait()
        starts.append(time.monotonic())
        sums.append(work(*arguments))
        ends.append(time.monotonic())

    def produce(first, count):
        for value in range(first, first + count):
            channel.put(value)
        return 0

    def consume(count):
        total = 0
        for _ in range(count):
            total += channel.get()
            channel.task_done()
        return total

    share = items // producers
    threads = [threading.Thread(target=timed, args=(produce, 1 + i * share, share))
               for i in range(producers)]
    threads += [threading.Thread(target=timed, args=(consume, items // consumers))
                for _ in range(consumers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(sums) != items * (items + 1) // 2:
        sys.exit("items were lost or doubled")
    print(f"{max(ends) - min(starts):.6f}")


if __name__ == "__main__":
    main()
