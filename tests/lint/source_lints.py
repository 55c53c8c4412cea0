# SPDX-License-Identifier: Apache-2.0
"""Lints that read the source tree: each takes its root and returns complaints, none when clean.

A complaint is `path:line: what is wrong: what to do`. test_lints_fail.py has a broken tree for
each; a lint without one fails there.
"""
import re
from pathlib import Path

import public_header
import tree

FILE_LINES_MAX = 800
HEADER_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

# Which folders of src/ a folder may include besides itself: the one way dependencies point.
# A program sees the public headers alone: the rest is hidden in the shared libraries.
BELOW = {
    "base": set(),
    "queue": {"base"},
    "seal": {"base"},
    "engine": {"base"},
    "channel": {"base", "queue", "seal", "engine"},
    "cli": set(),
    "serve": set(),
}
PROGRAMS = {"cli", "serve"}
# The folder that implements a public header. The umbrella is for those outside the library.
PUBLIC = {
    "sealq/version.h": "base",
    "sealq/error.h": "base",
    "sealq/queue.h": "queue",
    "sealq/consumer.h": "queue",
    "sealq/keyring.h": "seal",
    "sealq/envelope.h": "seal",
    "sealq/store.h": "channel",
    "sealq/channel.h": "channel",
    "sealq/message.h": "channel",
    "sealq/listing.h": "channel",
    "sealq/sealq.h": None,
}
# Headers of other projects, by their beginning, and the one folder that may include them.
FOREIGN = {
    "openssl/": "src/seal",
    "lmdb": "src/engine/lmdb",
    "nats": "src/engine/nats",
}

SPDX_LINE = "SPDX-License-Identifier: Apache-2.0"
NO_SPDX_LINE = {".md", ".json"}
LIBRARY_NEVER = (r"\b(?:v?printf|v?dprintf|puts|putchar|perror|v?syslog|v?warnx?|v?errx?|exit|"
                 r"_exit|_Exit|quick_exit|abort|getenv|secure_getenv)\s*\(|"
                 r"\b(?:stdout|stderr|STDOUT_FILENO|STDERR_FILENO|environ)\b")
SLEEPS = {
    ".c": r"\b(?:clock_nano|nano|u|thrd_)?sleep\s*\(",
    ".py": r"\bsleep\s*\(",
    ".sh": r"(?:^|[;&|({]|\bdo|\bthen)[ \t]*sleep\s",
}
MACHINE_PATH = r"(?<![\w.~})/-])/(?:work|root|home|Users)\b"


def every_file_has_one_spdx_line(root):
    complaints = []
    for path, text in tree.texts(root):
        if path.suffix in NO_SPDX_LINE or path.name == "LICENSE":
            continue
        count = sum(SPDX_LINE in line for line in text.splitlines()[:5])
        if count != 1:
            complaints.append(f"{path}:1: {count} SPDX lines: the first line, or that after #!, is "
                              f"to be one comment with {SPDX_LINE}")
    return complaints


def files_are_short(root):
    complaints = []
    for path, text in tree.texts(root, ".c", ".h", ".py", ".sh", ".build", ".js", ".css"):
        most = HEADER_LINES_MAX if path.suffix == ".h" else FILE_LINES_MAX
        if text.count("\n") > most:
            complaints.append(f"{path}:{most}: {text.count(chr(10))} lines: split it, the most is "
                              f"{most}")
    return complaints


def functions_are_short(root):
    """By clang-format's layout a function is from a { in the first column to a } in it."""
    complaints = []
    for path, text in tree.texts(root, ".c", ".h"):
        for number, match in tree.matches(r"^\{\n(?:.*\n)*?\}", text):
            lines = match[0].count("\n") + 1
            if lines > FUNCTION_LINES_MAX:
                complaints.append(f"{path}:{number}: a function of {lines} lines: split it, the "
                                  f"most is {FUNCTION_LINES_MAX}")
    return complaints


def includes(root):
    """(where, path, quote, name) of every #include."""
    for path, text in tree.texts(root, ".c", ".h"):
        for number, match in tree.matches(r'^[ \t]*#\s*include\s*(["<])([^">]+)',
                                          tree.code(text, strings=True)):
            yield f"{path}:{number}: includes {match[2]}", path, match[1], match[2]


def includes_point_one_way(root):
    complaints = []
    for where, path, quote, name in includes(root):
        if path.parts[0] != "src" or quote != '"':
            continue
        own, used = path.parts[1], PUBLIC.get(name, name.split("/")[0])
        if own not in BELOW:
            complaints.append(f"{where}: src/{own} has no place in BELOW of source_lints.py")
        elif name in PUBLIC and own in PROGRAMS:
            pass
        elif name.startswith("sealq/") and name not in PUBLIC:
            complaints.append(f"{where}: it has no place in PUBLIC of source_lints.py")
        elif used != own and used not in BELOW[own]:
            complaints.append(f"{where}: {own} may include, besides itself: "
                              f"{', '.join(sorted(BELOW[own])) or 'nothing of src/'}")
    return complaints


def includes_name_their_folder(root):
    """ "queue/gate.h", never "gate.h": a line then says what depends on what."""
    complaints = []
    for where, path, quote, name in includes(root):
        if path.parts[0] == "src" and quote == '"' and not any(
                "/" in name and (Path(root) / top / name).is_file() for top in ("src", "include")):
            complaints.append(f'{where}: write "folder/file.h", from src/ or include/')
        if path.parts[0] == "src" and quote == "<" and name.split("/")[0] in {*BELOW, "sealq"}:
            complaints.append(f'{where} in angle brackets: write "{name}"')
        if path.parts[0] == "include" and quote == '"' and "/" in name:
            complaints.append(f"{where}: public headers include each other as neighbours")
    return complaints


