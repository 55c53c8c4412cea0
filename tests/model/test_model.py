# SPDX-License-Identifier: Apache-2.0
"""Spin goes through every interleaving of the models, and fails on each of their mutants."""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap

HERE = pathlib.Path(__file__).parent
SECONDS_MAX = 300  # a run takes some 20 at most, on a machine with nothing else to do
MEGABYTES_MAX = 2000
AT_A_TIME = 2

# What is gone through as a whole: a name, the model, and its numbers. FINE is every access a step.
SCENARIOS = {
    "park": ("park", "GETTERS=3 PRODUCERS=2 ITEMS_EACH=1"),
    "park_more_items": ("park", "GETTERS=2 PRODUCERS=2 ITEMS_EACH=2"),
    "park_fine": ("park", "GETTERS=2 PRODUCERS=2 ITEMS_EACH=1 FINE"),
    "park_biased": ("park", "BIASED GETTERS=2 PRODUCERS=1 ITEMS_EACH=2"),
    "park_biased_more_getters": ("park", "BIASED GETTERS=3 PRODUCERS=1 ITEMS_EACH=2"),
    "park_biased_fine": ("park", "BIASED GETTERS=2 PRODUCERS=1 ITEMS_EACH=3 FINE"),
    "park_biased_two_put": ("park", "BIASED GETTERS=2 PRODUCERS=2 ITEMS_EACH=1"),
    "close": ("close", "GETTERS=2 PRODUCERS=2 ITEMS_EACH=1"),
    "close_twice": ("close", "GETTERS=2 PRODUCERS=1 ITEMS_EACH=2 CLOSERS=2"),
    "close_bounded": ("close", "GETTERS=1 PRODUCERS=2 ITEMS_EACH=1 CAPACITY=1"),
    "close_bounded_more_getters": ("close", "GETTERS=2 PRODUCERS=2 ITEMS_EACH=1 CAPACITY=1"),
    "close_biased": ("close", "BIASED GETTERS=1 PRODUCERS=1 ITEMS_EACH=1"),
    "close_biased_more_getters": ("close", "BIASED GETTERS=2 PRODUCERS=1 ITEMS_EACH=2"),
    "close_biased_two_put": ("close", "BIASED GETTERS=1 PRODUCERS=2 ITEMS_EACH=1"),
    "close_biased_bounded": ("close", "BIASED GETTERS=2 PRODUCERS=1 ITEMS_EACH=1 CAPACITY=1"),
    "close_biased_twice": ("close", "BIASED GETTERS=1 PRODUCERS=1 ITEMS_EACH=2 CLOSERS=2 FINE"),
    "join": ("join", "WORKERS=2 PARENTS=1"),
    "join_two": ("join", "WORKERS=2 PARENTS=1 JOINERS=2"),
    "join_hasty": ("join", "WORKERS=2 PARENTS=1 CHILDLESS=1 HASTY=1"),
    "join_many_at_once": ("join", "WORKERS=1 PARENTS=0 CHILDLESS=2 HASTY=1 BOTH=1"),
    "join_drained": ("join", "WORKERS=1 PARENTS=0 CHILDLESS=2 HASTY=1 CLOSERS=1"),
    "join_two_drained": ("join", "WORKERS=1 PARENTS=0 CHILDLESS=2 JOINERS=2 CLOSERS=1"),
}

