# SPDX-License-Identifier: Apache-2.0
"""The files of a source tree, and C without its comments."""
import os
import re
import subprocess
from pathlib import Path

C_TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def paths(root):
    """What git tracks or would add, sorted; in a tarball: everything but what was built."""
    root = Path(root)
    found = known_to_git(root) if (root / ".git").exists() else None
    if found is None:  # git is absent, or refuses another user's tree
        found = walk(root)
    return sorted(path for path in found if (root / path).is_file())


def known_to_git(root):
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
               "--exclude-standard"]
    try:
        process = subprocess.run(command, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {Path(name) for name in process.stdout.split("\0") if name}


def walk(root):
    found = set()
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in (".git", "__pycache__")
                    and not (Path(folder) == root and name.startswith("build"))
                    and not (Path(folder) / name / "meson-private").exists()]
        found |= {(Path(folder) / name).relative_to(root) for name in files}
    return found


def texts(root, *suffixes, under=""):
    """(path, text) of the text files whose names end so, in a folder or in all."""
    for path in paths(root):
        if under and not path.is_relative_to(under) or suffixes and path.suffix not in suffixes:
            continue
        content = (Path(root) / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode(errors="replace")


def code(text, strings=False):
    """C with comments, and strings unless wanted, blanked; lines keep their numbers."""
    def blank(token):
        if strings and token[0][0] in "\"'":
            return token[0]
        return re.sub(r"[^\n]", " ", token[0])
    return C_TOKEN.sub(blank, text)


def matches(pattern, text):
    """(line number, match) of every match."""
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match
