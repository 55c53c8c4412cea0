# SPDX-License-Identifier: Apache-2.0
"""tools/man-from-header.py: what a comment says is on the page, and none of it is a request."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tap

TOOL = Path(__file__).resolve().parents[2] / "tools/man-from-header.py"
HEADER = r"""/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file thing.h
 * A thing: it does things.
 *
 *     .put ──► [ a\n ] ──► get
 *
 * .Such a line begins with a dot; `code` does not. A "quoted" \e word.
 */
#ifndef SEALQ_THING_H
#define SEALQ_THING_H
#include "error.h"

#define SQ_THING_MAX 4 /**< the most */

/**
 * Make one.
 *
 * count       how many
 *             there are.
 * ret_things  as many; see sq_thing_max().
 * Errors      SQ_EFULL.
 */
SQ_API int sq_thing_make(size_t count,
                         sq_thing *const *ret_things);

/** The most. */
SQ_API int sq_thing_max(void);
#endif
"""
VERSION = '#define SQ_VERSION_STRING "1.2.3"\n'
ERRORS = "    SQ_EFULL = -3, /**< no room */\n    SQ_EX = -4 /**< another */\n"


class ManFromHeader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        for name, text in (("thing.h", HEADER), ("version.h", VERSION), ("error.h", ERRORS)):
            (cls.folder / name).write_text(text, encoding="utf-8")
        cls.run_tool("--output", str(cls.folder))
        cls.page = (cls.folder / "sealq-thing.3").read_text(encoding="utf-8")

    @classmethod
    def run_tool(cls, *arguments):
        environment = os.environ | {"SOURCE_DATE_EPOCH": "86400"}
        return subprocess.run([sys.executable, str(TOOL), *arguments, str(cls.folder / "thing.h")],
                              check=True, env=environment, capture_output=True, text=True).stdout

    def assert_has(self, *lines):
        self.assertIn("\n" + "\n".join(lines) + "\n", self.page)

    def test_list_names_what_is_written(self):
        names = self.run_tool("--list").split()
        self.assertEqual(names, ["sealq-thing.3", "sq_thing_make.3", "sq_thing_max.3"])
        for name in names:
            self.assertTrue((self.folder / name).is_file(), name)

    def test_a_function_has_a_page_that_links_to_its_header(self):
        link = (self.folder / "sq_thing_make.3").read_text(encoding="utf-8")
        self.assertEqual(link, ".so man3/sealq-thing.3\n")

    def test_the_head_has_names_version_and_the_date_it_was_given(self):
        self.assert_has(".Dd January 2, 1970", ".Dt SEALQ-THING 3", ".Os sealq 1.2.3", ".Sh NAME",
                        ".Nm sealq-thing ,", ".Nm sq_thing_make ,", ".Nm sq_thing_max",
                        ".Nd A thing")

    def test_the_synopsis_has_the_prototypes(self):
        self.assert_has(".In sealq/thing.h", ".Ft \"int\"", ".Fo sq_thing_make",
                        ".Fa \"size_t count\"", ".Fa \"sq_thing *const *ret_things\"", ".Fc")
        self.assert_has(".Fo sq_thing_max", ".Fa \"void\"", ".Fc")

    def test_a_picture_stays_as_it_is(self):
        self.assert_has(".Bd -literal -offset indent", "\\&.put ──► [ a\\en ] ──► get", ".Ed")

    def test_text_is_never_a_request(self):
        self.assert_has("\\&.Such a line begins with a dot;", "\\fBcode\\fP does not.",
                        "A \"quoted\" \\ee word.")

    def test_macros_and_types_are_shown_and_plumbing_is_not(self):
        self.assert_has("#define SQ_THING_MAX 4 /* the most */")
        for absent in ("#ifndef", "#endif", "error.h\"", "SQ_API"):
            self.assertNotIn(absent, self.page)

    def test_fields_become_a_list(self):
        self.assert_has(".It Fa count", "how many there are.", ".It Fa ret_things", "as many;",
                        "see \\fBsq_thing_max\\fP().", ".It Sy Errors", "SQ_EFULL.")

    def test_errors_are_those_that_are_named(self):
        self.assert_has(".Sh ERRORS", ".Bl -tag -width SQ_ESHUTDOWN", ".It Er SQ_EFULL Pq -3",
                        "no room", ".El")

    def test_mandoc_shows_text_and_picture(self):
        mandoc = shutil.which("mandoc")
        if not mandoc:
            self.skipTest("no mandoc: apt install mandoc")
        shown = subprocess.run([mandoc, "-T", "utf8", str(self.folder / "sealq-thing.3")],
                               check=True, capture_output=True, text=True).stdout
        for text in (".put ──► [ a\\n ] ──► get", ".Such a line begins with a dot;", "\\e word."):
            self.assertIn(text, shown)


if __name__ == "__main__":
    tap.main()
