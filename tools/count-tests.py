#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the tests that Meson ran, from its logs, and prints `N passed, N failed, N skipped`.

    tools/count-tests.py [--failed STEP]... BUILD...

Neither of Meson's logs is enough. testlog.junit.xml has each TAP test, but calls a program good
that printed `ok 1` and then crashed, hung or stopped short of its plan; testlog.json has the
right verdict, but only on whole programs. So tests are counted from the former, and a program
that Meson says is bad, with no failed test to show for it, counts as one failed test more. So
does each STEP (for example a build) and each BUILD without logs. Exits with 1 when a test failed
or none was run.
"""
import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as xml

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
GOOD = ("OK", "EXPECTEDFAIL", "SKIP")
EXPLAIN_LINES_MAX = 60
SKIP_CODE = 77  # of a program that prints no TAP


def subtests(log):
    """The <testcase>s of each TAP program; Meson's suites are called PROJECT.PROGRAM."""
    suites = xml.parse(log).getroot().iter("testsuite")
    return {suite.get("name").partition(".")[2]: suite.findall("testcase") for suite in suites}


def judge_case(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return FAILED
    return SKIPPED if case.find("skipped") is not None else PASSED


def judge_program(program):
    """The verdict on a program that reported no tests, and why."""
    said = (program.get("stdout") or "").strip()
    if program["result"] not in GOOD:
        return FAILED, f"{program['result']}, exit status {program['returncode']}"
    if program["result"] != "SKIP":
        return PASSED, ""
    if program["returncode"] == SKIP_CODE or said.startswith("1..0"):
        return SKIPPED, said.partition("SKIP")[2].strip() or said.rpartition("\n")[2]
    return FAILED, "it ended without reporting any test"


def explain(program):
    """Prints what a bad program said: for TAP, Meson's --print-errorlogs does not."""
    said = (program.get("stdout", "") + program.get("stderr", "")).splitlines()
    for line in said[-EXPLAIN_LINES_MAX:]:
        print(f"    {line}")


def results(build):
    """Yields (verdict, name, why) for each test that ran in a build directory."""
    logs = pathlib.Path(build, "meson-logs")
    try:
        cases_of = subtests(logs / "testlog.junit.xml")
        programs = [json.loads(line) for line in (logs / "testlog.json").open()]
    except (OSError, ValueError, xml.ParseError) as error:
        yield FAILED, "no tests were run", str(error)
        return
    for program in programs:
        cases = cases_of.get(program["name"])
        if not cases:
            verdict, why = judge_program(program)
            yield verdict, program["name"], why
            continue
        for case in cases:
            why = case.findtext("system-out", "")
            yield judge_case(case), f"{program['name']}: {case.get('name')}", why
        if program["result"] not in GOOD:
            explain(program)
            if FAILED not in map(judge_case, cases):
                yield FAILED, program["name"], f"{program['result']}, {len(cases)} tests reported"


def main():
    parser = argparse.ArgumentParser(description="Counts the tests that Meson ran.")
    parser.add_argument("--failed", metavar="STEP", action="append", default=[])
    parser.add_argument("builds", metavar="BUILD", nargs="*")
    options = parser.parse_args()

    counts = {PASSED: 0, FAILED: len(options.failed), SKIPPED: 0}
    for step in options.failed:
        print(f"failed: {step}")
    for build in options.builds:
        for verdict, name, why in results(build):
            counts[verdict] += 1
            if verdict != PASSED:
                print(f"{verdict}: {build}: {name}" + (f" ({why})" if why else ""))

    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    sys.exit(0 if counts[PASSED] > 0 and counts[FAILED] == 0 else 1)


if __name__ == "__main__":
    main()
