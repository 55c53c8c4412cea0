#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds a peer in Go or Rust from Debian's packages alone: nothing comes from the network.

    build_foreign.py go|rustc SOURCE PROGRAM FOLDER

A peer that can't be built must not stop the others: PROGRAM then is a script that says why and
exits with 77, by which bench/queue.py knows.
"""
import os
import shlex
import subprocess
import sys
from pathlib import Path

CRATES = Path("/usr/share/cargo/registry")
RUST_OPTIONS = ["--edition", "2018", "-C", "opt-level=3", "--cap-lints", "allow"]


def run(command, **environment):
    process = subprocess.run(command, capture_output=True, text=True,
                             env={**os.environ, **environment})
    if process.returncode != 0:
        raise RuntimeError(process.stderr.strip() or f"{command[0]} failed")


def build_go(source, program, folder):
    run(["go", "build", "-o", program, source], GO111MODULE="off", GOFLAGS="-mod=mod",
        GOTOOLCHAIN="local", GOCACHE=str(Path(folder).resolve()))


def crate(name):
    versions = sorted(CRATES.glob(f"{name}-[0-9]*"))
    if not versions:
        raise RuntimeError(f"{CRATES} has no {name}: install librust-crossbeam-channel-dev")
    return str(versions[-1] / "src/lib.rs")


def build_rustc(source, program, folder):
    """Without cargo, which would want to know about every other crate. Debian's rustc first."""
    rustc = "/usr/bin/rustc" if os.access("/usr/bin/rustc", os.X_OK) else "rustc"
    compiler, externs = [rustc, *RUST_OPTIONS, "-L", folder], []
    for name, features in (("cfg-if", []), ("crossbeam-utils", ["std"]),
                           ("crossbeam-channel", ["std", "crossbeam-utils"])):
        crate_name = name.replace("-", "_")
        options = [part for feature in features for part in ("--cfg", f'feature="{feature}"')]
        run([*compiler, *externs, "--crate-type", "rlib", "--crate-name", crate_name,
             "--out-dir", folder, *options, crate(name)])
        externs += ["--extern", f"{crate_name}={folder}/lib{crate_name}.rlib"]
    run([*compiler, *externs, "-o", program, source])


def main():
    language, source, program, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    try:
        {"go": build_go, "rustc": build_rustc}[language](source, program, folder)
    except (OSError, RuntimeError) as error:
        reason = shlex.quote(f"not built: {error}")
        Path(program).write_text(f"#!/bin/sh\necho {reason} >&2\nexit 77\n", encoding="utf-8")
        os.chmod(program, 0o755)


if __name__ == "__main__":
    main()
