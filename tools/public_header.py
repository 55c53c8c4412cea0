# SPDX-License-Identifier: Apache-2.0
"""Reads a public header: its comments are the reference, for the manual pages and the lints.

A comment is paragraphs, pictures (indented by four columns), and then fields:

    timeout_ms  how long to wait
                and what that means.
"""
import re
from dataclasses import dataclass

FILE_COMMENT = re.compile(r"/\*\*\n \* @file (\S+)\n(.*?)\*/\n", re.DOTALL)
FUNCTION = re.compile(r"(?:/\*\*((?:(?!\*/).)*)\*/\s*)?^SQ_API\s+([^;]*?)(\w+)\s*\(([^;]*)\)\s*;\n",
                      re.DOTALL | re.MULTILINE)
# What is needed to be a header, and says nothing to its reader.
PLUMBING = [
    re.compile(r"^/\* SPDX-.*\n", re.MULTILINE),
    re.compile(r"^#ifndef (\w+_H)\n#define \1\n", re.MULTILINE),
    re.compile(r"^#include .*\n", re.MULTILINE),
    re.compile(r"^#ifdef __cplusplus\n.*?^#endif\n", re.DOTALL | re.MULTILINE),
    re.compile(r"^#endif\s*\Z", re.MULTILINE),
]
FIELD = re.compile(r"([A-Za-z_]\w*) {2,}(\S.*)")
PICTURE_INDENT = 4


@dataclass
class Comment:
    blocks: list  # of ("text" or "picture", its lines)
    fields: dict  # name: text, in the order of the comment


@dataclass
class Function:
    name: str
    returns: str
    parameters: list  # as declared: "int64_t timeout_ms"
    comment: Comment  # None: there is none

    def parameter_names(self):
        return [re.search(r"(\w+)(?:\[\])?$", declared)[1] for declared in self.parameters]


@dataclass
class Header:
    name: str
    comment: Comment
    functions: list
    others: str  # types, constants, macros: as they stand


def parse_comment(raw):
    comment, field, separated = Comment([], {}), None, True
    for line in raw.strip("\n").splitlines():
        line = re.sub(r"^\s*\* ?", "", line).rstrip()
        indent = len(line) - len(line.lstrip())
        start = FIELD.fullmatch(line)
        if not line:
            field, separated = None, True
        elif start:
            field = start[1]
            comment.fields[field] = start[2]
        elif field and indent >= PICTURE_INDENT:
            comment.fields[field] += " " + line.strip()
        else:
            field = None
            add_line(comment.blocks, line, indent, separated)
            separated = False
    return comment


def add_line(blocks, line, indent, separated):
    kind = "picture" if indent >= PICTURE_INDENT else "text"
    if separated or blocks[-1][0] != kind:
        blocks.append((kind, []))
    blocks[-1][1].append(line[PICTURE_INDENT:] if kind == "picture" else line.strip())


def parse_function(match):
    comment, returns, name, parameters = match.groups()
    declared = [" ".join(each.split()) for each in parameters.split(",")]
    return Function(name, " ".join(returns.split()), [] if declared == ["void"] else declared,
                    parse_comment(comment) if comment else None)


def parse(text):
    opening = FILE_COMMENT.search(text)
    functions = [parse_function(match) for match in FUNCTION.finditer(text)]
    others = FUNCTION.sub("", FILE_COMMENT.sub("", text))
    for pattern in PLUMBING:
        others = pattern.sub("", others)
    others = re.sub(r"\n{3,}", "\n\n", others).strip()
    return Header(opening[1] if opening else "", parse_comment(opening[2] if opening else ""),
                  functions, others)
