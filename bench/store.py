#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sealed channels on disk, beside what others do: medians of interleaved rounds.

    bench/store.py BENCH_STORE [ROUNDS]

256-byte messages, every acknowledged put synced. A line a case and peer, in messages a second:
`store CASE ours=… NAME=… ratio=… (aim)`. The stores lie in a temporary folder beside BENCH_STORE:
that file system is what is measured.
"""
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile

SINGLES = 1500
BODY = b"x" * 256
# case: its peers, each with the least ratio wanted or None
CASES = {
    "put-1": {"append-1": None, "lmdb-1": None, "beanstalkd": None},
    "put-64-threads": {"put-1": 15, "append-1": None},
    "put-1000": {"append-1000": None, "lmdb-1000": 0.6, "redis": None},
    "get-done-1000": {"lmdb-get-done-1000": 0.5, "beanstalkd-get-done": None},
}


def bench(program, case, folder):
    process = subprocess.run([program, case, folder], capture_output=True, check=True, text=True,
                             timeout=300)
    return {case: float(process.stdout)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, process):
    while process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            pass
    raise RuntimeError(f"{process.args[0]} has ended")


def timed(count, work):
    import time
    start = time.monotonic()
    work()
    return count / (time.monotonic() - start)


def beanstalkd(folder):
    port = free_port()
    process = subprocess.Popen(["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", folder,
                                "-f0"], stdout=subprocess.DEVNULL)
    try:
        with connect(port, process) as connection:
            replies = connection.makefile("rb")

            def put():
                for _ in range(SINGLES):
                    connection.sendall(b"put 100 0 30 %d\r\n%s\r\n" % (len(BODY), BODY))
                    assert replies.readline().startswith(b"INSERTED")

            def reserve_and_delete():
                for _ in range(SINGLES):
                    connection.sendall(b"reserve\r\n")
                    _, number, size = replies.readline().split()
                    replies.read(int(size) + 2)
                    connection.sendall(b"delete %s\r\n" % number)
                    assert replies.readline() == b"DELETED\r\n"

            return {"beanstalkd": timed(SINGLES, put),
                    "beanstalkd-get-done": timed(SINGLES, reserve_and_delete)}
    finally:
        process.kill()
        process.wait()


def redis(folder):
    port = free_port()
    process = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port),
                                "--dir", folder, "--appendonly", "yes", "--appendfsync", "always",
                                "--save", ""], stdout=subprocess.DEVNULL)
    try:
        connect(port, process).close()
        output = subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "10",
                                 "-P", "100", "-n", "60000", "--csv", "XADD", "s", "*", "b",
                                 BODY.decode()], capture_output=True, check=True, text=True,
                                timeout=300).stdout
        return {"redis": float(re.findall(r'","([\d.]+)"', output)[0])}
    finally:
        process.kill()
        process.wait()


def peers():
    """Those that are installed; the others are named."""
    found = []
    for program, function in (("beanstalkd", beanstalkd), ("redis-server", redis)):
        if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            found.append(function)
        else:
            print(f"store: {program} is not installed: left out", file=sys.stderr)
    return found


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9
    names = {name for peer in CASES.values() for name in peer} | set(CASES)
    ours = sorted(name for name in names if "beanstalkd" not in name and name != "redis")
    figures, others = {}, peers()
    for _ in range(rounds):
        for job in [lambda folder, case=case: bench(program, case, folder) for case in ours] + others:
            with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(program))) as folder:
                for name, figure in job(folder).items():
                    figures.setdefault(name, []).append(figure)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for case, wanted in CASES.items():
        for peer, least in wanted.items():
            if peer in medians:
                aim = f" (aim {least})" if least else ""
                print(f"store {case} ours={medians[case]:.0f} {peer}={medians[peer]:.0f} "
                      f"ratio={medians[case] / medians[peer]:.2f}{aim}")


if __name__ == "__main__":
    main()