# Each fails in at least these scenarios.
MUTANTS = {
    "MUTANT_BIASED_WAKER_ONLY_LOADS": ["park_biased"],
    "MUTANT_BIAS_CHECKED_ONCE": ["park_biased", "park_biased_two_put", "close_biased"],
    "MUTANT_BIAS_TAKEN_IN_TWO_STEPS": ["park_biased_two_put"],
    "MUTANT_BOUND_FROM_BEFORE": ["join"],
    "MUTANT_CLOSE_DOES_NOT_WAKE": ["close"],
    "MUTANT_CLOSE_IN_TWO_STEPS": ["close"],
    "MUTANT_CLOSE_KEEPS_BIAS": ["close_biased"],
    "MUTANT_CLOSE_TAKES_ENDING_FOR_ENDED": ["close_biased"],
    "MUTANT_DRAIN_COUNTS_ALL": ["join_drained"],
    "MUTANT_DRAIN_DOES_NOT_WAKE": ["join_drained"],
    "MUTANT_DRAIN_IN_TWO_STEPS": ["close"],
    "MUTANT_DRAIN_SKIPS_UNPUBLISHED": ["close"],
    "MUTANT_END_OF_BIAS_DOES_NOT_WAIT": ["park_biased", "park_biased_two_put", "close_biased"],
    "MUTANT_END_OF_BIAS_WITHOUT_BARRIER": ["park_biased", "park_biased_two_put", "close_biased"],
    "MUTANT_ENDING_TAKEN_FOR_ENDED": ["park_biased_two_put"],
    "MUTANT_ENTER_IN_TWO_STEPS": ["park_more_items"],
    "MUTANT_EPOCH_AFTER_LOOK": ["park_more_items", "join"],
    "MUTANT_FINISHED_BY_TAIL_SEEN": ["join"],
    "MUTANT_GET_SKIPS_UNPUBLISHED": ["park_more_items", "close"],
    "MUTANT_LAST_WAKES_ONE": ["join_two"],
    "MUTANT_LEAVE_KEEPS_WAKING": ["park_more_items"],
    "MUTANT_NO_CHAIN": ["park_more_items"],
    "MUTANT_NO_LOOK_AFTER_LEAVE": ["park_more_items"],
    "MUTANT_NO_LOOK_BEFORE_SLEEP": ["park_more_items", "join"],
    "MUTANT_NO_MEMBARRIER": ["park_biased"],
    "MUTANT_TAIL_BEFORE_DONE": ["join"],
    "MUTANT_TIMED_OUT_DOES_NOT_LOOK": ["park_more_items"],
    "MUTANT_TIMED_OUT_KEEPS_WAKING": ["park_more_items"],
    "MUTANT_WORD_BEFORE_COUNT": ["join"],
}


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=SECONDS_MAX)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def search(scenario, mutant=None):
    """What Spin's pan says, without the progress. Raises when it did not get through."""
    model, numbers = SCENARIOS[scenario]
    names = numbers.split() + [mutant] * bool(mutant)
    with tempfile.TemporaryDirectory() as folder:
        run(folder, "spin", *(f"-D{name}" for name in names), "-a", str(HERE / f"{model}.pml"))
        # Mutants fail soon: to compile them well would take longer than to run them.
        run(folder, "gcc", "-O0" if mutant else "-O2", "-DSAFETY", "-DCOLLAPSE",
            f"-DMEMLIM={MEGABYTES_MAX}", "-o", "pan", "pan.c")
        # -E: to be asleep at the end is no error in itself
        report = run(folder, "./pan", "-E", "-m100000")
    report = re.sub(r"Depth=.*\n", "", report)
    if re.search(r"max search depth too small|out of memory|reached -DMEMLIM", report):
        raise AssertionError("the search was cut short:\n" + report)
    if "not completed" in report and not mutant:
        raise AssertionError("the search was not completed:\n" + report)
    return report


def errors_in(report):
    return int(re.search(r"errors: (\d+)", report).group(1))


@unittest.skipUnless(shutil.which("spin"), "spin is not installed")
class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All searches, some at a time; each test waits for its own."""
        cls.pool = concurrent.futures.ThreadPoolExecutor(AT_A_TIME)
        wanted = [(scenario, None) for scenario in SCENARIOS]
        wanted += [(scenario, mutant) for mutant, where in MUTANTS.items() for scenario in where]
        cls.searches = {key: cls.pool.submit(search, *key) for key in wanted}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown(cancel_futures=True)

    def test_all_mutants_of_the_models_are_listed(self):
        written = set()
        for file in HERE.glob("*.pml"):
            written |= set(re.findall(r"MUTANT_[A-Z_]*[A-Z]", file.read_text()))
        self.assertEqual(written, set(MUTANTS))


def add_scenario(scenario):
    def test(self):
        report = self.searches[scenario, None].result()
        self.assertEqual(errors_in(report), 0, report)
        # The end states were judged: the judge came to its last line.
        self.assertRegex(report, r"unreached in proctype judge\n\t\(0 of \d+ states\)")
    setattr(Model, f"test_{scenario}_holds_in_any_interleaving", test)


def add_mutant(mutant, scenario):
    def test(self):
        report = self.searches[scenario, mutant].result()
        self.assertEqual(errors_in(report), 1, report)
        self.assertIn("assertion violated", report)
    setattr(Model, f"test_{mutant.lower()}_fails_in_{scenario}", test)


for name in SCENARIOS:
    add_scenario(name)
for name, scenarios in MUTANTS.items():
    for scenario in scenarios:
        add_mutant(name, scenario)

if __name__ == "__main__":
    tap.main()
