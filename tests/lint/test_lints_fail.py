# SPDX-License-Identifier: Apache-2.0
"""A check that cannot fail is a defect: each lint meets a tree that breaks its rule, and says so.

Words that the lints look for in this file too are written in two halves.
"""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import built_lints
import source_lints
import tap
import tree

SLEEP = "sle" "ep"
DOCUMENTED = """/**
 * @file queue.h
 * A queue.
 */
typedef struct sq_queue sq_queue;
/**
 * Put.
 *
 * item    any.
 * Errors  SQ_EFULL.
 */
SQ_API int sq_queue_put(sq_queue *queue, void *item);
"""


class LintCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def make(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def make_program(self, name, script):
        self.make({name: "#!/bin/sh\n" + script})
        (self.root / name).chmod(0o755)
        return str(self.root / name)

    def assert_one(self, complaints, *words):
        self.assertEqual(len(complaints), 1, complaints)
        for word in words:
            self.assertIn(word, complaints[0])

    def assert_broken(self, lint, files, *words):
        """The lint has one complaint of a tree of those files, with those words."""
        self.make(files)
        self.assert_one(lint(self.root), *words)


class SourceLints(LintCase):
    def test_every_file_has_one_spdx_line_fails_without(self):
        self.assert_broken(source_lints.every_file_has_one_spdx_line,
                           {"Makefile": "all:\n", "README.md": "", "LICENSE": ""},
                           "Makefile:1: 0 SPDX")

    def test_every_file_has_one_spdx_line_fails_with_two(self):
        line = "# " + source_lints.SPDX_LINE + "\n"
        self.assert_broken(source_lints.every_file_has_one_spdx_line,
                           {"run": "#!/bin/sh\n" + line, "twice.py": line + line},
                           "twice.py:1: 2 SPDX")

    def test_files_are_short_fails_above_800_lines(self):
        self.assert_broken(source_lints.files_are_short,
                           {"src/a.c": 800 * "\n", "src/b.c": 801 * "\n"}, "src/b.c:", "801")

    def test_files_are_short_fails_for_a_header_above_300_lines(self):
        self.assert_broken(source_lints.files_are_short,
                           {"src/a.h": 300 * "\n", "src/b.h": 301 * "\n"}, "src/b.h:", "301")

    def test_functions_are_short_fails_above_70_lines(self):
        self.assert_broken(source_lints.functions_are_short, {
            "src/a.c": "int f(void)\n{\n" + 68 * "    if (x) {\n" + "}\n"
                       "int g(void)\n{\n" + 69 * "    }\n" + "}\n"}, "src/a.c:73:", "71 lines")

    def test_includes_point_one_way_fails_upwards(self):
        self.assert_broken(source_lints.includes_point_one_way,
                           {"src/base/a.c": '#include "queue/gate.h"\n'},
                           "src/base/a.c:1: includes queue/gate.h")

    def test_includes_point_one_way_fails_sideways(self):
        self.assert_broken(source_lints.includes_point_one_way,
                           {"src/queue/a.c": '\n#include "seal/envelope.h"\n'}, "src/queue/a.c:2:")

    def test_includes_point_one_way_fails_from_a_program_into_the_library(self):
        self.assert_broken(source_lints.includes_point_one_way, {
            "src/cli/a.c": '#include "sealq/sealq.h"\n#include "base/clock.h"\n'}, "a.c:2:")

    def test_includes_point_one_way_fails_for_the_public_header_of_a_folder_above(self):
        self.assert_broken(source_lints.includes_point_one_way, {
            "src/base/a.h": '#include "sealq/error.h"\n#include "sealq/queue.h"\n'}, "a.h:2:")

    def test_includes_point_one_way_fails_for_the_umbrella_in_the_library(self):
        self.assert_broken(source_lints.includes_point_one_way,
                           {"src/channel/a.c": '#include "sealq/sealq.h"\n'}, "a.c:1:")

    def test_includes_point_one_way_fails_for_an_unknown_folder(self):
        self.assert_broken(source_lints.includes_point_one_way,
                           {"src/misc/a.c": '#include "base/clock.h"\n'}, "BELOW")

    def test_includes_point_one_way_fails_for_an_unknown_public_header(self):
        self.assert_broken(source_lints.includes_point_one_way,
                           {"src/channel/a.c": '#include "sealq/news.h"\n'}, "PUBLIC")

    def test_includes_name_their_folder_fails_for_a_neighbour(self):
        self.assert_broken(source_lints.includes_name_their_folder,
                           {"src/queue/a.c": '/* "x */\n\n#include "gate.h"\n',
                            "src/queue/gate.h": ""}, "src/queue/a.c:3:")

    def test_includes_name_their_folder_fails_for_angle_brackets(self):
        self.assert_broken(source_lints.includes_name_their_folder,
                           {"src/queue/a.c": "#include <stdio.h>\n#include <sealq/queue.h>\n"},
                           "a.c:2:")

    def test_includes_name_their_folder_fails_for_a_folder_in_a_public_header(self):
        self.assert_broken(source_lints.includes_name_their_folder, {
            "include/sealq/queue.h": '#include "sealq/error.h"\n', "include/sealq/error.h": ""},
            "queue.h:1:")

    def test_foreign_headers_stay_in_their_folder_fails_elsewhere(self):
        for name, home in (("openssl/evp.h", "seal"), ("lmdb.h", "engine/lmdb"),
                           ("nats/nats.h", "engine/nats")):
            self.assert_broken(source_lints.foreign_headers_stay_in_their_folder, {
                f"src/{home}/a.c": f"#include <{name}>\n",
                "src/channel/a.c": f"#include <{name}>\n"}, "src/channel/a.c:1:")

    def test_library_is_silent_fails_when_it_prints(self):
        self.assert_broken(source_lints.library_is_silent, {
            "src/queue/a.c": '// printf("x");\nsnprintf(a, 1, "exit(1)");\nprintf("x");\n',
            "src/cli/a.c": 'printf("x");\n'}, "src/queue/a.c:3: printf")
        self.assert_broken(source_lints.library_is_silent,
                           {"src/queue/a.c": 'fprintf(file, "x");\nfputs("x", stderr);\n'}, ":2:")

    def test_library_is_silent_fails_when_it_exits(self):
        self.assert_broken(source_lints.library_is_silent, {
            "src/base/a.c": "pthread_exit(x);\nexit(1);\n"}, "src/base/a.c:2: exit")

    def test_library_is_silent_fails_when_it_reads_the_environment(self):
        self.assert_broken(source_lints.library_is_silent,
                           {"src/base/a.h": 'return getenv("HOME");\n'}, "src/base/a.h:1: getenv")

    def test_tests_never_sleep_fails_in_each_language(self):
        for name, text in (
                ("tests/a.c", f"/* u{SLEEP}(1) */ gate_{SLEEP}(1);\nu{SLEEP}(1);\n"),
                ("tests/a.h", f"\nnano{SLEEP}(&t, NULL);\n"),
                ("tests/a.py", f"# {SLEEP}(1)\ntime.{SLEEP}(1)\n"),
                ("tests/a.sh", f"# {SLEEP} 1\nwait; {SLEEP} 1\n")):
            self.assert_broken(source_lints.tests_never_sleep, {name: text}, f"{name}:2:")
            (self.root / name).unlink()

    def test_tests_are_registered_fails_for_a_test_that_never_runs(self):
        self.assert_broken(source_lints.tests_are_registered, {
            "tests/unit/meson.build": "tests = ['queue']\n",
            "tests/unit/test_queue.c": "", "tests/unit/test_que.c": ""}, "tests/unit/test_que.c:1:")

    def test_no_path_of_one_machine_fails_for_a_home(self):
        self.assert_broken(source_lints.no_path_of_one_machine, {
            "docs/a.md": "https://x/home/ ~/work/\n", "tools/a.sh": "\ncd /ho" "me/me/sealq\n"},
            "tools/a.sh:2:")

    def test_public_headers_are_installed_fails_for_one_left_out(self):
        files = {"include/meson.build": "'sealq/queue.h', 'sealq/sealq.h'\n",
                 "include/sealq/sealq.h": '#include "queue.h"\n', "include/sealq/queue.h": "",
                 "include/sealq/news.h": ""}
        self.make(files)
        complaints = source_lints.public_headers_are_installed(self.root)
        self.assertEqual([each.split(":")[0] for each in complaints],
                         ["include/meson.build", "include/sealq/sealq.h"])

    def assert_undocumented(self, before, after, *words):
        lint = source_lints.public_functions_are_documented
        self.make({"include/sealq/queue.h": DOCUMENTED})
        self.assertEqual(lint(self.root), [])
        self.assertIn(before, DOCUMENTED)
        self.assert_broken(lint, {"include/sealq/queue.h": DOCUMENTED.replace(before, after)},
                           *words)

    def test_public_functions_are_documented_fails_without_a_comment(self):
        self.assert_undocumented("/**\n * Put", "/*\n * Put", "sq_queue_put: no comment")

    def test_public_functions_are_documented_fails_without_a_parameter(self):
        self.assert_undocumented(" * item    any.\n", "", "item has no line")

    def test_public_functions_are_documented_fails_without_errors(self):
        self.assert_undocumented(" * Errors  SQ_EFULL.\n", "", "Errors has no line")

    def test_public_functions_are_documented_fails_without_a_file_comment(self):
        self.assert_undocumented("@file queue.h", "@file lifo.h", "queue.h:1: no comment")

    def test_public_functions_are_documented_fails_for_what_it_cannot_read(self):
        self.assert_undocumented("sq_queue;\n", "sq_queue;\nSQ_API extern int sq_count;\n",
                                 "2 SQ_API")

    def test_version_agrees_with_itself_fails_when_it_does_not(self):
        self.assert_broken(source_lints.version_agrees_with_itself, {
            "include/sealq/version.h": "#define SQ_VERSION_MAJOR 1\n#define SQ_VERSION_MINOR 2\n"
            '#define SQ_VERSION_PATCH 3\n#define SQ_VERSION_STRING "1.2.4"\n'}, "1.2.3", "1.2.4")

    def test_commands_have_manual_pages_fails_for_one_without(self):
        self.assert_broken(source_lints.commands_have_manual_pages, {
            "src/cli/cmd_demo.c": "", "src/cli/cmd_help.c": "", "src/cli/cmd_news.c": "",
            "man/sealq-demo.1": "", "man/sealq.1": ".Ss help\n"}, "src/cli/cmd_news.c")


class BuiltLints(LintCase):
    def assert_does_not_compile(self, variable, language, standard, text):
        if not os.environ.get(variable):
            self.skipTest(f"no compiler for {language}")
        self.make({"include/sealq/good.h": "/* needs nothing */\n", "include/sealq/bad.h": text})
        self.assert_one(built_lints.headers_compile_alone(
            self.root, os.environ[variable], language, standard), "include/sealq/bad.h:1:")

    def test_headers_compile_alone_fails_for_a_missing_include(self):
        self.assert_does_not_compile("CC", "c", "c11",
                                     "#pragma once\nuint32_t sq_number(void);\n")

    def test_headers_compile_alone_fails_for_an_extension(self):
        self.assert_does_not_compile("CC", "c", "c11",
                                     "#pragma once\nstruct sq_empty {};\n")

    def test_headers_compile_alone_fails_for_a_missing_guard(self):
        self.assert_does_not_compile("CC", "c", "c11", "struct sq_item { int size; };\n")

    def test_headers_compile_alone_fails_for_a_keyword_of_cpp(self):
        self.assert_does_not_compile("CXX", "c++", "c++11",
                                     "#pragma once\nint sq_renew(int new);\n")

    def compile_library(self, text):
        self.make({"a.c": text})
        library = str(self.root / "libsealq-news.so")
        subprocess.run([*os.environ["CC"].split(), "-shared", "-fPIC", "-o", library,
                        str(self.root / "a.c")], check=True)
        return library

    def test_exports_are_prefixed_fails_for_a_bare_name(self):
        library = self.compile_library("void sq_put(void) {}\nvoid put(void) {}\n")
        self.assert_one(built_lints.exports_are_prefixed(os.environ["NM"], library), "exports put")

    def test_exports_are_listed_fails_in_both_directions(self):
        library = self.compile_library("void sq_put(void) {}\nvoid sq_new(void) {}\n")
        golden = self.root / "exports-sealq-news.txt"
        self.make({golden.name: "# what it exports\nsq_gone\nsq_put\n"})
        new, gone = built_lints.exports_are_listed(os.environ["NM"], library, golden)
        self.assertIn("sq_new is exported and not listed", new)
        self.assertIn("sq_gone is listed and not exported", gone)

    def test_exports_are_listed_fails_without_a_list(self):
        library = self.compile_library("void sq_put(void) {}\n")
        self.assert_one(built_lints.exports_are_listed(os.environ["NM"], library,
                                                       self.root / "none.txt"), "sq_put")

    def test_help_fits_80_columns_fails_for_a_wide_line(self):
        sealq = self.make_program("sealq", f"""case $1 in
            help) echo '  demo  run'; echo {'é' * 80};;
            demo) echo {'é' * 81};;
            *) echo fits;;
            esac""")
        self.assert_one(built_lints.help_fits_80_columns(self.root, sealq), "sealq demo --help: 81")

    def test_help_fits_80_columns_fails_for_a_command_without_help(self):
        self.make({"src/cli/cmd_news.c": ""})
        sealq = self.make_program("sealq", "[ $1 = news ] && exit 64; echo fits")
        self.assert_one(built_lints.help_fits_80_columns(self.root, sealq), "sealq news --help",
                        "64")

    def test_options_are_in_the_manual_fails_for_one_left_out(self):
        self.make({"man/sealq.1": ".It Fl -json\n", "man/sealq-demo.1": ".It Fl -counting Ar N\n"})
        sealq = self.make_program("sealq", """case $1 in
            help) echo '  demo  run';;
            demo) echo '  --count N  how many'; echo '  --json  JSON';;
            esac""")
        self.assert_one(built_lints.options_are_in_the_manual(self.root, sealq),
                        "sealq demo: --count")

    def test_headers_have_manual_pages_fails_without_page_or_link(self):
        self.make({"include/sealq/queue.h": DOCUMENTED, "built/sq_queue_put.3": ".so man3/x.3\n"})
        page, link = built_lints.headers_have_manual_pages(self.root, self.root / "built")
        self.assertIn("sealq-queue.3 was not made", page)
        self.assertIn("sq_queue_put.3 is no link", link)

    def test_manual_pages_are_clean_fails_for_a_wrong_macro(self):
        mandoc = shutil.which("mandoc")
        if not mandoc:
            self.skipTest("no mandoc: apt install mandoc")
        self.make({"a.1": ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd is a\n"
                          ".Sh DESCRIPTION\nIt\n.Xx\nis.\n", "b.3": ".so man3/a.3\n"})
        self.assert_one(built_lints.manual_pages_are_clean(
            mandoc, [self.root / "a.1", self.root / "b.3"]), "a.1:9:", "unknown macro")


class TheLintsThemselves(LintCase):
    def test_every_lint_is_seen_to_fail(self):
        seen = dir(SourceLints) + dir(BuiltLints)
        for lint in source_lints.LINTS + built_lints.LINTS:
            self.assertTrue(any(name.startswith(f"test_{lint.__name__}_fails") for name in seen),
                            lint.__name__)

    def test_a_tree_without_git_leaves_out_what_was_built(self):
        self.make({"a.c": "", "build/b.c": "", "out/meson-private/x": "", "out/c.c": "",
                   "src/build.c": "", "tools/__pycache__/d.pyc": ""})
        self.assertEqual([str(path) for path in tree.paths(self.root)], ["a.c", "src/build.c"])

    def test_a_tree_with_git_has_what_git_would_add(self):
        if not shutil.which("git"):
            self.skipTest("no git")
        self.make({".gitignore": "*.o\n", "a.c": "", "a.o": ""})
        subprocess.run(["git", "init", "--quiet", str(self.root)], check=True)
        self.assertEqual([str(path) for path in tree.paths(self.root)], [".gitignore", "a.c"])


if __name__ == "__main__":
    tap.main()
