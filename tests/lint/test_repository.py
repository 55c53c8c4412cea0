# SPDX-License-Identifier: Apache-2.0
"""Every lint, on this source tree and what was built from it: a test a lint."""
import os
import shutil
import unittest
from pathlib import Path

import built_lints
import source_lints
import tap

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def built(name, what):
    """What Meson says in the environment, empty when it was not built or found."""
    value = os.environ.get(name, "")
    if not value:
        raise unittest.SkipTest(what)
    return value


class Repository(unittest.TestCase):
    def check(self, complaints):
        if complaints:
            self.fail("\n" + "\n".join(complaints))

    def test_headers_compile_alone_as_c(self):
        compiler = built("CC", "no C compiler")
        self.check(built_lints.headers_compile_alone(ROOT, compiler, "c", "c11"))

    def test_headers_compile_alone_as_cpp(self):
        compiler = built("CXX", "no C++ compiler: apt install g++")
        self.check(built_lints.headers_compile_alone(ROOT, compiler, "c++", "c++11"))

    def test_exports_are_prefixed(self):
        for library in built("LIBRARIES", "no library").split():
            self.check(built_lints.exports_are_prefixed(os.environ["NM"], library))

    def test_exports_are_listed(self):
        for library in built("LIBRARIES", "no library").split():
            name = Path(library).name.split(".so")[0].removeprefix("lib")
            golden = HERE / f"exports-{name}.txt"
            self.check(built_lints.exports_are_listed(os.environ["NM"], library, golden))

    def test_help_fits_80_columns(self):
        sealq = built("SEALQ", "built without the command line")
        self.check(built_lints.help_fits_80_columns(ROOT, sealq))

    def test_options_are_in_the_manual(self):
        sealq = built("SEALQ", "built without the command line")
        self.check(built_lints.options_are_in_the_manual(ROOT, sealq))

    def test_headers_have_manual_pages(self):
        folder = built("MAN_PAGES", "built without the manual pages")
        self.check(built_lints.headers_have_manual_pages(ROOT, folder))

    def test_manual_pages_are_clean(self):
        mandoc = shutil.which("mandoc")
        if not mandoc:
            self.skipTest("no mandoc: apt install mandoc")
        pages = [*(ROOT / "man").glob("*.[1-9]")]
        if folder := os.environ.get("MAN_PAGES"):
            pages += Path(folder).glob("*.3")
        self.check(built_lints.manual_pages_are_clean(mandoc, pages))


def add(lint):
    setattr(Repository, "test_" + lint.__name__, lambda self: self.check(lint(ROOT)))


for each in source_lints.LINTS:
    add(each)

if __name__ == "__main__":
    tap.main()
