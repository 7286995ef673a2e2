"""The page's fold of random runs against the machine, forward, back and anywhere: by hand.

``python -m tests.fuzz.folds [STATES [FIRST]]``: programs that do anything, misuse too, on machines of
every kind, until so many states were compared; needs node.
"""

from __future__ import annotations

import sys
from itertools import count

from tests.page.runs import random_run
from tests.page.test_fold import differences
from tests.stateful.test_clone_programs import MACHINES


def main(states: int = 10_000, first: int = 0) -> int:
    """Compare; print the differences and their number."""
    compared = found = 0
    for seed in count(first):
        kinds = [(machine, arch) for machine in MACHINES for arch in ("x64", "x86")]
        runs = [
            random_run(machine, arch, seed, 30, before=seed % 20) for machine, arch in kinds
        ]
        for each in differences(runs):
            found += 1
            print(each)
        compared += sum(3 * (len(run) + 1) for run in runs)
        if compared >= states:
            break
    print(f"{compared} states compared, {found} differ")
    return found


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