def foreign_headers_stay_in_their_folder(root):
    complaints = []
    for where, path, _, name in includes(root):
        if path.parts[0] not in ("src", "include", "examples"):
            continue
        for start, home in FOREIGN.items():
            if name.startswith(start) and not path.is_relative_to(home):
                complaints.append(f"{where}: only {home} may")
    return complaints


def library_is_silent(root):
    """It never prints, exits or reads the environment: that is for programs."""
    complaints = []
    for path, text in tree.texts(root, ".c", ".h", under="src"):
        if path.parts[1] not in PROGRAMS:
            complaints += [f"{path}:{number}: {match[0].rstrip('( ')} in the library: return a "
                           "code, and say it in sq_last_error_detail()"
                           for number, match in tree.matches(LIBRARY_NEVER, tree.code(text))]
    return complaints


def tests_never_sleep(root):
    complaints = []
    for path, text in tree.texts(root, ".c", ".h", ".py", ".sh", under="tests"):
        text = tree.code(text) if path.suffix in (".c", ".h") else re.sub(r"#.*", "", text)
        pattern = SLEEPS[".c" if path.suffix == ".h" else path.suffix]
        complaints += [f"{path}:{number}: sleeps: wait for what is awaited, with a deadline"
                       for number, _ in tree.matches(pattern, text)]
    return complaints


def tests_are_registered(root):
    """A test that Meson does not know never fails."""
    complaints = []
    for path in tree.paths(root):
        if path.parts[0] != "tests" or not re.fullmatch(r"test_\w+\.(c|py)", path.name):
            continue
        build = Path(root) / path.parent / "meson.build"
        name = path.stem.removeprefix("test_")
        if not build.is_file() or f"'{name}'" not in build.read_text(encoding="utf-8"):
            complaints.append(f"{path}:1: never runs: name '{name}' in {path.parent}/meson.build")
    return complaints


def no_path_of_one_machine(root):
    return [f"{path}:{number}: {match[0]} is a path of one machine: make it relative"
            for path, text in tree.texts(root)
            for number, match in tree.matches(MACHINE_PATH, text)]


def public_headers(root):
    """(path, text, what public_header.parse() made of it)"""
    for path, text in tree.texts(root, ".h", under="include/sealq"):
        yield path, text, public_header.parse(text)


def public_headers_are_installed(root):
    """By Meson, and by the umbrella header."""
    complaints = []
    for listing in ("include/meson.build", "include/sealq/sealq.h"):
        listed = (Path(root) / listing).read_text(encoding="utf-8")
        complaints += [f"{listing}:1: lacks {path.name}: add it"
                       for path, _, _ in public_headers(root)
                       if str(path) != listing and path.name not in listed]
    return complaints


def public_functions_are_documented(root):
    """Each parameter has its field but the object it is all about; and so have the errors."""
    complaints = []
    for path, text, header in public_headers(root):
        if header.name != path.name or not header.comment.blocks:
            complaints.append(f"{path}:1: no comment of the file: /** @file {path.name} and more")
        declared = len(re.findall(r"^SQ_API\b", text, re.MULTILINE))
        if declared != len(header.functions):
            complaints.append(f"{path}:1: {declared} SQ_API, {len(header.functions)} understood: "
                              "declare one function each")
        for function in header.functions:
            if not function.comment:
                complaints.append(f"{path}: {function.name}: no comment: /** before SQ_API")
                continue
            complaints += [f"{path}: {function.name}: {name} has no line of its own in the comment"
                           for name in wanted_fields(function) - set(function.comment.fields)]
    return complaints


def wanted_fields(function):
    """sq_queue_put() is about its sq_queue: that one needs no line."""
    names = function.parameter_names()
    about = re.match(r"(?:const )?(sq_\w+) \*\w+$", function.parameters[0]) if names else None
    if about and function.name.startswith(about[1] + "_"):
        names = names[1:]
    return set(names) | ({"Errors"} if function.returns in ("int", "ssize_t") else set())


def version_agrees_with_itself(root):
    path = "include/sealq/version.h"
    text = (Path(root) / path).read_text(encoding="utf-8")
    numbers = [re.search(rf"SQ_VERSION_{part} (\d+)$", text, re.MULTILINE)
               for part in ("MAJOR", "MINOR", "PATCH")]
    string = re.search(r'SQ_VERSION_STRING "(.*)"', text)
    version = ".".join(number[1] if number else "?" for number in numbers)
    if string and string[1] == version:
        return []
    return [f"{path}:1: the numbers say {version}, SQ_VERSION_STRING {string and string[1]}: "
            "make them agree"]


def commands(root):
    return [path.stem.removeprefix("cmd_").replace("_", "-") for path in tree.paths(root)
            if path.is_relative_to("src/cli") and re.fullmatch(r"cmd_\w+\.c", path.name)]


def commands_have_manual_pages(root):
    overview = Path(root) / "man/sealq.1"
    sections = overview.read_text(encoding="utf-8") if overview.is_file() else ""
    return [f"src/cli/cmd_{name}.c:1: no manual: write man/sealq-{name}.1, or .Ss {name} in "
            "man/sealq.1" for name in commands(root)
            if not (Path(root) / f"man/sealq-{name}.1").is_file()
            and not re.search(rf"^\.Ss {name}$", sections, re.MULTILINE)]


LINTS = [
    commands_have_manual_pages,
    every_file_has_one_spdx_line,
    files_are_short,
    foreign_headers_stay_in_their_folder,
    functions_are_short,
    includes_name_their_folder,
    includes_point_one_way,
    library_is_silent,
    no_path_of_one_machine,
    public_functions_are_documented,
    public_headers_are_installed,
    tests_are_registered,
    tests_never_sleep,
    version_agrees_with_itself,
]
