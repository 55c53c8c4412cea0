#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the manual page (mdoc) of a public header from its comments.

    man-from-header.py --list HEADER            the names of the pages, the header's own first
    man-from-header.py --output FOLDER HEADER   writes them

queue.h becomes sealq-queue.3, and a link to it for each function: sq_queue_put.3 and so on.
"""
import argparse
import datetime
import os
import re
from pathlib import Path

import public_header

ERROR_CODE = re.compile(r"(SQ_E\w+) = (-\d+),? +/\*\*< (.*) \*/")


def page_name(path):
    return "sealq" if path.stem == "sealq" else "sealq-" + path.stem


def escape(text):
    return text.replace("\\", "\\e")


def literal(line):
    """A line as it stands: troff would take a leading dot or quote for a request."""
    return ("\\&" if line[:1] in (".", "'") else "") + escape(line)


def argument(text):
    """One argument of a macro, blanks and all: a declaration, which has no quotes in it."""
    return '"' + escape(text) + '"'


def prose(text):
    """Text in sentences: a line each, functions and `code` in bold."""
    text = re.sub(r"\b(sq_\w+)\(\)", r"\\fB\1\\fP()", escape(text))
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fP", text)
    return [("\\&" if line[0] in ".'" else "") + line for line in re.split(r"(?<=[.:;]) +", text)]


def display(lines):
    return [".Bd -literal -offset indent", *map(literal, lines), ".Ed"]


def paragraphs(blocks):
    page = []
    for kind, lines in blocks:
        page += display(lines) if kind == "picture" else [".Pp", *prose(" ".join(lines))]
    # mdoc begins a section with a paragraph of its own.
    return page[1:] if page[:1] == [".Pp"] else page


def synopsis(path, header):
    page = [".Sh SYNOPSIS", f".In sealq/{path.name}"]
    for function in header.functions:
        page += [f".Ft {argument(function.returns)}", f".Fo {function.name}"]
        page += [f".Fa {argument(declared)}" for declared in function.parameters or ["void"]]
        page += [".Fc"]
    return page


def description(header):
    page = [".Sh DESCRIPTION", *paragraphs(header.comment.blocks)]
    if header.others:
        plain = header.others.replace("/**<", "/*").replace("/**", "/*")
        page += [".Ss Types and constants", *display(plain.splitlines())]
    return page


def describe_function(function):
    page = [f".Ss {function.name}"]
    if not function.comment:
        return page
    page += paragraphs(function.comment.blocks)
    if function.comment.fields:
        page += [".Bl -tag -width timeout_ms"]
        for name, text in function.comment.fields.items():
            macro = "Fa" if name in function.parameter_names() else "Sy"
            page += [f".It {macro} {name}", *prose(text)]
        page += [".El"]
    return page


def errors(path, text):
    """The codes that the header names, with their meaning, which error.h alone tells."""
    meanings = ERROR_CODE.findall((path.parent / "error.h").read_text(encoding="utf-8"))
    named = [row for row in meanings if re.search(rf"\b{row[0]}\b", text)]
    if not named:
        return []
    page = [".Sh ERRORS", ".Bl -tag -width SQ_ESHUTDOWN"]
    for name, number, meaning in named:
        page += [f".It Er {name} Pq {number}", *prose(meaning)]
    return page + [".El"]


def see_also(path):
    others = sorted(page_name(other) for other in path.parent.glob("*.h") if other != path)
    references = [("sealq", 1), *((name, 3) for name in others)]
    lines = [f".Xr {name} {section} ," for name, section in references]
    return [".Sh SEE ALSO", *lines[:-1], lines[-1].removesuffix(" ,")]


def date_of(path):
    """Of the release where its maker says so, for the same input has to give the same page."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", path.stat().st_mtime))
    date = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{date:%B} {date.day}, {date.year}"


def make_page(path):
    text = path.read_text(encoding="utf-8")
    header = public_header.parse(text)
    version = re.search(r'SQ_VERSION_STRING "(.*)"',
                        (path.parent / "version.h").read_text(encoding="utf-8"))[1]
    name = page_name(path)
    names = [name, *(function.name for function in header.functions)]
    summary = " ".join(header.comment.blocks[0][1]).split(": ")[0].removesuffix(".")
    page = [
        '.\\" SPDX-License-Identifier: Apache-2.0',
        f'.\\" Made from sealq/{path.name} by man-from-header.py: edit that.',
        f".Dd {date_of(path)}", f".Dt {name.upper()} 3", f".Os sealq {version}",
        ".Sh NAME", *(f".Nm {each} ," for each in names[:-1]), f".Nm {names[-1]}",
        f".Nd {escape(summary)}",
        *synopsis(path, header), *description(header),
    ]
    if header.functions:
        page += [".Sh FUNCTIONS"]
    for function in header.functions:
        page += describe_function(function)
    return "\n".join(page + errors(path, text) + see_also(path)) + "\n"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--output", type=Path)
    arguments.add_argument("header", type=Path)
    wanted = arguments.parse_args()
    page = page_name(wanted.header) + ".3"
    functions = public_header.parse(wanted.header.read_text(encoding="utf-8")).functions
    links = [function.name + ".3" for function in functions]
    if wanted.list:
        print("\n".join([page, *links]))
        return
    (wanted.output / page).write_text(make_page(wanted.header), encoding="utf-8")
    for link in links:
        (wanted.output / link).write_text(f".so man3/{page}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
