#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sealing and opening, beside OpenSSL: medians of interleaved rounds on one processor.

    bench/seal.py BENCH_SEAL [ROUNDS]

A line a case, `seal CASE ours=… NAME=… ratio=… (aim)`. Where more is better (GB/s) the aim is a
least ratio, where less is better (ns) a most.
"""
import os
import re
import statistics
import subprocess
import sys

LARGE_BYTES = 65536
SPEED_BYTES = 16384


def run(*command):
    process = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)
    return process.stdout


def ours(program):
    """Nanoseconds by case."""
    return {case: float(ns) for case, ns in (line.split() for line in run(program).splitlines())}


def openssl_bytes_per_s():
    text = run("openssl", "speed", "-mr", "-seconds", "1", "-bytes", str(SPEED_BYTES),
               "-evp", "aes-256-gcm")
    return float(re.search(r"\+F:\d+:AES-256-GCM:([\d.]+)", text).group(1))


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the children inherit it
    samples, speeds = [], []
    for _ in range(rounds):
        samples.append(ours(program))
        speeds.append(openssl_bytes_per_s() / 1e9)
    ns = {case: statistics.median(sample[case] for sample in samples) for case in samples[0]}
    speed = statistics.median(speeds)

    for case in ("seal-64k", "open-64k"):
        rate = LARGE_BYTES / ns[case]
        print(f"seal {case} ours={rate:.2f}GB/s openssl-speed-16k={speed:.2f}GB/s "
              f"ratio={rate / speed:.2f} (aim: at least 0.9)")
    for case in ("seal-256", "open-256"):
        bare = ns[case + "-evp"]
        print(f"seal {case} ours={ns[case]:.0f}ns evp={bare:.0f}ns ratio={ns[case] / bare:.2f} "
              "(aim: at most 350 ns and 1.6)")
    for case, aim_ns in (("new-session", 5000), ("junk", 3000)):
        print(f"seal {case} ours={ns[case]:.0f}ns aim={aim_ns}ns ratio={ns[case] / aim_ns:.2f} "
              "(aim: at most 1)")


if __name__ == "__main__":
    main()
