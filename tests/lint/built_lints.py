# SPDX-License-Identifier: Apache-2.0
"""Lints of what was built, and of headers by compiling them; they return complaints."""
import re
import shlex
import subprocess
from pathlib import Path

import source_lints

HELP_COLUMNS_MAX = 80
# What the linker, the sanitizers and gcov add to a library.
NOT_OURS = re.compile(r"_init|_fini|_edata|_end|__bss_start|mangle_path|"
                      r"__(asan|odr_asan|ubsan|gcov|llvm)_?.*")


def run(command, **options):
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60,
                          **options)


def headers_compile_alone(root, compiler, language, standard):
    """From a file that includes the header only, and twice: its guard holds."""
    complaints = []
    for path, _, _ in source_lints.public_headers(root):
        include = f'#include "{path.relative_to("include")}"\n'
        process = run([*shlex.split(compiler), "-x", language, f"-std={standard}", "-pedantic",
                       "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                       "-I", str(Path(root) / "include"), "-"],
                      input=2 * include + "extern int sqi_never_an_empty_file;\n")
        if process.returncode != 0:
            complaints.append(f"{path}:1: does not compile alone as {standard}: include what it "
                              f"needs:\n{process.stderr}")
    return complaints


def exported(nm, library):
    process = run([nm, "-D", "--defined-only", "--format=posix", library])
    process.check_returncode()
    names = {line.split()[0].split("@")[0] for line in process.stdout.splitlines()}
    return {name for name in names if not NOT_OURS.fullmatch(name)}


def exports_are_prefixed(nm, library):
    return [f"{Path(library).name}: exports {name}: make it static or leave SQ_API out, or begin "
            "its name with sq_ or, for our own libraries, sqi_" for name in sorted(exported(nm, library))
            if not name.startswith(("sq_", "sqi_"))]


def exports_are_listed(nm, library, golden):
    """golden has a symbol a line; # begins a comment."""
    golden = Path(golden)
    lines = golden.read_text(encoding="utf-8").splitlines() if golden.is_file() else []
    listed = {line for line in lines if line and not line.startswith("#")}
    found = exported(nm, library)
    return [f"{golden.name}: {name} is exported and not listed: when users shall have it, for "
            "good, add its line" for name in sorted(found - listed)] + [
            f"{golden.name}: {name} is listed and not exported: programs that use it break; when "
            "that is meant, delete its line and raise the major version"
            for name in sorted(listed - found)]


def help_texts(root, sealq):
    """(arguments, the finished process) of every way to be helped."""
    listing = run([sealq, "help", "--all"])
    listed = re.findall(r"^  ([a-z][a-z-]*) +\S", listing.stdout, re.MULTILINE)
    names = sorted({*listed, *source_lints.commands(root)})
    asked = [["help"], ["help", "--all"], ["--help"], *([name, "--help"] for name in names)]
    return [(arguments, run([sealq, *arguments])) for arguments in asked]


def help_fits_80_columns(root, sealq):
    complaints = []
    for arguments, process in help_texts(root, sealq):
        command = " ".join(["sealq", *arguments])
        if process.returncode != 0 or not process.stdout:
            complaints.append(f"{command}: exit {process.returncode}, no help: {process.stderr}")
        complaints += [f"{command}: {len(line)} columns, the most is {HELP_COLUMNS_MAX}: {line}"
                       for line in process.stdout.splitlines() if len(line) > HELP_COLUMNS_MAX]
    return complaints


def options_are_in_the_manual(root, sealq):
    """Each option that a --help shows, in the command's page or in sealq.1."""
    complaints = []
    for arguments, process in help_texts(root, sealq):
        pages = [Path(root) / f"man/{name}.1" for name in ("sealq", "sealq-" + arguments[0])]
        manual = "".join(page.read_text(encoding="utf-8") for page in pages if page.is_file())
        for option in re.findall(r"^  --([a-z][a-z-]*)", process.stdout, re.MULTILINE):
            if not re.search(rf"\bFl -{option}\b(?!-)", manual):
                complaints.append(f"sealq {arguments[0]}: --{option} is not in its manual page")
    return complaints


def headers_have_manual_pages(root, built):
    """queue.h has sealq-queue.3, and each of its functions a page that links there."""
    complaints = []
    for path, _, header in source_lints.public_headers(root):
        page = "sealq.3" if path.stem == "sealq" else f"sealq-{path.stem}.3"
        if not (Path(built) / page).is_file():
            complaints.append(f"{path}:1: {page} was not made: see man/meson.build")
        for function in header.functions:
            link = Path(built) / f"{function.name}.3"
            if not link.is_file() or link.read_text(encoding="utf-8") != f".so man3/{page}\n":
                complaints.append(f"{path}: {link.name} is no link to {page}: see man/meson.build")
    return complaints


def manual_pages_are_clean(mandoc, pages):
    """mandoc's warnings; a link page is left out, for mandoc calls every .so fragile."""
    pages = [page for page in map(Path, pages)
             if not page.read_text(encoding="utf-8").startswith(".so ")]
    process = run([mandoc, "-T", "lint", "-W", "warning", *map(str, pages)])
    return process.stdout.splitlines() + process.stderr.splitlines()


LINTS = [
    exports_are_listed,
    exports_are_prefixed,
    headers_compile_alone,
    headers_have_manual_pages,
    help_fits_80_columns,
    manual_pages_are_clean,
    options_are_in_the_manual,
]
